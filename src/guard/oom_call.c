#include "guard/oom_call.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "analyze/event_records.h"
#include "base/cancellation.h"
#include "base/clock.h"
#include "base/log.h"
#include "driver/captures.h"
#include "guard/array_census.h"
#include "guard/guard.h"
#include "oom/callback_thread.h"
#include "oom/census_observer.h"
#include "oom/census_threads.h"
#include "oom/emit.h"

/* ---- facts ---- */

static void measure_device(struct vg_failure *failure)
{
    failure->free_bytes = failure->total_bytes = VG_BYTES_UNKNOWN;
    vg_driver_memory(failure->device, &failure->free_bytes, &failure->total_bytes);
}

void vg_oom_call_measure_limit(struct vg_process_state *state, struct vg_failure *failure)
{
    if (vg_quota_left(&state->allowance, failure->device, &failure->limit_bytes,
                      &failure->limit_left_bytes))
        failure->limit_shared = state->allowance.shared;
}

/* The functions that PyTorch's caching allocator calls again after it has emptied its cache:
 * cudaMalloc and, for expandable segments, cuMemCreate (c10/cuda/CUDACachingAllocator.cpp,
 * alloc_block). */
static bool is_made_twice(enum vg_function_id function)
{
    return function == VG_FN_cuMemAlloc_v2 || function == VG_FN_cuMemCreate;
}

/* The functions that others take device memory with, who empty their own caches. */
static bool is_device_memory(enum vg_function_id function)
{
    switch (function) {
    case VG_FN_cuMemAlloc_v2:
    case VG_FN_cuMemAllocPitch_v2:
    case VG_FN_cuMemAllocManaged:
    case VG_FN_cuMemAllocAsync:
    case VG_FN_cuMemAllocFromPoolAsync:
    case VG_FN_cuMemCreate: return true;
    default: return false;
    }
}

/* Of PyTorch's cudaMallocAsync backend. */
static bool is_pool_call(enum vg_function_id function)
{
    return function == VG_FN_cuMemAllocAsync || function == VG_FN_cuMemAllocAsync_ptsz ||
           function == VG_FN_cuMemAllocFromPoolAsync ||
           function == VG_FN_cuMemAllocFromPoolAsync_ptsz;
}

/* What these calls lack when they fail is nothing that another process could free on the GPU; NULL
 * for all others. */
static const char *lacks_elsewhere(enum vg_function_id function)
{
    switch (function) {
    case VG_FN_cuMemHostAlloc:
    case VG_FN_cuMemAllocHost:
    case VG_FN_cuMemAllocHost_v2:
    case VG_FN_cuMemHostRegister:
    case VG_FN_cuMemHostRegister_v2: return "the host's memory is short, not the GPU's";
    case VG_FN_cuMemAddressReserve: return "addresses are short, not memory";
    default: return NULL;
    }
}

static void classify_stack(const struct vg_call *call, struct vg_failure *failure,
                           const struct vg_stack *stack)
{
    struct vg_process_state *const state = call->state;
    failure->caller = vg_caller_classify(stack->frames, stack->depth);
    failure->twice = is_made_twice(call->function);
    failure->pool_call = is_pool_call(call->function);
    if (failure->caller == VG_CALLER_XLA)
        failure->caller = state->options->jax_asks_once ? VG_CALLER_OTHER : VG_CALLER_ARENA;
    if (failure->caller == VG_CALLER_OTHER)
        failure->flusher =
            vg_caller_flusher(&state->recorder, failure->stack_id, stack->frames, stack->depth);
    if (failure->flusher) {
        failure->caller = VG_CALLER_FLUSHING;
        failure->twice = is_device_memory(call->function);
    }
    failure->below_pytorch =
        stack->depth == 0 || vg_caller_is_below(VG_CALLER_PYTORCH, stack->frames, stack->depth);
}

/* Who calls is asked for even when no stacks are wanted. */
static void classify_caller(const struct vg_call *call, struct vg_failure *failure)
{
    struct vg_stack stack = { .depth = 0 };
    if (call->stack.depth > 0 || vg_thread.small_stack) {
        classify_stack(call, failure, &call->stack);
        return;
    }
    vg_stack_capture(&stack);
    classify_stack(call, failure, &stack);
}

