#include "guard/torch_oom.h"

#include <stdatomic.h>
#include <unistd.h>

#include "base/cancellation.h"
#include "base/clock.h"
#include "guard/guard.h"
#include "guard/oom_call.h"
#include "guard/oom_facts.h"
#include "oom/callback_thread.h"
#include "oom/census_threads.h"

void vg_torch_oom_served(struct vg_process_state *state)
{
    vg_oom_call_end_deferred(state, true);
    vg_thread.last_failure.passed = 0;
    vg_thread.torch_refused = vg_thread.torch_told = 0;
}

/* Room of PyTorch's allocator in a segment of its own for one block (CUDACachingAllocator.cpp,
 * get_allocation_size: 20 MiB for smaller ones, multiples of 2 MiB). */
#define SEGMENT_SLACK_BYTES (20 * VG_MIB)

/* Is the failure that of an allocation of `bytes` on `device`? Pieces of expandable segments tell
 * nothing of the whole. */
static bool is_failure_of(const struct vg_failure *failure, uint64_t bytes, int device)
{
    return failure->device == device &&
           (failure->api == vg_functions[VG_FN_cuMemCreate].symbol ||
            (failure->asked_bytes >= bytes && failure->asked_bytes - bytes <= SEGMENT_SLACK_BYTES));
}

/* PyTorch has given up without a failing call that is noted: it has refused by itself, unless
 * there was such a call and no room to note it. */
static void describe_refusal(struct vg_process_state *state, uint64_t bytes, int device,
                             struct vg_failure *out)
{
    struct vg_stack stack;
    const uint32_t stack_id = vg_guard_take_stack(state, &stack);
    *out = (struct vg_failure){
        .tables = vg_process_tables(state),
        .api = "PyTorch's allocator",
        .error = CUDA_ERROR_OUT_OF_MEMORY,
        .monotonic_ns = vg_clock_monotonic_ns(),
        .device = device,
        .asked_bytes = bytes,
        .thread_id = vg_thread.thread_id,
        .stack_id = stack_id,
        .stack_truncated = stack.truncated,
        .refused_by = vg_thread.torch_refused ? VG_REFUSED_BY_DRIVER : VG_REFUSED_BY_PYTORCH,
        .caller = VG_CALLER_PYTORCH,
        .below_pytorch = true,
        .searches_batch_size = vg_caller_searches_batch_size(&state->recorder, stack_id),
    };
    atomic_fetch_add(&state->recorder.header->devices[device].failed_count, 1);
    vg_oom_facts_measure_limit(state, out);
}

/* The noted failure of this thread, if it is of this allocation. */
static bool take_noted(struct vg_process_state *state, uint64_t bytes, int device,
                       struct vg_deferred_failure *out)
{
    const uint16_t place = vg_thread.passed_place;
    if (place == 0)
        return false;
    vg_thread.passed_place = 0;
    if (!vg_deferred_oom_take(&state->passed, place, out))
        return false;
    if (is_failure_of(&out->failure, bytes, device))
        return true;
    vg_deferred_oom_report(out, true); /* of something else, and never told */
    return false;
}

static void answer_giving_up(struct vg_process_state *state, uint64_t bytes, int device)
{
    struct vg_deferred_failure noted;
    struct vg_failure *const failure = &noted.failure;
    if (take_noted(state, bytes, device, &noted)) {
        if (failure->api == vg_functions[VG_FN_cuMemCreate].symbol)
            failure->asked_bytes = bytes; /* the whole, not the piece that failed */
    } else {
        vg_process_await_device(state, device);
        describe_refusal(state, bytes, device, failure);
    }
    vg_oom_facts_measure_device(failure);
    if (vg_census_attachment() == VG_CENSUS_ATTACHED) {
        vg_thread.passed_place =
            vg_deferred_oom_note(&state->passed, VG_DEFERRED_GIVEN_UP, failure);
        if (vg_thread.passed_place != 0)
            return;
    }
    vg_oom_call_tell(state, failure);
}

void vg_torch_oom_gave_up(struct vg_process_state *state, uint64_t bytes, int device)
{
    const bool told = vg_thread.torch_told;
    vg_thread.last_failure.passed = 0;
    vg_thread.torch_told = 0;
    if (!told && !vg_callback_thread_is_current()) {
        vg_cancellation_hold();
        answer_giving_up(state, bytes, device);
        vg_cancellation_release();
    }
    vg_thread.torch_refused = 0;
}

void vg_torch_oom_observed(struct vg_process_state *state, const struct vg_census_failure *failure,
                           const struct vg_census *census)
{
    struct vg_deferred_failure noted;
    struct vg_failure *const told = &noted.failure;
    const uint16_t place = vg_thread.passed_place;
    if (place == 0)
        return;
    vg_thread.passed_place = 0;
    if (!vg_deferred_oom_take(&state->passed, place, &noted))
        return;
    vg_cancellation_hold();
    if (failure->device == told->device) {
        told->asked_bytes = failure->asked_bytes;
        if (failure->total_bytes < told->total_bytes)
            told->torch_limit_bytes = failure->total_bytes;
    }
    if (told->thread_id != (uint32_t)getpid())
        vg_census_main_line(&told->main_line);
    told->census = census->state == VG_CENSUS_NOT_TAKEN ? NULL : census;
    vg_oom_call_tell(state, told);
    vg_cancellation_release();
}
