#include "guard/guard.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"
#include "report/emit.h"

/* Milliseconds are exact enough for an allocation's age, and the coarse clock costs a fifth. */
static uint64_t coarse_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
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

static int device_of_call(const struct vg_call *call)
{
    return call->device >= 0 && call->device < VG_FILE_HOST ? call->device : current_device();
}

/* Others read the registry now and then; a line that all threads write at each call would cost more
 * than the news is worth, so only changes of a megabyte are told. */
static void publish_held(struct vg_process_state *state, int device)
{
    _Atomic uint64_t *const held = state->registrations[device].held_bytes;
    const uint64_t live = atomic_load_explicit(&state->recorder.header->devices[device].live_bytes,
                                               memory_order_relaxed);
    const uint64_t told = atomic_load_explicit(held, memory_order_relaxed);
    if (live - told >= VG_MIB && told - live >= VG_MIB)
        atomic_store_explicit(held, live, memory_order_relaxed);
}

bool vg_guard_begin(struct vg_call *call, enum vg_function_id function, uint64_t asked_bytes)
{
    if (!vg_driver_has(function))
        return false;
    call->state = vg_guard_enter();
    if (!call->state)
        return false;
    call->function = function;
    call->asked_bytes = asked_bytes;
    call->device = -1;
    call->failing = false;
    call->refused_by = VG_REFUSED_BY_DRIVER;
    call->weightless = call->charge.held = false;
    call->request = NULL;
    return true;
}

bool vg_guard_begin_watched(struct vg_call *call, enum vg_function_id function, int device)
{
    if (!vg_driver_has(function) || vg_thread.depth > 0)
        return false;
    vg_thread.depth = 1;
    call->state = NULL;
    call->function = function;
    call->asked_bytes = VG_BYTES_UNKNOWN;
    call->device = device;
    call->failing = false;
    call->refused_by = VG_REFUSED_BY_DRIVER;
    call->weightless = call->charge.held = false;
    call->request = NULL;
    return true;
}

/* Another thread may be describing the device to the tables, which the report shows. It takes well
 * under a millisecond. */
static void await_device(struct vg_process_state *state, int device)
{
    const struct timespec pause = { .tv_nsec = 100000 };
    for (int i = 0; i < 1000; i++) {
        if (atomic_load_explicit(&state->device_stage[device], memory_order_acquire) ==
            VG_DEVICE_READY)
            return;
        nanosleep(&pause, NULL);
    }
}

/* What vg_stack_take returns, without a stack where there is no room to capture one. */
static uint32_t take_stack(struct vg_process_state *state, struct vg_stack *out)
{
    const struct vg_stack_choice none = { .native = false, .python = false };
    return vg_stack_take(vg_thread.small_stack ? none : state->stacks, &state->recorder, out);
}

/* Free and total of the current context's device; unknown without one. */
static void measure_device(struct vg_failure *failure)
{
    size_t free_bytes, total_bytes;
    failure->free_bytes = failure->total_bytes = VG_BYTES_UNKNOWN;
    if (failure->device < 0 || !vg_driver.cuMemGetInfo_v2 ||
        vg_driver.cuMemGetInfo_v2(&free_bytes, &total_bytes) != CUDA_SUCCESS)
        return;
    failure->free_bytes = free_bytes;
    failure->total_bytes = total_bytes;
}