/* ---- failures that are passed on ---- */

/* The failure that this thread was given untouched is over: its caller asked again and got it, or
 * has gone on to something else, and nobody has been told. */
static void end_passed(struct vg_process_state *state, bool answered)
{
    struct vg_deferred_failure passed;
    const uint16_t place = vg_thread.passed_place;
    vg_thread.passed_place = 0;
    if (place == 0 || !vg_deferred_oom_take(&state->passed, place, &passed) || answered)
        return;
    vg_oom_note_returned(&state->history, vg_clock_monotonic_ns());
    vg_deferred_oom_report(&passed, true);
}

/* The caller asks again: what has emptying its cache brought? */
static void note_flush(struct vg_failure *failure, const struct vg_deferred_failure *passed)
{
    const uint64_t before_bytes = passed->failure.free_bytes;
    const bool known = failure->free_bytes != VG_BYTES_UNKNOWN && before_bytes != VG_BYTES_UNKNOWN;
    const uint64_t more_bytes =
        failure->free_bytes > before_bytes ? failure->free_bytes - before_bytes : 0;
    if (failure->action_count == VG_FAILURE_ACTIONS)
        return;
    struct vg_oom_action *const flush = &failure->actions[failure->action_count++];
    *flush = (struct vg_oom_action){
        .recovered_bytes = known ? more_bytes : VG_BYTES_UNKNOWN,
        .duration_ns = vg_clock_monotonic_ns() - passed->monotonic_ns,
    };
    /* Advice about PyTorch's cache looks for "flush". */
    snprintf(flush->name, sizeof flush->name, "%s", failure->flusher ? "own cache" : "flush");
    if (failure->flusher)
        vg_outcome_add(flush, (struct vg_outcome){ .code = VG_OUTCOME_FLUSHED_OTHER },
                       failure->flusher);
    else
        vg_outcome_add(flush, (struct vg_outcome){ .code = VG_OUTCOME_FLUSHED }, NULL);
}

/* The allocation's failure before this one: PyTorch has emptied its cache in between. With
 * max_split_size_mb it asks a third time; what was tried at the second is not tried again. */
static void follow_first(struct vg_oom_call *failing, const struct vg_deferred_failure *passed)
{
    struct vg_failure *const failure = &failing->failure;
    if (passed->stage == VG_DEFERRED_TRIED) {
        memcpy(failure->actions, passed->failure.actions, sizeof failure->actions);
        failure->action_count = passed->failure.action_count;
        failing->course = VG_DECISION_REPORT;
    }
    note_flush(failure, passed);
}

/* After triage: what the new failure means for the one before, and its own note. */
static void follow_passed(struct vg_call *call)
{
    struct vg_deferred_oom *const list = &call->state->passed;
    struct vg_oom_call *const failing = call->failing;
    struct vg_deferred_failure passed;
    if (!failing->failure.retry) {
        end_passed(call->state, false);
    } else if (vg_thread.passed_place != 0) {
        if (vg_deferred_oom_take(list, vg_thread.passed_place, &passed))
            follow_first(failing, &passed);
        vg_thread.passed_place = 0;
    }
    if (failing->course == VG_DECISION_DEFER)
        vg_thread.passed_place = vg_deferred_oom_note(list, VG_DEFERRED_FIRST, &failing->failure);
}

/* A success of the thread whose last failure was passed on. */
void vg_oom_call_succeed_after_pass(const struct vg_call *call)
{
    const enum vg_deferred_end end =
        vg_oom_note_success(&vg_thread.last_failure, (uint16_t)call->function, call->asked_bytes);
    if (end != VG_DEFERRED_OPEN)
        end_passed(call->state, end == VG_DEFERRED_CURED);
}

