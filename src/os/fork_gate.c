#include "os/fork_gate.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "base/every_process.h"

enum { PAUSE_NS = 50000, PAUSES = 20000, /* a second */ INSIDE_PLACES = 16 };

/* Threads inside, counted in several places: all that capture stacks come by here. */
VG_EVERY_PROCESS_DATA static struct {
    _Alignas(64) atomic_uint count;
} inside[INSIDE_PLACES];
VG_EVERY_PROCESS_DATA static atomic_uint forking_count; /* threads in fork */
static atomic_uint left_inside; /* that fork has waited for in vain: it does so once */
static _Thread_local unsigned depth;
VG_EVERY_PROCESS_DATA static pid_t first_process;

__attribute__((constructor)) static void note_process(void)
{
    first_process = getpid();
}

VG_EVERY_PROCESS bool vg_is_forked_child(void)
{
    return first_process != 0 && first_process != getpid();
}

static void pause_shortly(void)
{
    const struct timespec pause = { .tv_nsec = PAUSE_NS };
    syscall(SYS_nanosleep, &pause, NULL); /* libc's is a cancellation point */
}

/* Thread-local storage lies apart by the size of a stack; the product's upper bits depend on all.
 */
static atomic_uint *own_place(void)
{
    return &inside[((uintptr_t)&depth * 0x9E3779B97F4A7C15u) >> 60].count;
}

static unsigned others_inside(void)
{
    unsigned sum = 0;
    const unsigned own = depth > 0;
    for (int i = 0; i < INSIDE_PLACES; i++)
        sum += atomic_load(&inside[i].count);
    return sum > own ? sum - own : 0;
}

/* Runs in the thread that forks, before. */
static void before_fork(void)
{
    const int saved_errno = errno;
    atomic_fetch_add(&forking_count, 1);
    unsigned others = others_inside();
    for (int i = 0; others > atomic_load(&left_inside) && i < PAUSES; i++) {
        pause_shortly();
        others = others_inside();
    }
    /* One that a handler of the program's has left for good never comes out. */
    atomic_store(&left_inside, others);
    errno = saved_errno;
}

static void after_fork(void)
{
    atomic_fetch_sub(&forking_count, 1);
}

static void in_child(void)
{
    atomic_store(&forking_count, 0);
    atomic_store(&left_inside, 0);
    for (int i = 0; i < INSIDE_PLACES; i++)
        atomic_store(&inside[i].count, 0);
    atomic_store(own_place(), depth > 0);
}

void vg_fork_gate_open(void)
{
    static atomic_bool is_open;
    if (atomic_load_explicit(&is_open, memory_order_acquire))
        return;
    /* Two threads may come here at once: handlers that run twice do no harm. */
    pthread_atfork(before_fork, after_fork, in_child);
    atomic_store_explicit(&is_open, true, memory_order_release);
}

/* Apart: hardly anybody meets a fork, and everybody comes by the gate. */
static __attribute__((noinline)) void let_fork_pass(void)
{
    const int saved_errno = errno;
    for (int i = 0; atomic_load(&forking_count) > 0 && i < PAUSES; i++) {
        atomic_fetch_sub(own_place(), 1);
        pause_shortly();
        atomic_fetch_add(own_place(), 1);
    }
    errno = saved_errno;
}

VG_EVERY_PROCESS void vg_fork_gate_enter(void)
{
    if (depth++ > 0)
        return;
    atomic_fetch_add(own_place(), 1);
    if (__builtin_expect(atomic_load(&forking_count) > 0, 0))
        let_fork_pass();
}

VG_EVERY_PROCESS void vg_fork_gate_leave(void)
{
    if (--depth == 0)
        atomic_fetch_sub(own_place(), 1);
}

void vg_fork_gate_reset(void)
{
    if (depth > 0)
        atomic_fetch_sub(own_place(), 1);
    depth = 0;
}
