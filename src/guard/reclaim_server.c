#include "guard/reclaim_server.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/size.h"
#include "driver/captures.h"
#include "driver/driver.h"
#include "guard/guard.h"
#include "guard/idle_pools.h"
#include "machine/machine.h"
#include "oom/callback_thread.h"
#include "oom/python_trim.h"
#include "os/thread.h"
#include "shared/alive.h"
#include "shared/reclaim_slot.h"

enum {
    STACK_BYTES = 256 << 10, /* thread-local storage of the program's libraries included */
    SPACING_MS = 2000,       /* between two answers */
    TELL_MS = 1000,          /* on a busy machine a thread may have to wait for its turn */
};

#define DAY_NS       (86400000 * VG_MS_NS)
#define FIRST_BYTES  (64 * VG_MIB)
#define NEVER        UINT64_MAX
#define WORTH_A_LINE (64 * VG_MIB)

/* What one thread works with. Static: the helper may outlive its patience. */
struct listener {
    struct vg_process_state *state;
    struct vg_reclaim_slot *_Atomic ask; /* another one when the process is registered anew */
    struct vg_queue *_Atomic queue;
    int device;
    uint64_t asker, wanted_bytes;         /* of the question that is being answered */
    char asker_name[VG_MACHINE_NAME_CAP]; /* it may be gone in the end */
    uint64_t live_bytes, pooled_bytes;    /* before the answer */
};

static struct listener listeners[VG_FILE_DEVICES];

/* Of the thread that has claimed the helper. */
static struct vg_python_trim work;

/* Caches have been emptied, and the user does not know yet. */
static atomic_bool untold;

void vg_reclaim_server_init(struct vg_process_state *state)
{
    const bool listens = vg_policy_has_trim(&state->policy);
    for (int i = 0; i < VG_FILE_DEVICES; i++)
        state->listen_at_bytes[i] = listens && i != VG_FILE_HOST ? FIRST_BYTES : NEVER;
}

/* ---- one answer ---- */

static uint64_t live_bytes(const struct listener *l)
{
    return atomic_load(&l->state->recorder.header->devices[l->device].live_bytes);
}

/* By the record of this process: what is free on the device, others change, too. */
static uint64_t given_bytes(const struct listener *l)
{
    const uint64_t live = live_bytes(l);
    return l->live_bytes > live ? l->live_bytes - live : 0;
}

/* What the driver keeps for the process, in use or not: the cache of PyTorch's backend
 * cudaMallocAsync, of RMM and others. */
static uint64_t pooled_bytes(const struct listener *l)
{
    struct vg_idle_pools pools;
    vg_idle_pools_measure(&l->state->pools, l->device, &pools);
    return pools.reserved_bytes;
}

/* For reports of others (analyze/collect.c). */
static void tell_idle(const struct listener *l)
{
    struct vg_idle_pools pools;
    vg_idle_pools_measure(&l->state->pools, l->device, &pools);
    atomic_store(&l->ask->idle_mib, (uint32_t)(pools.unused_bytes / VG_MIB));
}

/* With what pools have given back; at the end. */
static uint64_t all_given_bytes(const struct listener *l)
{
    const uint64_t pooled = pooled_bytes(l), given = given_bytes(l);
    const uint64_t by_pools = l->pooled_bytes > pooled ? l->pooled_bytes - pooled : 0;
    return by_pools > given ? by_pools : given;
}

static bool is_still_wanted(const struct listener *l)
{
    return vg_queue_is_waited_for(l->queue) && vg_alive(l->asker);
}

/* Asked in the helper, with the GIL: only what changes in the meantime. */
static bool may_begin(void *argument)
{
    const struct listener *const l = argument;
    return atomic_load(&l->state->history.failing_calls) == 0 && !vg_captures_live() &&
           is_still_wanted(l);
}

static void tell_so_far(void *argument)
{
    const struct listener *const l = argument;
    atomic_store(&l->ask->gave_mib, (uint32_t)(given_bytes(l) / VG_MIB));
}

/* The device's primary context, retained; NULL when it is not in use. Without a current context the
 * CUDA runtime would make one on GPU 0 to free memory of another (CUDA Runtime API, "Interactions
 * with the CUDA Driver API"). */
static CUcontext retain_context(int device)
{
    unsigned flags;
    int active = 0;
    CUcontext context = NULL;
    if (!vg_driver.cuDevicePrimaryCtxGetState || !vg_driver.cuDevicePrimaryCtxRetain ||
        vg_driver.cuDevicePrimaryCtxGetState(device, &flags, &active) != CUDA_SUCCESS || !active ||
        vg_driver.cuDevicePrimaryCtxRetain(&context, device) != CUDA_SUCCESS)
        return NULL;
    return context;
}