void vg_oom_call_memory_read(struct vg_process_state *state)
{
    struct vg_deferred_failure noted;
    const uint16_t place = vg_thread.passed_place;
    if (place == 0 || !vg_thread.last_failure.tried)
        return;
    vg_thread.last_failure.tried = 0;
    vg_thread.passed_place = 0;
    if (!vg_deferred_oom_take(&state->passed, place, &noted))
        return;
    vg_thread.last_failure.returned = 1;
    vg_oom_note_returned(&state->history, vg_clock_monotonic_ns());
    vg_deferred_oom_report(&noted, false);
}

void vg_guard_note_mapped(struct vg_process_state *state)
{
    vg_thread.last_failure.passed = 0;
    end_passed(state, true);
}

/* ---- one failing call ---- */

/* Where nothing else is to be had. */
static struct vg_oom_call spare;
static atomic_flag spare_taken = ATOMIC_FLAG_INIT;

/* Not on the stack of the call, which has to be small when all is well. */
static struct vg_oom_call *take_memory(void)
{
    void *const memory = mmap(NULL, sizeof(struct vg_oom_call), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED)
        return memory;
    return atomic_flag_test_and_set(&spare_taken) ? NULL : &spare;
}

static void give_memory_back(struct vg_process_state *state, struct vg_oom_call *failing)
{
    vg_thread.failing = NULL;
    atomic_fetch_sub(&state->history.failing_calls, 1);
    if (failing == &spare)
        atomic_flag_clear(&spare_taken);
    else
        munmap(failing, sizeof *failing);
}

static void describe_failure(struct vg_call *call)
{
    struct vg_process_state *const state = call->state;
    struct vg_oom_call *const failing = call->failing;
    const bool injected = call->refused_by == VG_REFUSED_BY_INJECT;
    const int device = vg_guard_device(call);
    const uint32_t stack_id = vg_guard_take_stack(state, &call->stack);
    if (device >= 0) {
        vg_process_await_device(state, device);
        atomic_fetch_add(&state->recorder.header->devices[device].failed_count, 1);
    }
    failing->made_again = false;
    failing->failure = (struct vg_failure){
        .tables = vg_process_tables(state),
        .api = vg_functions[call->function].symbol,
        .error = call->result,
        .monotonic_ns = vg_clock_monotonic_ns(),
        .device = device,
        .asked_bytes = call->asked_bytes,
        .thread_id = vg_thread.thread_id,
        .frames = call->stack.frames,
        .frame_count = call->stack.depth,
        .stack_id = stack_id,
        .stack_truncated = call->stack.truncated,
        .refused_by = call->refused_by,
        .injected_rule = injected ? call->injected_by->text : NULL,
        .injected_number = injected ? call->allocation_number : 0,
        .searches_batch_size = vg_caller_searches_batch_size(&state->recorder, stack_id),
        .capturing = vg_captures_live(),
        .lacks_elsewhere = lacks_elsewhere(call->function),
    };
    classify_caller(call, &failing->failure);
    measure_device(&failing->failure);
    vg_oom_call_measure_limit(state, &failing->failure);
    failing->rescue = (struct vg_rescue){
        .policy = &state->policy,
        .options = state->options,
        .failure = &failing->failure,
        .turn = &call->turn,
        .history = &state->history,
    };
    failing->course = vg_oom_classify(&failing->failure, (uint16_t)call->function, &state->history,
                                      &vg_thread.last_failure, vg_clock_monotonic_ns());
    if (call->turn.since_ns != 0 && call->turn.interrupted)
        failing->failure.why_no_wait = VG_OUTCOME_SKIPPED_SIGNAL;
    follow_passed(call);
}

/* The call is made once more because there seems to be enough. */
static bool make_again(struct vg_oom_call *failing)
{
    struct vg_failure *const failure = &failing->failure;
    failing->made_again = true;
    struct vg_oom_action *const again = &failure->actions[failure->action_count++];
    *again = (struct vg_oom_action){ .name = "again" };
    vg_outcome_add(again, (struct vg_outcome){ .code = VG_OUTCOME_ENOUGH_FREE }, NULL);
    return true;
}

