#include "policy/helper.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/thread.h"
#include "driver/driver.h"
#include "policy/catch.h"

enum { STACK_BYTES = 8 << 20 /* what main threads have; used only as far as needed */ };

enum stage { FREE, CLAIMED, RUNNING, ENDED, ABANDONED };

/* The helper's stage in the lower half, its process in the upper: a forked child inherits the
 * stage, but no helper. */
static _Atomic uint64_t helper;

/* Process of which the present thread is the helper; 0 in all other threads. */
static _Thread_local pid_t helper_process;

/* What the helper works on, valid while it is claimed. */
static struct vg_helper_task current;
static enum vg_helper_end end;

static uint64_t state(enum stage stage)
{
    return (uint64_t)getpid() << 32 | stage;
}

static bool move(enum stage from, enum stage to)
{
    uint64_t before = state(from);
    return atomic_compare_exchange_strong(&helper, &before, state(to));
}

bool vg_helper_is_current(void)
{
    return helper_process != 0 && helper_process == getpid();
}

/* Sleeps a little, longer each time up to two milliseconds. */
static void nap(uint64_t *ns)
{
    const struct timespec pause = { .tv_nsec = (long)*ns };
    nanosleep(&pause, NULL);
    *ns = *ns < 1000000 ? *ns * 2 : 2000000;
}

static bool try_claim(void)
{
    uint64_t before = atomic_load(&helper);
    const bool usable = before >> 32 != (uint64_t)getpid() || (before & UINT32_MAX) == FREE;
    return usable && atomic_compare_exchange_strong(&helper, &before, state(CLAIMED));
}

int vg_helper_claim(uint64_t until_ns)
{
    uint64_t pause_ns = 50000;
    while (!try_claim()) {
        if (atomic_load(&helper) == state(ABANDONED) || vg_clock_monotonic_ns() >= until_ns)
            return -EBUSY;
        nap(&pause_ns);
    }
    return 0;
}

void vg_helper_release(void)
{
    move(CLAIMED, FREE);
}

/* ---- in the helper ---- */

/* Runs when the work is over, even if it ended the thread. */
static void finish(void *unused)
{
    (void)unused;
    /* A child that the work has forked and that came back from it: there is no program for it to go
     * on with. Its only thread ends, without exit handlers and buffers that are the parent's. */
    if (!vg_helper_is_current())
        syscall(SYS_exit, 0);
    if (current.done)
        current.done(current.argument);
    if (current.context && vg_driver.cuCtxSetCurrent)
        vg_driver.cuCtxSetCurrent(NULL);
    if (!move(RUNNING, ENDED))
        move(ABANDONED, FREE);
}

static void *work(void *unused)
{
    CUstreamCaptureMode ignored;
    helper_process = getpid();
    pthread_setname_np(pthread_self(), "vramguard-trim");
    if (current.context && vg_driver.cuCtxSetCurrent)
        vg_driver.cuCtxSetCurrent(current.context);
    vg_driver_relax(&ignored); /* for all of the thread's life */
    pthread_cleanup_push(finish, unused);
    const bool returned = vg_catch_call(current.run, current.argument);
    if (vg_helper_is_current())
        end = returned ? VG_HELPER_RETURNED : VG_HELPER_THREW;
    pthread_cleanup_pop(1);
    return NULL;
}

/* ---- in the caller ---- */

/* All signals stay with the program's threads, except those that a fault sends to the thread that
 * made it: runtimes handle them. */
static void choose_signals(sigset_t *blocked)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };
    sigfillset(blocked);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++)
        sigdelset(blocked, faults[i]);
}

static int start(void)
{
    sigset_t blocked;
    choose_signals(&blocked);
    return vg_thread_start(work, NULL, STACK_BYTES, &blocked);
}

enum vg_helper_end vg_helper_run(const struct vg_helper_task *task, uint64_t until_ns,
                                 void (*tick)(void *tick_argument), void *tick_argument)
{
    uint64_t pause_ns = 20000;
    current = *task;
    end = VG_HELPER_EXITED;
    move(CLAIMED, RUNNING);
    if (start() != 0) {
        move(RUNNING, CLAIMED);
        if (current.done)
            current.done(current.argument);
        return VG_HELPER_NO_THREAD;
    }
    while (atomic_load(&helper) == state(RUNNING)) {
        if (vg_clock_monotonic_ns() >= until_ns && move(RUNNING, ABANDONED))
            return VG_HELPER_TIMED_OUT;
        tick(tick_argument);
        nap(&pause_ns);
    }
    move(ENDED, CLAIMED);
    return end;
}
