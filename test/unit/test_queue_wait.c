/* Waiting in line, in real time: news, polling, deadlines, signals. The waiter is a process of its
 * own, in a line that both share. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
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

static uint64_t measure_nothing(void *argument)
{
    (void)argument;
    return VG_BYTES_UNKNOWN;
}

static void take_time(uint64_t ms)
{
    for (const uint64_t until = now_ns() + ms * MS_NS; now_ns() < until;)
        ;
}

static uint64_t measure_slowly(void *argument)
{
    take_time(5);
    return measure(argument);
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

/* ---- news ---- */

static int compare(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The median of the promise is 2 ms from the free to the next try. */
static void news_wakes_at_once(void **state)
{
    (void)state;
    const struct plan plan = { .wanted_bytes = 1, .wait_ms = 20000, .measure = measure };
    uint64_t took_ns[ROUNDS_MAX];
    for (int round = 0; round < ROUNDS_MAX; round++) {
        atomic_store(&shared->free_bytes, 0);
        const pid_t pid = start_waiter(&plan, NULL);
        sleep_ms(5 + (uint64_t)(round % 7));
        const uint64_t told_ns = now_ns();
        atomic_store(&shared->free_bytes, 1);
        assert_true(vg_queue_is_waited_for(&shared->queue));
        vg_queue_tell_freed(&shared->queue);
        await_end(pid);
        assert_int_equal(shared->end, VG_QUEUE_WAIT_TRY);
        took_ns[round] = atomic_load(&shared->served_ns) - told_ns;
    }
    qsort(took_ns, ROUNDS_MAX, sizeof took_ns[0], compare);
    print_message("from news to the try: median %.3f ms, p99 %.3f ms\n",
                  (double)took_ns[ROUNDS_MAX / 2] / 1e6, (double)took_ns[ROUNDS_MAX - 1] / 1e6);
    assert_took_between(took_ns[ROUNDS_MAX / 2], 0, 2 * MS_NS);
}

/* The one before it leaves: the next in line is awake at once too. */
static void the_turn_is_passed_at_once(void **state)
{
    (void)state;
    const struct plan plan = { .wanted_bytes = 1, .wait_ms = 20000, .measure = measure };
    uint64_t took_ns[ROUNDS_MAX];
    for (int round = 0; round < ROUNDS_MAX; round++) {
        struct vg_queue_wait first;
        struct vg_wait_request request = { .wanted_bytes = 2, .priority = 50 };
        atomic_store(&shared->free_bytes, 0);
        vg_queue_wait_enter(&first, &shared->queue, &request, 20000);
        const pid_t pid = start_waiter(&plan, NULL);
        sleep_ms(5 + (uint64_t)(round % 7));
        assert_int_equal(shared->try_count, 0);
        const uint64_t told_ns = now_ns();
        atomic_store(&shared->free_bytes, 1);
        vg_queue_wait_leave(&first);
        await_end(pid);
        took_ns[round] = atomic_load(&shared->served_ns) - told_ns;
    }
    qsort(took_ns, ROUNDS_MAX, sizeof took_ns[0], compare);
    print_message("from leaving to the next one's try: median %.3f ms, p99 %.3f ms\n",
                  (double)took_ns[ROUNDS_MAX / 2] / 1e6, (double)took_ns[ROUNDS_MAX - 1] / 1e6);
    assert_took_between(took_ns[ROUNDS_MAX / 2], 0, 2 * MS_NS);
}

static void victim_tries_once_more_and_gives_way(void **state)
{
    (void)state;
    const struct plan plan = { .wanted_bytes = 1, .wait_ms = 20000, .measure = measure };
    const pid_t pid = start_waiter(&plan, NULL);
    sleep_ms(20);
    const int tries = shared->try_count;
    const uint64_t told_ns = now_ns();
    vg_queue_choose_victim(&shared->queue, 0, atomic_load(&shared->queue.waiters[0].ticket));
    await_end(pid);
    assert_int_equal(shared->end, VG_QUEUE_WAIT_VICTIM);
    assert_int_equal(shared->try_count, tries + 1);
    assert_took(told_ns, shared->end_ns, 0, 100);
}

/* ---- tries and deadlines ---- */

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

static void without_news_it_polls_ever_more_slowly(void **state)
{
    (void)state;
    const struct plan plan = {
        .wanted_bytes = 1, .wait_ms = 4000, .measure = measure_nothing, .never_satisfied = true
    };
    wait_in_line(&plan);
    assert_int_equal(shared->end, VG_QUEUE_WAIT_TIMEOUT);
    assert_spacing(50, 1000);
    const uint64_t *const tries = shared->tries_ns;
    const int last = shared->try_count - 1;
    assert_true(last >= 1);
    print_message("%d tries in 4 s; spaced %.0f ms at first, %.0f ms at last\n", last + 1,
                  (double)(tries[1] - tries[0]) / 1e6,
                  (double)(tries[last] - tries[last - 1]) / 1e6);
    if (timing_is_tested())
        assert_true(tries[last] - tries[last - 1] > 3 * (tries[1] - tries[0]));
}

/* News all the time, and what is free is never enough for the driver. */
static void a_stream_of_news_does_not_make_a_stream_of_tries(void **state)
{
    (void)state;
    const struct plan plan = {
        .wanted_bytes = 1, .wait_ms = 300, .measure = measure, .never_satisfied = true
    };
    atomic_store(&shared->free_bytes, 1);
    const pid_t pid = start_waiter(&plan, NULL);
    while (atomic_load(&shared->is_waiting))
        vg_queue_tell_freed(&shared->queue);
    await_end(pid);
    assert_int_equal(shared->end, VG_QUEUE_WAIT_TIMEOUT);
    assert_took(shared->start_ns, shared->end_ns, 300, LATE_MS);
    assert_tries_apart(MS_NS);
    if (timing_is_tested())
        assert_true(shared->try_count > 20);
}

static void ends_at_its_deadline(void **state)
{
    (void)state;
    const uint64_t waits_ms[] = { 1, 30, 150, 430 };
    struct vg_queue_wait first = { .in_line = false };
    struct vg_wait_request request = { .wanted_bytes = 1, .priority = 50 };
    for (int behind = 0; behind < 2; behind++) { /* as the head, and behind one */
        for (size_t i = 0; i < sizeof waits_ms / sizeof waits_ms[0]; i++) {
            uint64_t best_ns = UINT64_MAX;
            for (int round = 0; round < 3; round++) {
                const struct plan plan = { .wanted_bytes = 1,
                                           .wait_ms = waits_ms[i],
                                           .measure = measure };
                wait_in_line(&plan);
                assert_int_equal(shared->end, VG_QUEUE_WAIT_TIMEOUT);
                assert_took(shared->start_ns, shared->end_ns, waits_ms[i], LATE_MS);
                if (shared->end_ns - shared->start_ns < best_ns)
                    best_ns = shared->end_ns - shared->start_ns;
            }
            assert_took(0, best_ns, waits_ms[i], 5);
        }
        if (!behind)
            vg_queue_wait_enter(&first, &shared->queue, &request, 20000);
    }
    vg_queue_wait_leave(&first);
}

/* A line that is full: it waits all the same. */
static void without_a_place_it_waits_too(void **state)
{
    (void)state;
    const struct plan plan = { .wanted_bytes = 1, .wait_ms = 20000, .measure = measure };
    for (int i = 0; i < VG_QUEUE_WAITERS; i++)
        atomic_store(&shared->queue.waiters[i].owner, vg_process_owner_self());
    const pid_t pid = start_waiter(&plan, NULL);
    sleep_ms(20);
    assert_int_equal(atomic_load(&shared->queue.last_ticket), 0);
    atomic_store(&shared->free_bytes, 1);
    const uint64_t told_ns = now_ns();
    vg_queue_tell_freed(&shared->queue);
    await_end(pid);
    assert_int_equal(shared->end, VG_QUEUE_WAIT_TRY);
    assert_took(told_ns, shared->end_ns, 0, LATE_MS);
}

/* ---- signals ---- */

static void note_signal(int number)
{
    (void)number;
    atomic_fetch_add(&shared->handled, 1);
}

static void note_alarm(int number)
{
    (void)number;
    atomic_fetch_add(&shared->alarms, 1);
}

static void handle(int number, void (*handler)(int), int flags)
{
    struct sigaction action = { .sa_flags = flags };
    action.sa_handler = handler;
    sigaction(number, &action, NULL);
}

static void handle_both(void)
{
    handle(SIGINT, note_signal, 0);
    handle(SIGTERM, note_signal, 0);
}

static void handle_both_and_restart(void)
{
    handle(SIGINT, note_signal, SA_RESTART);
    handle(SIGTERM, note_signal, SA_RESTART);
}

/* A profiler's clock. */
static void handle_both_and_alarms(void)
{
    const struct itimerval often = { .it_interval = { .tv_usec = 10000 },
                                     .it_value = { .tv_usec = 10000 } };
    handle_both_and_restart();
    handle(SIGALRM, note_alarm, SA_RESTART);
    setitimer(ITIMER_REAL, &often, NULL);
}

static void ignore_both_and_handle_alarms(void)
{
    handle_both_and_alarms();
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
}

static void block_both(void)
{
    sigset_t both;
    handle_both();
    sigemptyset(&both);
    sigaddset(&both, SIGINT);
    sigaddset(&both, SIGTERM);
    sigprocmask(SIG_BLOCK, &both, NULL);
}

/* Returns how long it took. */
static uint64_t signal_ends_wait(void (*prepare)(void), int number)
{
    const struct plan plan = { .wanted_bytes = 1, .wait_ms = 20000, .measure = measure };
    atomic_store(&shared->handled, 0);
    const pid_t pid = start_waiter(&plan, prepare);
    sleep_ms(300);
    const uint64_t sent_ns = now_ns();
    kill(pid, number);
    await_end(pid);
    assert_int_equal(shared->end, VG_QUEUE_WAIT_SIGNAL);
    assert_int_equal(atomic_load(&shared->handled), 1);
    return shared->end_ns - sent_ns;
}

static void the_two_signals_end_a_wait(void **state)
{
    (void)state;
    const int numbers[] = { SIGINT, SIGTERM };
    for (int i = 0; i < 2; i++) {
        const uint64_t at_once_ns = signal_ends_wait(handle_both, numbers[i]) +
                                    signal_ends_wait(handle_both_and_restart, numbers[i]);
        assert_took(0, at_once_ns, 0, 60);
        assert_took(0, signal_ends_wait(handle_both_and_alarms, numbers[i]), 0, 200 + LATE_MS);
    }
}

static void *idle(void *argument)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    for (;;)
        pause();
    return argument;
}