/* In the helper, afterwards. If the program has given its context up meanwhile, it ends here. */
static void release_context(void *argument)
{
    const struct listener *const l = argument;
    CUcontext context = NULL;
    unsigned flags;
    int active = 1;
    vg_driver.cuCtxGetCurrent(&context);
    vg_driver.cuCtxSetCurrent(NULL);
    if (vg_driver.cuDevicePrimaryCtxRelease_v2)
        vg_driver.cuDevicePrimaryCtxRelease_v2(l->device);
    else if (vg_driver.cuDevicePrimaryCtxRelease)
        vg_driver.cuDevicePrimaryCtxRelease(l->device);
    if (vg_driver.cuDevicePrimaryCtxGetState(l->device, &flags, &active) == CUDA_SUCCESS && !active)
        vg_guard_drop_context(context);
}

static void run_work(void *argument)
{
    (void)argument;
    vg_python_trim_run(&work);
    atomic_store(&untold, work.end == VG_PYTHON_TRIM_DONE);
}

/* Runs the claimed helper, and releases it. */
static enum vg_callback_thread_end ask_python(struct listener *l, uint64_t until_ns,
                                              struct vg_python_trim *out)
{
    struct vg_callback_thread_task task = { .run = run_work,
                                            .done = release_context,
                                            .argument = l };
    work = (struct vg_python_trim){
        .collect = l->state->options->python_trim.number == VG_PYTHON_TRIM_FULL,
        .until_ns = until_ns,
        .may_begin = may_begin,
        .argument = l,
    };
    task.context = retain_context(l->device);
    if (!task.context) {
        vg_callback_thread_release();
        return VG_CALLBACK_EXITED;
    }
    const enum vg_callback_thread_end end = vg_callback_thread_run(&task, until_ns, tell_so_far, l);
    if (end != VG_CALLBACK_TIMED_OUT) {
        *out = work;
        vg_callback_thread_release();
    }
    return end;
}

static void tell_given(const struct listener *l, uint64_t bytes)
{
    char gave[VG_SIZE_TEXT_CAP], wanted[VG_SIZE_TEXT_CAP];
    if (bytes < WORTH_A_LINE)
        return;
    vg_log_line("GPU %d: gave back %s of cached memory: %s asked for %s", l->device,
                vg_size_format(gave, bytes), l->asker_name,
                vg_size_format(wanted, l->wanted_bytes));
}

static void tell_trouble(const struct listener *l, enum vg_callback_thread_end end,
                         const struct vg_python_trim *done)
{
    char time[VG_DURATION_TEXT_CAP];
    if (end == VG_CALLBACK_TIMED_OUT)
        vg_warn_once(VG_FAULT_PYTHON_TRIM,
                     "GPU %d: another process asked for memory, but Python's caches could not be "
                     "emptied within %s (VRAMGUARD_TRIM_TIMEOUT): the request was not satisfied",
                     l->device, vg_duration_format(time, l->state->options->trim_timeout.number));
    else if (end == VG_CALLBACK_NO_THREAD)
        vg_warn_once(VG_FAULT_TRIM_THREAD,
                     "cannot make a thread to empty Python's caches in: another process's request "
                     "was not satisfied");
    if (done->why[0])
        vg_warn_once(VG_FAULT_PYTHON_TRIM, "GPU %d: emptying Python's caches: %s", l->device,
                     done->why);
}

/* No more often than that, whichever GPU is asked for: a cache that has just been emptied is worth
 * more to the program than to others. */
static void keep_distance(void)
{
    static _Atomic uint64_t last_ns; /* a forked child's may be its parent's: it waits a little */
    const uint64_t now_ns = vg_clock_monotonic_ns();
    const uint64_t next_ns = atomic_load(&last_ns) + SPACING_MS * VG_MS_NS;
    if (now_ns < next_ns) {
        const struct timespec pause = { .tv_sec = (time_t)((next_ns - now_ns) / (1000 * VG_MS_NS)),
                                        .tv_nsec = (long)((next_ns - now_ns) % (1000 * VG_MS_NS)) };
        nanosleep(&pause, NULL);
    }
    atomic_store(&last_ns, vg_clock_monotonic_ns());
}

/* Python's caches, when there are any. */
static void give_python_caches(struct listener *l)
{
    struct vg_python_trim done = { .why = "" };
    const uint64_t until_ns =
        vg_clock_monotonic_ns() + l->state->options->trim_timeout.number * VG_MS_NS;
    if (l->state->options->python_trim.number == VG_PYTHON_TRIM_OFF ||
        !vg_python_trim_is_possible() || vg_callback_thread_claim(until_ns) != 0)
        return;
    const enum vg_callback_thread_end end = ask_python(l, until_ns, &done);
    tell_trouble(l, end, &done);
}