/* Follows the course of a failing call. Returns whether the call is to be made again. */
static bool follow_course(struct vg_call *call)
{
    struct vg_oom_call *const failing = call->failing;
    if (failing->course == VG_DECISION_AGAIN && !failing->made_again)
        return make_again(failing);
    if (failing->course == VG_DECISION_AGAIN) {
        /* Somebody else may have been faster: then it is a shortage like any other. */
        measure_device(&failing->failure);
        if (vg_oom_is_enough_free(&failing->failure))
            return false;
        failing->course = VG_DECISION_POLICY; /* whatever is measured while an action runs */
    } else if (failing->course != VG_DECISION_POLICY) {
        return false;
    }
    switch (vg_policy_next(&failing->rescue)) {
    case VG_VERDICT_PASS: return false;
    case VG_VERDICT_PLACED:
        call->placed = true;
        call->placed_key = failing->request.key;
        call->result = CUDA_SUCCESS;
        return false;
    default: return true;
    }
}

/* The call succeeded after all, because of what was tried. */
static void record_rescue(const struct vg_failure *failure)
{
    struct vg_run_rescue rescue = { .device = failure->device,
                                    .realtime_ns = vg_clock_ns(CLOCK_REALTIME),
                                    .asked_bytes = failure->asked_bytes,
                                    .stack_id = failure->stack_id,
                                    .api = failure->api,
                                    .actions = failure->actions,
                                    .action_count = failure->action_count };
    for (uint32_t i = 0; i < failure->action_count; i++)
        rescue.duration_ns += failure->actions[i].duration_ns;
    vg_rescue_record_append(failure->tables.recorder, &rescue);
}

/* The program has its failure: it is told, now. */
static void tell_failure(struct vg_process_state *state, struct vg_failure *failure)
{
    struct vg_census_source source;
    failure->failure_number = atomic_fetch_add(&state->recorder.header->failure_count, 1) + 1;
    vg_thread.last_failure.returned = 1;
    if (failure->refused_by != VG_REFUSED_BY_INJECT)
        vg_oom_note_returned(&state->history, vg_clock_monotonic_ns());
    const bool asks_census = !failure->census && vg_array_census_prepare(state, failure, &source);
    vg_report_failure(failure, asks_census ? &source : NULL);
}

/* Is it a call of PyTorch's caching allocator, as far as can be seen? */
static bool is_of_torch(const struct vg_failure *failure)
{
    return failure->twice && failure->caller == VG_CALLER_PYTORCH;
}

/* Will PyTorch say itself whether this is the end of it? Where it tells of its blocks it does. A
 * user's injection is told where it was made. */
static bool will_torch_tell(const struct vg_process_state *state, const struct vg_failure *failure)
{
    return is_of_torch(failure) && failure->retry && vg_blocks_seen(&state->blocks) &&
           failure->refused_by != VG_REFUSED_BY_INJECT;
}

/* Nothing was tried, where the user may expect it. */
static void note_capture(struct vg_failure *failure)
{
    if (!failure->capturing || failure->refused_by != VG_REFUSED_BY_DRIVER ||
        failure->action_count > 0)
        return;
    struct vg_oom_action *const nothing = &failure->actions[failure->action_count++];
    *nothing = (struct vg_oom_action){ .name = "nothing", .recovered_bytes = 0 };
    vg_outcome_add(nothing, (struct vg_outcome){ .code = VG_OUTCOME_CAPTURING }, NULL);
}

/* Is it the first of two calls, or the only one, after which PyTorch looks how much is free? */
static bool may_ask_again(const struct vg_failure *failure)
{
    return failure->caller == VG_CALLER_PYTORCH && failure->pool_call && !failure->retry &&
           failure->refused_by != VG_REFUSED_BY_INJECT;
}