/* The other thread takes no signal, so that what is missed is missed by the line. */
static void handle_both_among_threads(void)
{
    pthread_t thread;
    handle_both_and_alarms();
    if (pthread_create(&thread, NULL, idle, NULL) != 0)
        _exit(1);
}

/* At whatever moment it comes: most of the time the waiter measures or tries, and does not sleep.
 * Only among threads, and in the instant before and after a sleep, a handler may run unnoticed. */
static void hardly_a_signal_is_missed(void **state)
{
    (void)state;
    int missed = 0, missed_alone = 0;
    static void (*const ways[])(void) = { handle_both, handle_both_and_alarms,
                                          handle_both_among_threads };
    const struct plan plan = {
        .wanted_bytes = 1, .wait_ms = 3000, .measure = measure_slowly, .try_ms = 5
    };
    for (int round = 0; round < 60; round++) {
        const pid_t pid = start_waiter(&plan, ways[round % 3]);
        const uint64_t until_ns = now_ns() + (uint64_t)rand() % (80 * MS_NS);
        while (now_ns() < until_ns)
            vg_queue_tell_freed(&shared->queue); /* it looks at once */
        kill(pid, SIGTERM);
        await_end(pid);
        missed += shared->end != VG_QUEUE_WAIT_SIGNAL;
        missed_alone += shared->end != VG_QUEUE_WAIT_SIGNAL && round % 3 != 2;
    }
    print_message("%d of 60 signals missed, %d where there is only one thread\n", missed,
                  missed_alone);
#ifndef __SANITIZE_THREAD__ /* which takes all signals itself and hands them on later */
    assert_int_equal(missed_alone, 0);
#endif
    if (timing_is_tested())
        assert_true(missed <= 5);
}

