#include "guard/memory_read.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/cancellation.h"
#include "base/clock.h"
#include "base/region.h"
#include "driver/driver.h"
#include "guard/oom_call.h"
#include "guard/process_state.h"
#include "heap/managed.h"
#include "machine/machine.h"

/* What two threads tell at the same time is told by one of them. */
static void keep_read(struct vg_file_memory_read *read, uint64_t free_bytes, uint64_t total_bytes,
                      uint64_t own_bytes)
{
    if (atomic_exchange_explicit(&read->writing, 1, memory_order_acquire))
        return;
    read->free_bytes = free_bytes;
    read->total_bytes = total_bytes;
    read->own_bytes = own_bytes;
    read->realtime_ns = vg_clock_ns(CLOCK_REALTIME_COARSE);
    atomic_store_explicit(&read->writing, 0, memory_order_release);
}

static void keep_holders(struct vg_file_memory_read *read, const struct vg_machine_gpu *gpu)
{
    read->low_others_bytes = gpu->known ? gpu->others_bytes : VG_BYTES_UNKNOWN;
    read->holder_count = (uint32_t)gpu->process_count;
    for (size_t i = 0; i < gpu->process_count && i < VG_FILE_HOLDERS; i++) {
        const struct vg_machine_process *const process = &gpu->processes[i];
        struct vg_file_holder *const holder = &read->holders[i];
        holder->pid = process->pid;
        holder->bytes = process->bytes;
        holder->invisible = (process->flags & VG_PROCESS_INVISIBLE) != 0;
        if (!holder->invisible) /* a wrong name is worse than none */
            vg_machine_command(holder->command, sizeof holder->command, process->pid);
    }
}

struct low_read {
    struct vg_process_state *state;
    int device;
    uint64_t free_bytes, own_bytes;
};

static void look_who_holds_it(void *argument)
{
    const struct low_read *const low = argument;
    struct vg_process_state *const state = low->state;
    const int device = low->device;
    struct vg_file_memory_read *const read = &state->recorder.header->memory_reads[device];
    if (atomic_exchange(&read->low_begun, 1))
        return;
    vg_process_await_device(state, device);
    const struct vg_machine_question question = {
        .uuid = state->recorder.header->devices[device].uuid,
        .pci_bus_id = "",
        .file = state->registrations[device].file,
        .has_context = true,
    };
    struct vg_machine_gpu gpu;
    struct vg_region region = vg_region_over(NULL, 0);
    vg_machine_measure_gpu(&question, &region, &gpu);
    keep_holders(read, &gpu);
    vg_region_release(&region);
    read->low_free_bytes = low->free_bytes;
    read->low_own_bytes = low->own_bytes;
    __atomic_store_n(&read->low_realtime_ns, vg_clock_ns(CLOCK_REALTIME), __ATOMIC_RELEASE);
}

/* Is less than half free, and more than a quarter neither free nor ours? */
static bool others_hold_much(uint64_t free_bytes, uint64_t total_bytes, uint64_t own_bytes)
{
    const uint64_t used_bytes = total_bytes - free_bytes;
    return used_bytes > total_bytes / 2 && used_bytes > own_bytes &&
           used_bytes - own_bytes > total_bytes / 4;
}

/* The live allocations, without managed memory: looked for where the sum cannot be right, and not
 * by each of a program's many questions. */
static uint64_t own_bytes_of(struct vg_process_state *state, int device, uint64_t used_bytes)
{
    enum { SEARCHES = 16 };
    static _Atomic uint32_t searches;
    const uint64_t live_bytes = atomic_load_explicit(
        &state->recorder.header->devices[device].live_bytes, memory_order_relaxed);
    if (live_bytes <= used_bytes || atomic_fetch_add(&searches, 1) >= SEARCHES)
        return live_bytes;
    const uint64_t managed_bytes = vg_managed_live_bytes(&state->track, device);
    return live_bytes > managed_bytes ? live_bytes - managed_bytes : 0;
}

static void note_read(struct vg_process_state *state, int device, uint64_t free_bytes,
                      uint64_t total_bytes)
{
    struct vg_file_memory_read *const read = &state->recorder.header->memory_reads[device];
    const uint64_t own_bytes = own_bytes_of(state, device, total_bytes - free_bytes);
    keep_read(read, free_bytes, total_bytes, own_bytes);
    if (__builtin_expect(others_hold_much(free_bytes, total_bytes, own_bytes), 0) &&
        !atomic_load_explicit(&read->low_begun, memory_order_relaxed)) {
        struct low_read low = {
            .state = state, .device = device, .free_bytes = free_bytes, .own_bytes = own_bytes
        };
        vg_cancellation_hold();
        vg_stack_room_call(vg_thread.stack_lowest, look_who_holds_it, &low);
        vg_cancellation_release();
    }
}

void vg_memory_read_note(uint64_t free_bytes, uint64_t total_bytes)
{
    const int saved_errno = errno;
    CUdevice device;
    struct vg_guard_frame frame;
    struct vg_process_state *const state = vg_guard_enter(&frame, sizeof frame);
    if (!state)
        return;
    if (__builtin_expect(vg_thread.last_failure.tried, 0))
        vg_oom_call_memory_read(state);
    if (vg_driver.cuCtxGetDevice && vg_driver.cuCtxGetDevice(&device) == CUDA_SUCCESS &&
        device >= 0 && device < VG_FILE_HOST && free_bytes <= total_bytes) {
        vg_process_use_device(state, device);
        note_read(state, device, free_bytes, total_bytes);
    }
    vg_guard_leave();
    errno = saved_errno;
}