void vg_guard_measure_limit(struct vg_process_state *state, struct vg_failure *failure)
{
    if (vg_allowance_left(&state->allowance, failure->device, &failure->limit_bytes,
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

/* Who calls is asked for even when no stacks are wanted. */
static enum vg_caller classify(const struct vg_call *call)
{
    if (vg_thread.small_stack)
        return VG_CALLER_OTHER;
    if (call->stack.depth > 0)
        return vg_caller_classify(call->stack.frames, call->stack.depth);
    struct vg_stack stack;
    vg_stack_capture(&stack);
    return vg_caller_classify(stack.frames, stack.depth);
}

static void describe_failure(struct vg_call *call)
{
    struct vg_process_state *const state = call->state;
    const int device = device_of_call(call);
    call->failing = true;
    call->placed = call->made_again = false;
    const uint32_t stack_id = take_stack(state, &call->stack);
    if (device >= 0) {
        vg_process_use_device(state, device);
        await_device(state, device);
        atomic_fetch_add(&state->recorder.header->devices[device].failed_count, 1);
    }
    call->failure = (struct vg_failure){
        .tables = { .recorder = &state->recorder,
                    .track = &state->track,
                    .pools = &state->pools,
                    .registrations = state->registrations },
        .api = vg_functions[call->function].symbol,
        .error = call->result,
        .device = device,
        .asked_bytes = call->asked_bytes,
        .thread_id = vg_thread.thread_id,
        .frames = call->stack.frames,
        .frame_count = call->stack.depth,
        .stack_id = stack_id,
        .stack_truncated = call->stack.truncated,
        .refused_by = call->refused_by,
        .caller = classify(call),
        .twice = is_made_twice(call->function),
    };
    measure_device(&call->failure);
    vg_guard_measure_limit(state, &call->failure);
    call->rescue = (struct vg_rescue){
        .policy = &state->policy,
        .options = state->options,
        .failure = &call->failure,
        .request = call->request,
    };
    call->course = vg_triage(&call->failure, (uint16_t)call->function, &state->history,
                             &vg_thread.last_failure, vg_clock_monotonic_ns());
}

/* The call is made once more because there seems to be enough. */
static bool make_again(struct vg_call *call)
{
    struct vg_failure *const failure = &call->failure;
    call->made_again = true;
    struct vg_snapshot_action *const told = &failure->actions[failure->action_count++];
    *told = (struct vg_snapshot_action){ .name = "again",
                                         .outcome = "enough is free, so the call was repeated" };
    return true;
}

/* Follows the course of a failing call. Returns whether the call is to be made again. */
static bool follow_course(struct vg_call *call)
{
    if (call->course == VG_COURSE_AGAIN && !call->made_again)
        return make_again(call);
    if (call->course == VG_COURSE_AGAIN) {
        /* Somebody else may have been faster: then it is a shortage like any other. */
        measure_device(&call->failure);
        if (vg_triage_is_enough(&call->failure))
            return false;
    } else if (call->course != VG_COURSE_POLICY) {
        return false;
    }
    switch (vg_policy_next(&call->rescue)) {
    case VG_VERDICT_PASS: return false;
    case VG_VERDICT_PLACED:
        call->placed = true;
        call->result = CUDA_SUCCESS;
        return false;
    default: return true;
    }
}

/* The failure goes to the program. */
static void give_up(struct vg_call *call)
{
    struct vg_process_state *const state = call->state;
    if (call->course == VG_COURSE_PASS)
        return;
    if (call->failure.limit_bytes > 0) {
        call->failure.refused_by = call->refused_by; /* of the last try */
        vg_guard_measure_limit(state, &call->failure);
    }
    call->failure.failure_number = atomic_fetch_add(&state->recorder.header->failure_count, 1) + 1;
    vg_triage_returned(&state->history, vg_clock_monotonic_ns());
    vg_report_failure(&call->failure);
}

static __attribute__((noinline)) bool answer_failure(struct vg_call *call)
{
    const int saved_errno = errno;
    if (call->charge.held) /* nothing is reserved while others are asked to make room */
        vg_allowance_release(&call->state->allowance, &call->charge);
    if (!call->state)
        call->state = vg_process_start();
    if (!call->state)
        return false; /* switched off */
    if (!call->failing)
        describe_failure(call);
    const bool again = follow_course(call);
    if (!again && !call->placed)
        give_up(call);
    errno = saved_errno;
    return again;
}

bool vg_guard_again(struct vg_call *call)
{
    if (__builtin_expect(call->result == CUDA_ERROR_OUT_OF_MEMORY, 0))
        return answer_failure(call);
    if (__builtin_expect(call->failing, 0))
        vg_policy_end(&call->rescue, call->result == CUDA_SUCCESS);
    return false;
}

/* Charges what the call asks for. Returns false when it is more than the limit leaves. */
static bool limit_admits(struct vg_call *call)
{
    if (call->weightless || call->asked_bytes == VG_BYTES_UNKNOWN)
        return true;
    return vg_allowance_reserve(&call->state->allowance, device_of_call(call), call->asked_bytes,
                                &call->charge);
}

bool vg_guard_ask_gates(struct vg_call *call)
{
    call->refused_by = VG_REFUSED_BY_DRIVER;
    if ((call->state->gates & VG_GATE_LIMIT) && !limit_admits(call)) {
        call->refused_by = VG_REFUSED_BY_LIMIT;
        return false;
    }
    return true;
}

bool vg_guard_resize(struct vg_call *call, uint64_t bytes)
{
    if (vg_allowance_resize(&call->state->allowance, &call->charge, bytes))
        return true;
    call->refused_by = VG_REFUSED_BY_LIMIT;
    return false;
}

/* Records that ended unseen are charged no longer. */
static void give_back_dropped(struct vg_process_state *state)
{
    for (uint16_t device = 0; device < VG_FILE_HOST; device++) {
        const uint64_t bytes = vg_track_take_dropped(&state->track, device);
        if (bytes > 0)
            vg_allowance_give_back(&state->allowance, device, bytes);
    }
}

/* vg_track_put under a limit: what is in the index is what is charged. */
static void put_charged(struct vg_call *call, const struct vg_allocation *allocation)
{
    struct vg_process_state *const state = call->state;
    if (allocation->bytes == VG_BYTES_UNKNOWN) {
        vg_track_put(&state->track, allocation); /* is only counted as lost */
        return;
    }
    vg_allowance_settle(&state->allowance, &call->charge, allocation->device, allocation->bytes);
    if (vg_track_put(&state->track, allocation) != 0)
        vg_allowance_give_back(&state->allowance, allocation->device, allocation->bytes);
    give_back_dropped(state);
}

/* The current context as a number, 0 when there is none. */
static uint64_t current_context(void)
{
    CUcontext context = NULL;
    if (!vg_driver.cuCtxGetCurrent || vg_driver.cuCtxGetCurrent(&context) != CUDA_SUCCESS)
        return 0;
    return (uint64_t)(uintptr_t)context;
}

void vg_guard_record(struct vg_call *call, enum vg_kind kind, uint64_t address, uint64_t bytes)
{
    struct vg_process_state *const state = call->state;
    const unsigned traits = vg_kind_traits(kind);
    const int device = traits & VG_TRAIT_ON_HOST ? VG_FILE_HOST : device_of_call(call);
    if (address == 0 || device < 0)
        return;
    vg_triage_succeeded(&vg_thread.last_failure, (uint16_t)call->function, call->asked_bytes);
    const int saved_errno = errno; /* the first stack makes libunwind open things */
    if (device != VG_FILE_HOST)
        vg_process_use_device(state, device);
    const struct vg_allocation allocation = {
        .address = address,
        .bytes = bytes,
        .monotonic_ns = coarse_now_ns(),
        .thread_id = vg_thread.thread_id,
        .device = (uint16_t)device,
        .kind = (uint16_t)kind,
        .context = traits & VG_TRAIT_OF_CONTEXT ? current_context() : 0,
        .stack_id = take_stack(state, &call->stack),
    };
    if (__builtin_expect(state->gates & VG_GATE_LIMIT, 0))
        put_charged(call, &allocation);
    else
        vg_track_put(&state->track, &allocation);
    publish_held(state, device);
    errno = saved_errno;
}

void vg_guard_forget(struct vg_process_state *state, uint64_t key)
{
    struct vg_taken taken;
    if (key == 0 || !vg_track_take(&state->track, key, &taken))
        return;
    vg_track_forget(&state->track, &taken);
    if (state->gates & VG_GATE_LIMIT)
        vg_allowance_give_back(&state->allowance, taken.device, taken.bytes);
    publish_held(state, taken.device);
}

void vg_guard_drop_context(CUcontext context)
{
    struct vg_process_state *const state = vg_process_current;
    if (!state || state->inert || !vg_fork_mark_intact())
        return;
    vg_track_drop_context(&state->track, (uint64_t)(uintptr_t)context);
    if (state->gates & VG_GATE_LIMIT)
        give_back_dropped(state);
    for (int device = 0; device < VG_FILE_DEVICES; device++)
        if (atomic_load(&state->device_stage[device]) == VG_DEVICE_READY)
            publish_held(state, device);
}

CUresult vg_guard_end(struct vg_call *call)
{
    if (__builtin_expect(call->charge.held, 0)) /* it failed, or nothing was recorded */
        vg_allowance_release(&call->state->allowance, &call->charge);
    vg_guard_leave();
    return call->result;
}

bool vg_guard_begin_free(struct vg_free_call *call, enum vg_function_id function, uint64_t address)
{
    if (!vg_driver_has(function))
        return false;
    call->state = vg_guard_enter();
    if (!call->state)
        return false;
    call->known = vg_track_take(&call->state->track, address, &call->taken);
    return true;
}

CUresult vg_guard_end_free(struct vg_free_call *call, CUresult result)
{
    if (call->known) {
        if (result == CUDA_SUCCESS) {
            vg_track_forget(&call->state->track, &call->taken);
            if (__builtin_expect(call->state->gates & VG_GATE_LIMIT, 0))
                vg_allowance_give_back(&call->state->allowance, call->taken.device,
                                       call->taken.bytes);
        } else {
            vg_track_restore(&call->state->track, &call->taken);
        }
        publish_held(call->state, call->taken.device);
    }
    vg_guard_leave();
    return result;
}