static void other_signals_do_not_end_a_wait(void **state)
{
    (void)state;
    const struct plan plan = { .wanted_bytes = 1, .wait_ms = 500, .measure = measure };
    atomic_store(&shared->alarms, 0);
    await_end(start_waiter(&plan, handle_both_and_alarms));
    assert_int_equal(shared->end, VG_QUEUE_WAIT_TIMEOUT);
    assert_took(shared->start_ns, shared->end_ns, 500, LATE_MS);
    if (timing_is_tested())
        assert_true(atomic_load(&shared->alarms) > 20);
}

/* Enough seems to be free, yet each try fails, of fragmentation, say; and signals end each sleep.
 */
static void tries_in_vain_are_spaced(void **state)
{
    (void)state;
    const struct plan plan = {
        .wanted_bytes = 1, .wait_ms = 1000, .measure = measure, .never_satisfied = true
    };
    atomic_store(&shared->free_bytes, 1);
    await_end(start_waiter(&plan, handle_both_and_alarms));
    assert_int_equal(shared->end, VG_QUEUE_WAIT_TIMEOUT);
    assert_spacing(50, 250);
}

static void signals_nobody_wants_do_not_end_a_wait(void **state)
{
    (void)state;
    static void (*const ways[])(void) = { ignore_both_and_handle_alarms, block_both };
    const struct plan plan = { .wanted_bytes = 1, .wait_ms = 300, .measure = measure };
    for (int i = 0; i < 2; i++) {
        const pid_t pid = start_waiter(&plan, ways[i]);
        sleep_ms(50);
        kill(pid, SIGINT);
        kill(pid, SIGTERM);
        await_end(pid);
        assert_int_equal(shared->end, VG_QUEUE_WAIT_TIMEOUT);
        assert_took(shared->start_ns, shared->end_ns, 300, LATE_MS);
    }
}

