#include "guard/guard.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "driver/captures.h"
#include "guard/oom_call.h"
#include "guard/reclaim_server.h"

/* Milliseconds are exact enough for an allocation's age, and the coarse clock costs a fifth. */
static uint64_t coarse_now_ns(void)
{
    return vg_clock_ns(CLOCK_MONOTONIC_COARSE);
}

/* Ordinal of the current context's device, -1 when there is none (or beyond our table). */
static int current_device(void)
{
    CUdevice device;
    if (!vg_driver.cuCtxGetDevice || vg_driver.cuCtxGetDevice(&device) != CUDA_SUCCESS ||
        device < 0 || device >= VG_FILE_HOST)
        return -1;
    return device;
}

int vg_guard_device(const struct vg_call *call)
{
    return call->device >= 0 && call->device < VG_FILE_HOST ? call->device : current_device();
}

/* Memory of the device has come free: those who wait for it are told. */
static inline void tell_freed(const struct vg_process_state *state, int device)
{
    struct vg_queue *const queue =
        __atomic_load_n(&state->registrations[device].queue, __ATOMIC_ACQUIRE);
    if (__builtin_expect(vg_queue_is_waited_for(queue), 0))
        vg_queue_tell_freed(queue);
}

/* The rest of publish_held. */
static __attribute__((noinline)) void tell_held(struct vg_process_state *state, int device,
                                                _Atomic uint64_t *held, uint64_t live)
{
    atomic_store_explicit(held, live, memory_order_relaxed);
    if (__builtin_expect(
            live < atomic_load_explicit(&state->listen_at_bytes[device], memory_order_relaxed), 1))
        return;
    const int saved_errno = errno;
    vg_reclaim_server_consider(state, device, live);
    errno = saved_errno;
}

/* Others read the registry now and then; a line that all threads write at each call would cost more
 * than the news is worth, so only changes of a megabyte are told. */
static inline void publish_held(struct vg_process_state *state, int device)
{
    _Atomic uint64_t *const held =
        __atomic_load_n(&state->registrations[device].held_bytes, __ATOMIC_ACQUIRE);
    const uint64_t live = atomic_load_explicit(&state->recorder.header->devices[device].live_bytes,
                                               memory_order_relaxed);
    const uint64_t told = atomic_load_explicit(held, memory_order_relaxed);
    if (live - told + (VG_MIB - 1) > 2 * (VG_MIB - 1)) /* more or less than a megabyte away */
        tell_held(state, device, held, live);
}

static inline uint32_t take_stack(struct vg_process_state *state, struct vg_stack *out)
{
    if ((state->stacks.native || state->stacks.python) && vg_thread_has_room())
        return vg_stack_take(state->stacks, &state->recorder, out);
    out->depth = 0;
    out->truncated = false;
    return 0;
}

uint32_t vg_guard_take_stack(struct vg_process_state *state, struct vg_stack *out)
{
    return take_stack(state, out);
}

bool vg_guard_begin_watched(struct vg_call *call, enum vg_function_id function, int device)
{
    if (!vg_driver_has(function) || !vg_guard_enter_thread(&call->frame, sizeof *call))
        return false;
    if (device >= 0) /* those that make a context name their device */
        vg_gates_before_context(device);
    call->state = NULL;
    vg_guard_set_up(call, function, VG_BYTES_UNKNOWN, device);
    return true;
}

bool vg_guard_resize(struct vg_call *call, uint64_t bytes)
{
    if (vg_quota_resize(&call->state->allowance, &call->charge, bytes))
        return true;
    call->refused_by = VG_REFUSED_BY_LIMIT;
    return false;
}

/* Records that ended unseen are charged no longer. */
static void give_back_dropped(struct vg_process_state *state)
{
    for (uint16_t device = 0; device < VG_FILE_HOST; device++) {
        const uint64_t bytes = vg_live_index_take_dropped(&state->track, device);
        if (bytes > 0)
            vg_quota_give_back(&state->allowance, device, bytes);
    }
}

/* vg_live_index_put under a limit: what is in the index is what is charged. */
static void put_charged(struct vg_call *call, const struct vg_allocation *allocation)
{
    struct vg_process_state *const state = call->state;
    if (allocation->bytes == VG_BYTES_UNKNOWN) {
        vg_live_index_put(&state->track, allocation); /* is only counted as lost */
        return;
    }
    vg_quota_settle(&state->allowance, &call->charge, allocation->device, allocation->bytes);
    if (vg_live_index_put(&state->track, allocation) != 0)
        vg_quota_give_back(&state->allowance, allocation->device, allocation->bytes);
    give_back_dropped(state);
}

