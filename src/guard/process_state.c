#include "guard/process_state.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cancellation.h"
#include "base/log.h"
#include "base/option_names.h"
#include "driver/driver.h"
#include "guard/exclude.h"
#include "guard/reclaim_server.h"
#include "oom/action_spill.h"
#include "os/fork_gate.h"
#include "os/fork_mark.h"
#include "os/shrunk_file.h"
#include "os/stack_room.h"
#include "record/unseen.h"

struct vg_process_state *_Atomic vg_process_current;
_Thread_local struct vg_thread vg_thread;

static struct vg_process_state inert_state;

/* Set here and not above: initialised, its 230 KB would be in the file of the library. */
static struct vg_process_state *be_inert(void)
{
    __atomic_store_n(&inert_state.inert, true, __ATOMIC_RELAXED);
    return &inert_state;
}

static atomic_uint options_state; /* 0 unread, 1 being read, 2 read */
static struct vg_options options;

/* Once per process image; the environment that counts is the one at the first use of CUDA. */
const struct vg_options *vg_process_options(void)
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
    vg_policy_check_options();
    vg_option_read_environment(&options);
    if (options.exclude.text[0] && !vg_unseen_is_asked_for() &&
        vg_exclude_matches(options.exclude.text))
        options.enabled.number = VG_ENABLED_OFF;
    if (options.enabled.number != VG_ENABLED_OFF)
        vg_option_report_misspelt();
    atomic_store_explicit(&options_state, 2, memory_order_release);
    return &options;
}

bool vg_process_switched_off(void)
{
    return vg_process_options()->enabled.number == VG_ENABLED_OFF;
}

struct vg_tables vg_process_tables(struct vg_process_state *state)
{
    return (struct vg_tables){ .recorder = &state->recorder,
                               .track = &state->track,
                               .blocks = state->wants_blocks ? &state->blocks : NULL,
                               .graph_pools = &state->graph_pools,
                               .pools = &state->pools,
                               .spilled = &state->spilled,
                               .registrations = state->registrations,
                               .torch_settings = state->options->torch_settings,
                               .settings = state->options->settings };
}

/* First failures that nobody has asked again after: perhaps the program ends because of them. */
static void report_passed(struct vg_process_state *state)
{
    static struct vg_deferred_failure failure; /* large; one thread runs the handlers of exit */
    for (uint16_t place = 1; place <= VG_DEFERRED_OOM_MAX; place++)
        if (vg_deferred_oom_take(&state->passed, place, &failure))
            vg_deferred_oom_report(&failure, false);
}

bool vg_process_limited(void)
{
    const struct vg_options *const from = vg_process_options();
    return from->limit.text[0] != '\0' && from->enabled.number != VG_ENABLED_OFF;
}

bool vg_process_limit_of(int device, uint64_t *out_limit_bytes, uint64_t *out_left_bytes)
{
    const int saved_errno = errno;
    struct vg_process_state *const state = vg_process_start();
    const bool limited =
        state && vg_quota_left(&state->allowance, device, out_limit_bytes, out_left_bytes);
    errno = saved_errno;
    return limited;
}

static atomic_bool has_handler; /* at_exit is registered, here or in the parent */

/* Runs at exit() with the status; glibc's on_exit is the only way to learn it from inside. */
static void at_exit(int status, void *unused)
{
    struct vg_process_state *const state = atomic_load(&vg_process_current);
    (void)unused;
    atomic_store(&has_handler, false);
    if (!state || state->inert || !vg_fork_mark_intact())
        return;             /* a forked child that has no state of its own */
    vg_cancellation_hold(); /* for good: the process ends */
    const bool admitted = vg_shrunk_file_admit();
    vg_reclaim_server_close();
    report_passed(state);
    vg_spill_finish(&state->spilled);
    vg_recorder_finish(&state->recorder, status);
    for (int i = 0; i < VG_FILE_DEVICES; i++)
        if (atomic_load(&state->device_stage[i]) == VG_DEVICE_READY)
            vg_registry_leave(&state->registrations[i]);
    if (admitted)
        vg_shrunk_file_block();
}

static struct vg_stack_choice stack_choice(const struct vg_options *from)
{
    const uint64_t stacks = from->stacks.number;
    return (struct vg_stack_choice){
        .native = stacks == VG_STACKS_NATIVE || stacks == VG_STACKS_FULL,
        .python = stacks == VG_STACKS_PYTHON || stacks == VG_STACKS_FULL,
    };
}

/* Its pages are replaced when they are lost. */
static void watch_file(const struct vg_recorder *recorder)
{
    const struct vg_area *const areas[] = { &recorder->live, &recorder->journal,
                                            &recorder->block_area, &recorder->site_area };
    if (!recorder->path[0])
        return;
    vg_shrunk_file_watch(recorder->header, VG_FILE_HEADER_BYTES, vg_fork_mark_break);
    for (size_t i = 0; i < sizeof areas / sizeof areas[0]; i++)
        vg_shrunk_file_watch(areas[i]->base, areas[i]->reserved_bytes, vg_fork_mark_break);
}

