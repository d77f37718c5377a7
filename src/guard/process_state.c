#include "guard/process_state.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/stderr.h"
#include "driver/driver.h"
#include "guard/fork_mark.h"
#include "guard/stack.h"

enum device_state { DEVICE_NEW, DEVICE_BUSY, DEVICE_READY };

static struct vg_process_state *_Atomic current;
static struct vg_process_state inert_state = { .inert = true };

static _Thread_local struct {
    const struct vg_process_state *state; /* thread_id belongs to */
    uint32_t thread_id;
    uint32_t depth; /* > 0: inside the guard */
} thread;

static atomic_uint options_state; /* 0 unread, 1 being read, 2 read */
static struct vg_options options;

/* Once per process image; the environment that counts is the one at the first use of CUDA. */
static const struct vg_options *read_options(void)
{
    unsigned unread = 0;
    if (__builtin_expect(atomic_load_explicit(&options_state, memory_order_acquire) == 2, 1))
        return &options;
    /* Another thread may be at it for some microseconds. Should it never end (a child forked at
     * that very moment), reading again stores the same values. */
    if (!atomic_compare_exchange_strong(&options_state, &unread, 1))
        for (int i = 0; i < 10000; i++) {
            if (atomic_load_explicit(&options_state, memory_order_acquire) == 2)
                return &options;
            sched_yield();
        }
    vg_option_set_actions_check(vg_policy_check);
    vg_option_read_environment(&options);
    atomic_store_explicit(&options_state, 2, memory_order_release);
    return &options;
}

bool vg_process_switched_off(void)
{
    return read_options()->enabled.number == VG_ENABLED_OFF;
}

/* Runs at exit() with the status; glibc's on_exit is the only way to learn it from inside. */
static void at_exit(int status, void *argument)
{
    struct vg_process_state *const state = argument;
    if (atomic_load(&current) != state || !vg_fork_mark_intact())
        return; /* a forked child that inherited the handler */
    vg_recorder_finish(&state->recorder, status);
    for (int i = 0; i < VG_FILE_DEVICES; i++)
        if (atomic_load(&state->device_state[i]) == DEVICE_READY)
            vg_registry_leave(&state->registrations[i]);
}

static struct vg_process_state *make_state(const struct vg_options *from)
{
    void *const memory = mmap(NULL, sizeof(struct vg_process_state), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    struct vg_process_state *const state = memory;
    char why[64];
    state->options = *from;
    state->wants_stacks = from->stacks.number != VG_STACKS_OFF;
    vg_policy_parse(from->policy.text, &state->policy, why, sizeof why);
    const struct vg_recorder_config config = {
        .path_template = from->log_path.text,
        .keep_runs = (unsigned)from->keep_runs.number,
        .snapshot_bytes = sizeof(struct vg_snapshot),
    };
    if (vg_recorder_open(&state->recorder, &config) != 0 ||
        vg_track_init(&state->track, &state->recorder) != 0)
        return NULL;
    vg_registry_join("", &state->registrations[0]); /* unregistered, but usable */
    for (int i = 1; i < VG_FILE_DEVICES; i++)
        state->registrations[i] = state->registrations[0];
    on_exit(at_exit, state);
    return state;
}

/* The state for this process, which may be a child that inherited its parent's. */
static struct vg_process_state *start(void)
{
    const int saved_errno = errno;
    const struct vg_options *const from = read_options();
    if (from->enabled.number == VG_ENABLED_OFF) {
        atomic_store(&current, &inert_state);
        return &inert_state;
    }
    if (from->stacks.number != VG_STACKS_OFF)
        vg_stack_open(); /* enters the loader: before the lock */
    struct vg_lock *const lock = vg_fork_mark_lock();
    vg_lock_take(lock);
    struct vg_process_state *state = atomic_load(&current);
    if (!state || !vg_fork_mark_intact()) {
        state = make_state(from);
        if (!state) {
            vg_fault_line(VG_FAULT_TRACK, "no memory for its tables: this run is not guarded");
            state = &inert_state;
        }
        atomic_store(&current, state);
        vg_fork_mark_set();
    }
    vg_lock_release(lock);
    errno = saved_errno;
    return state;
}

struct vg_process_state *vg_guard_enter(void)
{
    if (thread.depth > 0)
        return NULL;
    thread.depth = 1;
    struct vg_process_state *state = atomic_load_explicit(&current, memory_order_acquire);
    if (__builtin_expect(!state || !vg_fork_mark_intact(), 0))
        state = start();
    if (state->inert) {
        thread.depth = 0;
        return NULL;
    }
    if (__builtin_expect(thread.state != state, 0)) {
        thread.thread_id = (uint32_t)syscall(SYS_gettid);
        thread.state = state;
    }
    return state;
}

void vg_guard_leave(void)
{
    thread.depth = 0;
}

uint32_t vg_guard_thread_id(void)
{
    return thread.thread_id;
}

static void describe_device(struct vg_process_state *state, int ordinal)
{
    struct vg_file_device *const device = &state->recorder.header->devices[ordinal];
    size_t total_bytes = 0;
    if (vg_driver.cuDeviceGetName)
        vg_driver.cuDeviceGetName(device->name, sizeof device->name, ordinal);
    vg_driver_device_uuid(ordinal, device->uuid, sizeof device->uuid);
    struct vg_registration registration;
    vg_registry_join(device->uuid, &registration);
    state->registrations[ordinal] = registration;
    if (vg_driver.cuDeviceTotalMem_v2)
        vg_driver.cuDeviceTotalMem_v2(&total_bytes, ordinal);
    device->total_bytes = total_bytes;
    atomic_store(registration.held_bytes, atomic_load(&device->live_bytes));
}

struct vg_registration *vg_process_device(struct vg_process_state *state, int ordinal)
{
    _Atomic uint32_t *const stage = &state->device_state[ordinal];
    uint32_t is_new = DEVICE_NEW;
    if (__builtin_expect(atomic_load_explicit(stage, memory_order_acquire) == DEVICE_NEW, 0) &&
        atomic_compare_exchange_strong(stage, &is_new, DEVICE_BUSY)) {
        const int saved_errno = errno;
        describe_device(state, ordinal);
        atomic_store_explicit(stage, DEVICE_READY, memory_order_release);
        errno = saved_errno;
    }
    return &state->registrations[ordinal];
}