static void check_mask(const sigset_t *before)
{
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    for (int i = 1; i < SIGRTMAX; i++)
        CHECK(sigismember(&now, i) == sigismember(before, i));
}

/* In a try the two are blocked where they have a handler, and end the program where they have none.
 */
static void check_mask_in_try(const sigset_t *before)
{
    static const int ours[] = { SIGINT, SIGTERM };
    sigset_t expected = *before;
    for (int i = 0; i < 2; i++) {
        struct sigaction action;
        sigaction(ours[i], NULL, &action);
        if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN)
            sigaddset(&expected, ours[i]);
    }
    check_mask(&expected);
}

/* One way to end each, with the signals blocked before or not. */
static void mask_child(void *argument)
{
    struct vg_queue_wait line;
    struct vg_wait_request request = { .wanted_bytes = 1, .priority = 50 };
    sigset_t before;
    (void)argument;
    sigprocmask(SIG_SETMASK, NULL, &before);
    atomic_store(&shared->free_bytes, 0);
    vg_queue_wait_enter(&line, &shared->queue, &request, 120);
    CHECK(vg_queue_wait_step(&line, measure, NULL) ==
          VG_QUEUE_WAIT_TRY); /* the first comes at once */
    check_mask_in_try(&before);
    CHECK(vg_queue_wait_step(&line, measure, NULL) == VG_QUEUE_WAIT_SLEPT);
    vg_queue_wait_leave(&line);
    check_mask(&before);
    vg_queue_wait_enter(&line, &shared->queue, &request, 120);
    enum vg_queue_wait_event step;
    while ((step = vg_queue_wait_step(&line, measure, NULL)) != VG_QUEUE_WAIT_TIMEOUT)
        if (step == VG_QUEUE_WAIT_TRY)
            check_mask_in_try(&before);
    check_mask(&before);
    vg_queue_wait_leave(&line);
    vg_queue_wait_leave(&line);
    check_mask(&before);
    /* Held back until its turn: the place is kept during the call, the signals are not. */
    struct vg_held_ticket ticket;
    vg_queue_wait_enter(&line, &shared->queue, &request, 120);
    vg_queue_wait_step(&line, measure, NULL);
    vg_queue_wait_keep_ticket(&line, &ticket);
    check_mask(&before);
    vg_held_ticket_release(&ticket);
    check_mask(&before);
}

static void blocked_mask_child(void *argument)
{
    block_both();
    mask_child(argument);
}

static void alarms_mask_child(void *argument)
{
    handle_both_and_alarms();
    mask_child(argument);
}

static void signal_mask_is_left_as_it_was(void **state)
{
    (void)state;
    char text[256];
    static void (*const ways[])(void *) = { mask_child, blocked_mask_child, alarms_mask_child };
    for (int i = 0; i < 3; i++)
        assert_int_equal(run_child(ways[i], NULL, text, sizeof text), 0);
}

#define LINE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINE_TEST(news_wakes_at_once),
        LINE_TEST(the_turn_is_passed_at_once),
        LINE_TEST(victim_tries_once_more_and_gives_way),
        LINE_TEST(without_news_it_polls_ever_more_slowly),
        LINE_TEST(a_stream_of_news_does_not_make_a_stream_of_tries),
        LINE_TEST(ends_at_its_deadline),
        LINE_TEST(without_a_place_it_waits_too),
        LINE_TEST(the_two_signals_end_a_wait),
        LINE_TEST(hardly_a_signal_is_missed),
        LINE_TEST(other_signals_do_not_end_a_wait),
        LINE_TEST(tries_in_vain_are_spaced),
        LINE_TEST(signals_nobody_wants_do_not_end_a_wait),
        LINE_TEST(signal_mask_is_left_as_it_was),
    };
    signal(SIGINT, SIG_DFL); /* a shell lets what it starts in the background ignore it */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