/* Forked children inherit the handler, and need no other: on_exit takes a lock of the C library's
 * that another thread of the parent's may have held when they were forked. */
static void hear_of_exit(void)
{
    vg_fork_gate_enter(); /* no child gets the mark without the handler */
    if (!atomic_exchange(&has_handler, true))
        on_exit(at_exit, NULL);
    vg_fork_gate_leave();
}

static struct vg_process_state *make_state(const struct vg_options *from)
{
    void *const memory = mmap(NULL, sizeof(struct vg_process_state), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    struct vg_process_state *const state = memory;
    char why[64];
    vg_vmm_init(&state->virtual);
    state->pools.lock.rank = VG_LOCK_HANDLES;
    state->spilled.lock.rank = VG_LOCK_HANDLES;
    state->stacks = stack_choice(from);
    state->options = from;
    state->process = getpid();
    state->history.distributed = from->distributed;
    vg_policy_parse(from->policy.text, &state->policy, why, sizeof why);
    vg_reclaim_server_init(state);
    if (vg_policy_wait_ms(&state->policy) > 0)
        state->gates |= VG_GATE_QUEUE;
    if (from->inject.text[0] &&
        vg_inject_parse(from->inject.text, &state->inject, why, sizeof why) == 0)
        state->gates |= VG_GATE_INJECT;
    if (vg_quota_open(&state->allowance, from))
        state->gates |= VG_GATE_LIMIT;
    const struct vg_recorder_config config = {
        .path_template = from->log_path.text,
        .keep_runs = (unsigned)from->keep_runs.number,
        .keep_bytes = from->keep_disk.number,
    };
    if (vg_recorder_open(&state->recorder, &config) != 0 ||
        vg_live_index_init(&state->track, &state->recorder) != 0) {
        vg_recorder_release(&state->recorder); /* the program may need every bit of it */
        munmap(memory, sizeof *state);
        return NULL;
    }
    watch_file(&state->recorder);
    vg_blocks_init(&state->blocks, &state->recorder);
    state->wants_blocks = from->tensors.number != VG_TENSORS_OFF;
    state->wants_census = from->tensors.number == VG_TENSORS_FULL;
    vg_unseen_settle(!state->recorder.path[0]  ? VG_UNSEEN_UNWRITTEN
                     : config.path_template[0] ? VG_UNSEEN_ELSEWHERE
                                               : VG_UNSEEN_RECORDED);
    vg_registry_join("", &state->registrations[0]); /* unregistered, but usable */
    for (int i = 1; i < VG_FILE_DEVICES; i++)
        state->registrations[i] = state->registrations[0];
    hear_of_exit();
    return state;
}

/* A file of ours was cut short, or failed: what lay in it is gone, and this process's state is made
 * anew, as in a forked child. What does not lie in files goes on. The charges of a limit stay, also
 * of what is no longer known: no limit gets looser by that. */
static void take_over(struct vg_process_state *state, const struct vg_process_state *before)
{
    state->allowance = before->allowance;
    state->virtual = before->virtual;
    state->pools = before->pools;
    state->spilled = before->spilled;
    state->history = before->history;
    atomic_store(&state->allocation_count, atomic_load(&before->allocation_count));
    if (state->recorder.path[0])
        vg_log_line(
            "a file of vramguard's was cut short or cannot be read any more: what it knew of "
            "this program's memory is lost; it goes on in %s",
            state->recorder.path);
    else
        vg_log_line(
            "a file of vramguard's was cut short or cannot be read any more: what it knew of "
            "this program's memory is lost; it goes on without a file");
}

/* The state for this process, which may be a child that inherited its parent's. */
static struct vg_process_state *make_current(void)
{
    const struct vg_options *const from = vg_process_options();
    if (from->enabled.number == VG_ENABLED_OFF) {
        atomic_store(&vg_process_current, be_inert());
        return be_inert();
    }
    struct vg_lock *const lock = vg_fork_mark_lock();
    vg_lock_take(lock);
    struct vg_process_state *state = atomic_load(&vg_process_current);
    if (!state || !vg_fork_mark_intact()) {
        const struct vg_process_state *const before = state;
        state = make_state(from);
        if (state && before && !before->inert && before->process == getpid())
            take_over(state, before);
        if (!state) {
            vg_warn_once(VG_FAULT_LIVE_INDEX, "no memory for its tables: this run is not guarded");
            state = be_inert();
        }
        atomic_store(&vg_process_current, state);
        vg_fork_mark_set();
    }
    vg_lock_release(lock);
    return state;
}

static void make_current_into(void *out)
{
    *(struct vg_process_state **)out = make_current();
}

static void meet_thread(const struct vg_process_state *state)
{
    const int saved_errno = errno;
    vg_thread.thread_id = (uint32_t)syscall(SYS_gettid);
    const bool wants_stacks = state->stacks.native || state->stacks.python;
    vg_thread.stack_lowest = vg_stack_lowest();
    vg_thread.blocks_bus_errors = vg_shrunk_file_is_blocked();
    if (wants_stacks && vg_thread_has_room())
        vg_stack_open(state->stacks);
    vg_thread.last_failure = (struct vg_last_failure){ 0 };
    vg_thread.passed_place = 0;
    vg_thread.root_stack = 0;
    vg_thread.maker = 0;
    vg_thread.torch_refused = vg_thread.torch_told = 0;
    vg_thread.state = state;
    errno = saved_errno;
}

static struct vg_process_state *start_thread(void)
{
    struct vg_process_state *state = atomic_load(&vg_process_current);
    if (!state || (!state->inert && !vg_fork_mark_intact())) {
        const int saved_errno = errno;
        vg_stack_room_call(vg_stack_lowest(), make_current_into, &state);
        errno = saved_errno;
    }
    if (state->inert)
        return NULL;
    if (vg_thread.state != state)
        meet_thread(state);
    return state;
}

struct vg_process_state *vg_process_start(void)
{
    vg_cancellation_hold();
    struct vg_process_state *const state = start_thread();
    vg_cancellation_release();
    return state;
}

/* Other threads count into the old registration's held_bytes until the new one is whole. */
static void join_registry(struct vg_process_state *state, int ordinal)
{
    const struct vg_file_device *const device = &state->recorder.header->devices[ordinal];
    struct vg_registration *const current = &state->registrations[ordinal];
    struct vg_registration fresh;
    vg_registry_join(device->uuid, &fresh);
    current->file = fresh.file;
    current->device_number = fresh.device_number;
    current->inode = fresh.inode;
    __atomic_store_n(&current->queue, fresh.queue, __ATOMIC_RELEASE);
    __atomic_store_n(&current->held_bytes, fresh.held_bytes, __ATOMIC_RELEASE);
    atomic_store(fresh.held_bytes, atomic_load(&device->live_bytes));
}

static void describe_device(struct vg_process_state *state, int ordinal)
{
    struct vg_file_device *const device = &state->recorder.header->devices[ordinal];
    size_t total_bytes = 0;
    if (vg_driver.cuDeviceGetName)
        vg_driver.cuDeviceGetName(device->name, sizeof device->name, ordinal);
    vg_driver_device_uuid(ordinal, device->uuid, sizeof device->uuid);
    join_registry(state, ordinal);
    if (vg_driver.cuDeviceTotalMem_v2)
        vg_driver.cuDeviceTotalMem_v2(&total_bytes, ordinal);
    device->total_bytes = total_bytes;
}

void vg_process_describe_device(struct vg_process_state *state, int ordinal)
{
    uint32_t is_new = VG_DEVICE_NEW;
    if (!atomic_compare_exchange_strong(&state->device_stage[ordinal], &is_new, VG_DEVICE_BUSY))
        return;
    const int saved_errno = errno;
    vg_cancellation_hold();
    describe_device(state, ordinal);
    vg_cancellation_release();
    atomic_store_explicit(&state->device_stage[ordinal], VG_DEVICE_READY, memory_order_release);
    errno = saved_errno;
}

/* Another thread may be describing the device to the tables, which the report shows. It takes well
 * under a millisecond. */
static void await_ready(struct vg_process_state *state, int device)
{
    const struct timespec pause = { .tv_nsec = 100000 };
    for (int i = 0; i < 1000; i++) {
        if (atomic_load_explicit(&state->device_stage[device], memory_order_acquire) ==
            VG_DEVICE_READY)
            return;
        nanosleep(&pause, NULL);
    }
}

/* Who fails or waits looks whether others still find it. */
static void rejoin_if_lost(struct vg_process_state *state, int ordinal)
{
    uint32_t ready = VG_DEVICE_READY;
    const char *const uuid = state->recorder.header->devices[ordinal].uuid;
    if (!vg_registry_is_lost(&state->registrations[ordinal], uuid) ||
        !atomic_compare_exchange_strong(&state->device_stage[ordinal], &ready, VG_DEVICE_BUSY))
        return;
    join_registry(state, ordinal);
    vg_reclaim_server_move(state, ordinal);
    atomic_store_explicit(&state->device_stage[ordinal], VG_DEVICE_READY, memory_order_release);
}

void vg_process_await_device(struct vg_process_state *state, int ordinal)
{
    vg_process_use_device(state, ordinal);
    vg_cancellation_hold();
    await_ready(state, ordinal);
    rejoin_if_lost(state, ordinal);
    vg_cancellation_release();
}