static void answer_request(struct listener *l)
{
    keep_distance();
    l->asker = atomic_load(&l->ask->asker);
    l->wanted_bytes = atomic_load(&l->ask->wanted_mib) * VG_MIB;
    if (!may_begin(l))
        return;
    vg_machine_name(l->asker_name, sizeof l->asker_name, (int32_t)vg_process_owner_pid(l->asker));
    l->live_bytes = live_bytes(l);
    l->pooled_bytes = pooled_bytes(l);
    vg_idle_pools_trim(&l->state->pools, l->device); /* first: the program notices least */
    atomic_store(&l->ask->gave_mib, (uint32_t)(all_given_bytes(l) / VG_MIB));
    vg_queue_tell_freed(l->queue); /* what pools of the driver gave back, nobody has told */
    if (all_given_bytes(l) < l->wanted_bytes)
        give_python_caches(l);
    const uint64_t bytes = all_given_bytes(l);
    atomic_store(&l->ask->gave_mib, (uint32_t)(bytes / VG_MIB));
    tell_given(l, bytes);
    atomic_store(&untold, false);
    tell_idle(l);
    vg_queue_tell_freed(l->queue);
}

/* ---- the thread ---- */

static void *serve_requests(void *argument)
{
    struct listener *const l = argument;
    pthread_setname_np(pthread_self(), "vramguard-give");
    /* `listens` is cleared when the process leaves the registry: the words are another's then. */
    for (;;) {
        struct vg_reclaim_slot *const ask = l->ask;
        if (!atomic_load(&ask->listens))
            return NULL;
        const uint32_t asked = atomic_load(&ask->asked);
        if (atomic_load(&ask->answered) == asked) {
            vg_queue_sleep(&ask->asked, asked, DAY_NS);
            continue;
        }
        if (atomic_load(&ask->wanted_mib) == 0)
            tell_idle(l); /* a report only wants to know */
        else
            answer_request(l);
        if (atomic_load(&ask->listens))
            atomic_store(&ask->answered, asked);
    }
}

static void listen_at(struct listener *l, struct vg_reclaim_slot *ask)
{
    atomic_store(&ask->answered, atomic_load(&ask->asked));
    atomic_store(&ask->listens, 1);
    l->queue = l->state->registrations[l->device].queue;
    l->ask = ask;
}

static void begin_listening(struct vg_process_state *state, int device)
{
    struct listener *const l = &listeners[device];
    struct vg_reclaim_slot *const ask = vg_registry_reclaim_slot(&state->registrations[device]);
    if (!ask)
        return; /* unregistered: nobody can ask */
    l->state = state;
    l->device = device;
    listen_at(l, ask);
    if (vg_thread_start(serve_requests, l, STACK_BYTES) == 0)
        return;
    atomic_store(&ask->listens, 0);
    vg_warn_once(VG_FAULT_TRIM_THREAD,
                 "cannot make a thread that gives caches back when other processes ask");
}

/* Is there anything that the process might keep without need? */
static bool may_have_caches(struct vg_process_state *state, int device)
{
    struct vg_idle_pools pools;
    if (state->options->python_trim.number != VG_PYTHON_TRIM_OFF && vg_python_trim_is_possible())
        return true;
    vg_idle_pools_measure(&state->pools, device, &pools);
    return pools.reserved_bytes > 0;
}

/* Frameworks may be loaded, and pools used, later than the first memory is taken: it is looked for
 * again whenever what the process holds has doubled. */
void vg_reclaim_server_consider(struct vg_process_state *state, int device, uint64_t live_bytes)
{
    uint64_t at = state->listen_at_bytes[device];
    if (live_bytes < at || at == NEVER)
        return;
    const bool possible = may_have_caches(state, device);
    const uint64_t next = possible ? NEVER : 2 * live_bytes;
    if (atomic_compare_exchange_strong(&state->listen_at_bytes[device], &at, next) && possible)
        begin_listening(state, device);
}

void vg_reclaim_server_move(struct vg_process_state *state, int device)
{
    struct listener *const l = &listeners[device];
    struct vg_reclaim_slot *const before = l->state == state ? l->ask : NULL;
    struct vg_reclaim_slot *const ask = vg_registry_reclaim_slot(&state->registrations[device]);
    if (!before || !ask || !atomic_load(&before->listens))
        return;
    listen_at(l, ask);
    vg_queue_wake(&before->asked); /* it looks at the new one */
}

void vg_reclaim_server_close(void)
{
    const struct timespec pause = { .tv_nsec = 1000000 };
    vg_python_trim_close();
    for (int i = 0; i < TELL_MS && atomic_load(&untold); i++)
        nanosleep(&pause, NULL);
}
