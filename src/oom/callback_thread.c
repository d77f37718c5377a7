#include "oom/callback_thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/driver.h"
#include "oom/catch.h"
#include "os/thread.h"

enum { STACK_BYTES = 8 << 20 /* what main threads have; used only as far as needed */ };

enum stage { FREE, CLAIMED, RUNNING, ENDED, ABANDONED };

/* The helper's stage in the lower half, its process in the upper: a forked child inherits the
 * stage, but no helper. */
static _Atomic uint64_t helper;

/* Process of which the present thread is the helper; 0 in all other threads. */
static _Thread_local pid_t helper_process;

/* What the helper works on, valid while it is claimed. */
static struct vg_callback_thread_task current;
static enum vg_callback_thread_end end;

static uint64_t encode_stage(enum stage stage)
{
    return (uint64_t)getpid() << 32 | stage;
}

static bool move_stage(enum stage from, enum stage to)
{
    uint64_t before = encode_stage(from);
    return atomic_compare_exchange_strong(&helper, &before, encode_stage(to));
}

bool vg_callback_thread_is_current(void)
{
    return helper_process != 0 && helper_process == getpid();
}

/* Sleeps a little, longer each time up to two milliseconds. */
static void sleep_briefly(uint64_t *ns)
{
    const struct timespec pause = { .tv_nsec = (long)*ns };
    nanosleep(&pause, NULL);
    *ns = *ns < 1000000 ? *ns * 2 : 2000000;
}

static bool try_claim(void)
{
    uint64_t before = atomic_load(&helper);
    const bool usable = before >> 32 != (uint64_t)getpid() || (before & UINT32_MAX) == FREE;
    return usable && atomic_compare_exchange_strong(&helper, &before, encode_stage(CLAIMED));
}

int vg_callback_thread_claim(uint64_t until_ns)
{
    uint64_t pause_ns = 50000;
    while (!try_claim()) {
        if (atomic_load(&helper) == encode_stage(ABANDONED) || vg_clock_monotonic_ns() >= until_ns)
            return -EBUSY;
        sleep_briefly(&pause_ns);
    }
    return 0;
}

void vg_callback_thread_release(void)
{
    move_stage(CLAIMED, FREE);
}

void vg_callback_thread_await_end(uint64_t until_ns)
{
    uint64_t pause_ns = 20000;
    while (atomic_load(&helper) == encode_stage(ABANDONED) && vg_clock_monotonic_ns() < until_ns)
        sleep_briefly(&pause_ns);
}

/* ---- in the helper ---- */

/* Runs when the work is over, even if it ended the thread. */
static void finish_work(void *unused)
{
    (void)unused;
    /* A child that the work has forked and that came back from it: there is no program for it to go
     * on with. Its only thread ends, without exit handlers and buffers that are the parent's. */
    if (!vg_callback_thread_is_current())
        syscall(SYS_exit, 0);
    if (current.done)
        current.done(current.argument);
    if (current.context && vg_driver.cuCtxSetCurrent)
        vg_driver.cuCtxSetCurrent(NULL);
    if (!move_stage(RUNNING, ENDED))
        move_stage(ABANDONED, FREE);
}

static void *run_task(void *unused)
{
    CUstreamCaptureMode ignored;
    helper_process = getpid();
    pthread_setname_np(pthread_self(), "vramguard-trim");
    if (current.context && vg_driver.cuCtxSetCurrent)
        vg_driver.cuCtxSetCurrent(current.context);
    vg_driver_relax(&ignored); /* for all of the thread's life */
    pthread_cleanup_push(finish_work, unused);
    const bool returned = vg_catch_call(current.run, current.argument);
    if (vg_callback_thread_is_current())
        end = returned ? VG_CALLBACK_RETURNED : VG_CALLBACK_THREW;
    pthread_cleanup_pop(1);
    return NULL;
}

/* ---- in the caller ---- */

enum vg_callback_thread_end vg_callback_thread_run(const struct vg_callback_thread_task *task,
                                                   uint64_t until_ns,
                                                   void (*tick)(void *tick_argument),
                                                   void *tick_argument)
{
    uint64_t pause_ns = 20000;
    current = *task;
    end = VG_CALLBACK_EXITED;
    move_stage(CLAIMED, RUNNING);
    if (vg_thread_start(run_task, NULL, STACK_BYTES) != 0) {
        move_stage(RUNNING, CLAIMED);
        if (current.done)
            current.done(current.argument);
        return VG_CALLBACK_NO_THREAD;
    }
    while (atomic_load(&helper) == encode_stage(RUNNING)) {
        if (vg_clock_monotonic_ns() >= until_ns && move_stage(RUNNING, ABANDONED))
            return VG_CALLBACK_TIMED_OUT;
        tick(tick_argument);
        sleep_briefly(&pause_ns);
    }
    move_stage(ENDED, CLAIMED);
    return end;
}