static __attribute__((noinline)) void note_success(const struct vg_call *call)
{
    const int saved_errno = errno;
    vg_oom_call_succeed_after_pass(call);
    errno = saved_errno;
}

void vg_guard_record(struct vg_call *call, enum vg_kind kind, uint64_t address, uint64_t bytes)
{
    struct vg_process_state *const state = call->state;
    if (vg_guard_placed(call))
        kind = vg_kind_traits(kind) & VG_TRAIT_HANDLE ? VG_KIND_SPILLED_VIRTUAL : VG_KIND_SPILLED;
    const unsigned traits = vg_kind_traits(kind);
    const int device = traits & VG_TRAIT_ON_HOST ? VG_FILE_HOST : vg_guard_device(call);
    if (address == 0 || device < 0)
        return;
    if (__builtin_expect(vg_thread.last_failure.passed | vg_thread.last_failure.tried, 0) &&
        device != VG_FILE_HOST)
        note_success(call);
    if (device != VG_FILE_HOST)
        vg_process_use_device(state, device);
    const struct vg_allocation allocation = {
        .address = address,
        .bytes = bytes,
        .monotonic_ns = coarse_now_ns(),
        .thread_id = vg_thread.thread_id,
        .device = (uint16_t)device,
        .kind = (uint16_t)kind,
        .context = traits & VG_TRAIT_OF_CONTEXT ? vg_driver_context() : 0,
        .stack_id = take_stack(state, &call->stack),
        .capture = vg_captures_allocating(),
    };
    if (__builtin_expect(allocation.capture != 0, 0))
        vg_graph_pools_add_segment(&state->graph_pools, allocation.capture, bytes);
    if (__builtin_expect(state->gates & VG_GATE_LIMIT, 0) && device != VG_FILE_HOST)
        put_charged(call, &allocation);
    else
        vg_live_index_put(&state->track, &allocation);
    publish_held(state, device);
}

void vg_guard_forget(struct vg_process_state *state, uint64_t key)
{
    struct vg_pending_free taken;
    struct vg_spilled_node *const spilled =
        vg_spilled_any() ? vg_spilled_take(&state->spilled, key) : NULL;
    if (spilled)
        vg_spilled_forget(&state->spilled, spilled);
    if (key == 0 || !vg_live_index_begin_free(&state->track, key, &taken))
        return;
    vg_live_index_commit_free(&state->track, &taken);
    if (state->gates & VG_GATE_LIMIT)
        vg_quota_give_back(&state->allowance, taken.device, taken.bytes);
    publish_held(state, taken.device);
    tell_freed(state, taken.device);
}

void vg_guard_drop_context(CUcontext context)
{
    struct vg_process_state *const state = vg_process_current;
    if (!state || state->inert || !vg_fork_mark_intact())
        return;
    vg_live_index_drop_context(&state->track, (uint64_t)(uintptr_t)context);
    if (vg_spilled_any())
        vg_spilled_drop_context(&state->spilled, (uint64_t)(uintptr_t)context);
    if (state->gates & VG_GATE_LIMIT)
        give_back_dropped(state);
    for (int device = 0; device < VG_FILE_DEVICES; device++)
        if (atomic_load(&state->device_stage[device]) == VG_DEVICE_READY) {
            publish_held(state, device);
            tell_freed(state, device);
        }
}

void vg_guard_end_held(struct vg_call *call)
{
    if (call->charge.held) /* it failed, or nothing was recorded */
        vg_quota_release(&call->state->allowance, &call->charge);
    if (call->turn.since_ns != 0)
        vg_gates_end_turn(call);
}

CUresult vg_guard_end_free(struct vg_free_call *call, CUresult result)
{
    struct vg_process_state *const state = call->state;
    if (call->known) {
        const uint16_t device = call->taken.device;
        if (__builtin_expect(result == CUDA_SUCCESS, 1)) {
            vg_live_index_commit_free(&state->track, &call->taken);
            if (__builtin_expect(state->gates & VG_GATE_LIMIT, 0))
                vg_quota_give_back(&state->allowance, device, call->taken.bytes);
            publish_held(state, device);
            tell_freed(state, device);
        } else {
            vg_live_index_abort_free(&state->track, &call->taken);
            publish_held(state, device);
        }
    }
    vg_guard_leave();
    return result;
}
