#include "guard/guard.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"
#include "guard/captures.h"
#include "policy/need.h"
#include "report/emit.h"
#include "report/rescue_record.h"

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

/* Memory of the device has come free: those who wait for it are told. */
static void tell_freed(const struct vg_process_state *state, int device)
{
    struct vg_queue *const queue =
        __atomic_load_n(&state->registrations[device].queue, __ATOMIC_RELAXED);
    if (__builtin_expect(vg_queue_is_waited_for(queue), 0))
        vg_queue_tell_freed(queue);
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

static void measure_device(struct vg_failure *failure)
{
    failure->free_bytes = failure->total_bytes = VG_BYTES_UNKNOWN;
    vg_driver_memory(failure->device, &failure->free_bytes, &failure->total_bytes);
}

/* The functions that PyTorch's caching allocator calls again after it has emptied its cache:
 * cudaMalloc and, for expandable segments, cuMemCreate (c10/cuda/CUDACachingAllocator.cpp,
 * alloc_block). */
static bool is_made_twice(enum vg_function_id function)
{
    return function == VG_FN_cuMemAlloc_v2 || function == VG_FN_cuMemCreate;
}

/* The call whose success shows that the program has what it needs. An expandable segment is made of
 * many pieces, of which none is mapped before all are made: after a failure PyTorch lets go of them
 * and begins anew, so a piece that it gets again means nothing (c10/cuda/CUDACachingAllocator.cpp,
 * ExpandableSegment::map). */
static uint16_t completing(enum vg_function_id function)
{
    return function == VG_FN_cuMemCreate ? VG_FN_cuMemMap : (uint16_t)function;
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
                    .spilled = &state->spilled,
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
        .searches_batch_size = vg_caller_searches_batch_size(&state->recorder, stack_id),
        .capturing = vg_captures_live(),
        .twice = is_made_twice(call->function),
        .lacks_elsewhere = lacks_elsewhere(call->function),
    };
    measure_device(&call->failure);
    call->rescue = (struct vg_rescue){
        .policy = &state->policy,
        .options = state->options,
        .failure = &call->failure,
        .request = call->request,
        .history = &state->history,
    };
    call->course = vg_triage(&call->failure, completing(call->function), &state->history,
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
    call->failure.failure_number = atomic_fetch_add(&state->recorder.header->failure_count, 1) + 1;
    vg_triage_returned(&state->history, vg_clock_monotonic_ns());
    vg_report_failure(&call->failure);
}

static __attribute__((noinline)) bool answer_failure(struct vg_call *call)
{
    const int saved_errno = errno;
    if (!call->state)
        call->state = vg_process_start();
    if (!call->state)
        return false; /* switched off */
    if (!call->failing)
        describe_failure(call);
    const bool again = follow_course(call);
    if (call->placed) {
        vg_triage_placed(&call->state->history, &call->failure, vg_clock_monotonic_ns());
        vg_triage_rescued(&vg_thread.last_failure, &call->failure);
        vg_rescue_record(&call->failure);
    } else if (!again)
        give_up(call);
    errno = saved_errno;
    return again;
}

/* The call lacked memory before, and now does not. */
static __attribute__((noinline)) void end_failure(struct vg_call *call)
{
    const int saved_errno = errno;
    vg_policy_end(&call->rescue, call->result == CUDA_SUCCESS);
    if (call->result == CUDA_SUCCESS)
        vg_triage_rescued(&vg_thread.last_failure, &call->failure);
    if (call->result == CUDA_SUCCESS && call->failure.action_count > 0)
        vg_rescue_record(&call->failure);
    errno = saved_errno;
}

bool vg_guard_again(struct vg_call *call)
{
    if (__builtin_expect(call->result == CUDA_ERROR_OUT_OF_MEMORY, 0))
        return answer_failure(call);
    if (__builtin_expect(call->failing, 0))
        end_failure(call);
    return false;
}

/* ---- before the call ---- */

static struct vg_coming coming_to(const struct vg_process_state *state, int device, uint64_t bytes,
                                  uint64_t wait_ms)
{
    const struct vg_file_device *const described = &state->recorder.header->devices[device];
    return (struct vg_coming){ .device = device,
                               .uuid = described->uuid,
                               .registration = &state->registrations[device],
                               .total_bytes = described->total_bytes,
                               .bytes = bytes,
                               .wait_ms = wait_ms,
                               .priority = (uint16_t)state->options->priority.number };
}

/* While this process holds next to nothing, others may be before it. Once it has been held back, or
 * holds something, it is a holder, and holders are never held back. */
static void ask_queue(struct vg_call *call)
{
    struct vg_process_state *const state = call->state;
    const int device = device_of_call(call);
    if (device < 0)
        return;
    vg_process_use_device(state, device);
    if (state->recorder.header->devices[device].live_bytes >= VG_NEWCOMER_BYTES) {
        atomic_fetch_and(&state->gates, ~(unsigned)VG_GATE_QUEUE);
        return;
    }
    if (!vg_newcomer_concerns(&state->registrations[device]) || vg_captures_live() ||
        call->asked_bytes == VG_BYTES_UNKNOWN || call->failing)
        return;
    const struct vg_coming coming =
        coming_to(state, device, call->asked_bytes, vg_policy_wait_ms(&state->policy));
    if (!vg_newcomer_hold_back(&coming))
        atomic_fetch_and(&state->gates, ~(unsigned)VG_GATE_QUEUE);
}

bool vg_guard_ask_gates(struct vg_call *call)
{
    const unsigned gates = call->state->gates;
    const int saved_errno = errno;
    call->refused_by = VG_REFUSED_BY_DRIVER;
    if (gates & VG_GATE_QUEUE)
        ask_queue(call);
    errno = saved_errno;
    return true;
}

/* The process's first context on `device` is about to be made: VRAMGUARD_NEED. */
static void await_need(int device)
{
    static _Atomic uint32_t awaited; /* a bit for each device */
    const struct vg_options *const options = vg_process_options();
    if (options->need.number == 0 || options->enabled.number == VG_ENABLED_OFF || device < 0 ||
        device >= VG_FILE_HOST ||
        (atomic_fetch_or(&awaited, UINT32_C(1) << device) & UINT32_C(1) << device))
        return;
    const int saved_errno = errno;
    struct vg_process_state *const state = vg_process_start();
    if (state) {
        vg_process_use_device(state, device);
        await_device(state, device);
        const struct vg_coming coming =
            coming_to(state, device, options->need.number, options->need_wait.number);
        vg_need_await(&coming);
    }
    errno = saved_errno;
}

bool vg_guard_begin_watched(struct vg_call *call, enum vg_function_id function, int device)
{
    if (!vg_driver_has(function) || vg_thread.depth > 0)
        return false;
    vg_thread.depth = 1;
    if (device >= 0) /* those that make a context name their device */
        await_need(device);
    call->state = NULL;
    call->function = function;
    call->asked_bytes = VG_BYTES_UNKNOWN;
    call->device = device;
    call->failing = false;
    call->refused_by = VG_REFUSED_BY_DRIVER;
    call->request = NULL;
    return true;
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
    if (vg_guard_placed(call))
        kind = vg_kind_traits(kind) & VG_TRAIT_HANDLE ? VG_KIND_SPILLED_VIRTUAL : VG_KIND_SPILLED;
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
    vg_track_put(&state->track, &allocation);
    publish_held(state, device);
    errno = saved_errno;
}

void vg_guard_forget(struct vg_process_state *state, uint64_t key)
{
    struct vg_taken taken;
    struct vg_spilled_node *const spilled =
        vg_spilled_any() ? vg_spilled_take(&state->spilled, key) : NULL;
    if (spilled)
        vg_spilled_forget(&state->spilled, spilled);
    if (key == 0 || !vg_track_take(&state->track, key, &taken))
        return;
    vg_track_forget(&state->track, &taken);
    publish_held(state, taken.device);
    tell_freed(state, taken.device);
}

void vg_guard_drop_context(CUcontext context)
{
    struct vg_process_state *const state = vg_process_current;
    if (!state || state->inert || !vg_fork_mark_intact())
        return;
    vg_track_drop_context(&state->track, (uint64_t)(uintptr_t)context);
    if (vg_spilled_any())
        vg_spilled_drop_context(&state->spilled, (uint64_t)(uintptr_t)context);
    for (int device = 0; device < VG_FILE_DEVICES; device++)
        if (atomic_load(&state->device_stage[device]) == VG_DEVICE_READY) {
            publish_held(state, device);
            tell_freed(state, device);
        }
}

CUresult vg_guard_end(struct vg_call *call)
{
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
        if (result == CUDA_SUCCESS)
            vg_track_forget(&call->state->track, &call->taken);
        else
            vg_track_restore(&call->state->track, &call->taken);
        publish_held(call->state, call->taken.device);
        tell_freed(call->state, call->taken.device);
    }
    vg_guard_leave();
    return result;
}
