/* For unit tests of waiting in line, in real time: a waiter in a process of its own, in a line that
 * both share. */
#ifndef VRAMGUARD_TEST_QUEUE_WAIT_FIXTURE_H
#define VRAMGUARD_TEST_QUEUE_WAIT_FIXTURE_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/time.h>

#include "base/clock.h"
#include "base/size.h"
#include "core_fixture.h"
#include "timing.h"
#include "wait/queue_wait.h"

#define MS_NS UINT64_C(1000000)

/* Machines that are busy are late; what is measured is the median. */
enum { LATE_MS = 400, ROUNDS_MAX = 100, TRIES_MAX = 64 };

/* What the waiter and the test share. */
static struct shared {
    struct vg_queue queue;
    _Atomic uint64_t free_bytes;
    _Atomic uint64_t served_ns;
    _Atomic int is_waiting, handled, alarms;
    uint64_t tries_ns[TRIES_MAX];
    int try_count;
    enum vg_queue_wait_event end;
    uint64_t start_ns, end_ns;
} * shared;

static int setup(void **state)
{
    (void)state;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED;
}

static int teardown(void **state)
{
    (void)state;
    return munmap(shared, sizeof *shared);
}

static uint64_t now_ns(void)
{
    return vg_clock_monotonic_ns();
}

static void sleep_ms(uint64_t ms)
{
    const struct timespec time = { .tv_sec = (time_t)(ms / 1000),
                                   .tv_nsec = (long)(ms % 1000 * MS_NS) };
    nanosleep(&time, NULL);
}

static uint64_t measure(void *argument)
{
    (void)argument;
    return atomic_load(&shared->free_bytes);
}

static void take_time(uint64_t ms)
{
    for (const uint64_t until = now_ns() + ms * MS_NS; now_ns() < until;)
        ;
}

/* ---- the waiter ---- */

struct plan {
    uint64_t wanted_bytes, wait_ms;
    uint64_t (*measure)(void *argument);
    bool never_satisfied; /* each try fails, whatever is free */
    uint64_t try_ms;      /* how long a try takes */
};

/* Waits as oom/action_wait.c does, and notes how it went. */
static void wait_in_line(const struct plan *plan)
{
    struct vg_queue_wait line;
    struct vg_wait_request request = { .wanted_bytes = plan->wanted_bytes, .priority = 50 };
    shared->start_ns = now_ns();
    shared->try_count = 0;
    vg_queue_wait_enter(&line, &shared->queue, &request, plan->wait_ms);
    atomic_store(&shared->is_waiting, 1);
    for (;;) {
        shared->end = vg_queue_wait_step(&line, plan->measure, NULL);
        if (shared->end == VG_QUEUE_WAIT_SLEPT)
            continue;
        if (shared->end != VG_QUEUE_WAIT_TRY)
            break;
        if (shared->try_count < TRIES_MAX)
            shared->tries_ns[shared->try_count++] = now_ns();
        if (plan->try_ms)
            take_time(plan->try_ms);
        if (!plan->never_satisfied && atomic_load(&shared->free_bytes) >= plan->wanted_bytes)
            break;
    }
    shared->end_ns = now_ns();
    vg_queue_wait_leave(&line);
    atomic_store(&shared->is_waiting, 0);
    atomic_store(&shared->served_ns, shared->end_ns);
}

static pid_t start_waiter(const struct plan *plan, void (*prepare)(void))
{
    atomic_store(&shared->is_waiting, 0);
    const pid_t pid = fork();
    if (pid != 0) {
        while (!atomic_load(&shared->is_waiting))
            sleep_ms(1);
        return pid;
    }
    alarm(CHILD_TIMEOUT_S);
    if (prepare)
        prepare();
    wait_in_line(plan);
    _exit(0);
}

static void await_end(pid_t pid)
{
    int status;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

static void assert_took(uint64_t from_ns, uint64_t to_ns, uint64_t ms, uint64_t late_ms)
{
    assert_took_between(to_ns - from_ns, ms * MS_NS, (ms + late_ms) * MS_NS);
}

/* That tries are at least so far apart. A try is noted some time after it was decided, which on a
 * busy machine may be long and makes the one gap longer and the next shorter; from the start on,
 * each can only be late. */
static void assert_tries_apart(uint64_t least_ns)
{
    for (int i = 1; i < shared->try_count; i++)
        assert_true(shared->tries_ns[i] - shared->start_ns >= (uint64_t)i * least_ns);
}

static void assert_spacing(uint64_t least_ms, uint64_t most_ms)
{
    assert_tries_apart(least_ms * MS_NS);
    if (!timing_is_tested())
        return;
    assert_true(shared->try_count >= 3);
    for (int i = 1; i < shared->try_count; i++)
        assert_true(shared->tries_ns[i] - shared->tries_ns[i - 1] <= (most_ms + LATE_MS) * MS_NS);
}

#define LINE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