/* The failure goes to the caller. */
static void give_up(struct vg_call *call)
{
    struct vg_process_state *const state = call->state;
    struct vg_oom_call *const failing = call->failing;
    struct vg_failure *const failure = &failing->failure;
    if (failing->course == VG_DECISION_DEFER && vg_thread.passed_place != 0)
        return;
    if (failure->limit_bytes > 0) {
        failure->refused_by = call->refused_by; /* of the last try */
        vg_oom_call_measure_limit(state, failure);
    }
    if (will_torch_tell(state, failure))
        vg_census_await_attachment(); /* where no action has: it is told by our observer */
    if (will_torch_tell(state, failure) || may_ask_again(failure)) {
        vg_thread.passed_place = vg_deferred_oom_note(&state->passed, VG_DEFERRED_TRIED, failure);
        if (vg_thread.passed_place != 0)
            return;
    }
    if (failure->retry)
        vg_thread.last_failure.passed = 0;
    vg_thread.torch_told = is_of_torch(failure);
    note_capture(failure);
    tell_failure(state, failure);
}

/* One try has failed. Returns whether to make another. */
static bool answer_failure(struct vg_call *call, const struct vg_request *request)
{
    if (!call->failing) {
        call->failing = take_memory();
        if (!call->failing) {
            vg_warn_once(VG_FAULT_FAILING,
                         "no memory to describe a failed allocation: nothing is "
                         "tried for it and it is not reported");
            return false;
        }
        vg_thread.failing = call->failing;
        atomic_fetch_add(&call->state->history.failing_calls, 1);
        describe_failure(call);
        vg_thread.torch_refused |= is_of_torch(&call->failing->failure);
    }
    if (request) {
        call->failing->request = *request;
        call->failing->rescue.request = &call->failing->request;
    }
    if (follow_course(call))
        return true;
    if (call->placed) {
        vg_oom_note_placed(&call->state->history, &call->failing->failure, vg_clock_monotonic_ns());
        record_rescue(&call->failing->failure);
    } else {
        give_up(call);
    }
    give_memory_back(call->state, call->failing);
    call->failing = NULL;
    return false;
}

bool vg_oom_call_answer(struct vg_call *call, const struct vg_request *request)
{
    const int saved_errno = errno;
    if (call->charge.held)
        vg_quota_release(&call->state->allowance, &call->charge);
    /* A hook asked to free memory runs short itself: it sees the driver's answer. */
    if (vg_callback_thread_is_current())
        return false;
    if (!call->state)
        call->state = vg_process_start();
    if (!call->state)
        return false; /* switched off */
    vg_cancellation_hold();
    const bool again = answer_failure(call, request);
    vg_cancellation_release();
    errno = saved_errno;
    return again;
}

void vg_oom_call_abandon(struct vg_process_state *state)
{
    struct vg_oom_call *const failing = vg_thread.failing;
    vg_census_request_abandon();
    vg_report_abandon();
    if (!failing)
        return;
    vg_policy_abandon(&failing->rescue);
    give_memory_back(state, failing);
}

void vg_oom_call_end(struct vg_call *call)
{
    const int saved_errno = errno;
    struct vg_oom_call *const failing = call->failing;
    vg_cancellation_hold();
    vg_policy_end(&failing->rescue, call->result == CUDA_SUCCESS);
    if (call->result == CUDA_SUCCESS && failing->failure.action_count > 0)
        record_rescue(&failing->failure);
    give_memory_back(call->state, call->failing);
    call->failing = NULL;
    vg_cancellation_release();
    errno = saved_errno;
}

/* ---- what PyTorch's allocator says ---- */

void vg_oom_call_torch_served(struct vg_process_state *state)
{
    end_passed(state, true);
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
    vg_oom_call_measure_limit(state, out);
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
    measure_device(failure);
    if (vg_census_attachment() == VG_CENSUS_ATTACHED) {
        vg_thread.passed_place =
            vg_deferred_oom_note(&state->passed, VG_DEFERRED_GIVEN_UP, failure);
        if (vg_thread.passed_place != 0)
            return;
    }
    tell_failure(state, failure);
}

void vg_oom_call_torch_gave_up(struct vg_process_state *state, uint64_t bytes, int device)
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

void vg_oom_call_torch_observed(struct vg_process_state *state,
                                const struct vg_census_failure *failure,
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
    tell_failure(state, told);
    vg_cancellation_release();
}
