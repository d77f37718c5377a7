/* Waiting in line, in real time: news, polling, deadlines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "queue_wait_fixture.h"

static uint64_t measure_nothing(void *argument)
{
    (void)argument;
    return VG_BYTES_UNKNOWN;
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
        assert_false(vg_queue_is_waited_for(&shared->queue));
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
    assert_in_range(last, 1, 15); /* a busy machine makes them fewer */
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
