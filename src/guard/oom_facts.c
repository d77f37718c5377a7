#include "guard/oom_facts.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "driver/captures.h"
#include "guard/guard.h"

void vg_oom_facts_measure_device(struct vg_failure *failure)
{
    failure->free_bytes = failure->total_bytes = VG_BYTES_UNKNOWN;
    vg_driver_memory(failure->device, &failure->free_bytes, &failure->total_bytes);
}

void vg_oom_facts_measure_limit(struct vg_process_state *state, struct vg_failure *failure)
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
    if (call->stack.depth > 0 || !vg_thread_has_room()) {
        classify_stack(call, failure, &call->stack);
        return;
    }
    vg_stack_capture(&stack);
    classify_stack(call, failure, &stack);
}

void vg_oom_facts_describe(struct vg_call *call, struct vg_failure *out)
{
    struct vg_process_state *const state = call->state;
    const bool injected = call->refused_by == VG_REFUSED_BY_INJECT;
    const int device = vg_guard_device(call);
    const uint32_t stack_id = vg_guard_take_stack(state, &call->stack);
    if (device >= 0) {
        vg_process_await_device(state, device);
        atomic_fetch_add(&state->recorder.header->devices[device].failed_count, 1);
    }
    *out = (struct vg_failure){
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
    classify_caller(call, out);
    vg_oom_facts_measure_device(out);
    vg_oom_facts_measure_limit(state, out);
}
