/* The index of live allocations among many threads at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "live_index_fixture.h"

#ifdef __SANITIZE_THREAD__
enum { THREADS = 8, ROUNDS = 6000, LIVE_A_THREAD = 1000 };
#else
enum { THREADS = 8, ROUNDS = 100000, LIVE_A_THREAD = 4000 };
#endif

/* Stands in for the driver: the addresses that are free now. What one thread frees the next one
 * may be given at once. */
enum { DRIVER_ADDRESSES = 2 * THREADS * LIVE_A_THREAD };
static pthread_mutex_t driver_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t driver_free[DRIVER_ADDRESSES];
static size_t driver_free_count;

static uint64_t driver_alloc(void)
{
    pthread_mutex_lock(&driver_lock);
    const uint64_t address = driver_free[--driver_free_count];
    pthread_mutex_unlock(&driver_lock);
    return address;
}

static void driver_give_back(uint64_t address)
{
    pthread_mutex_lock(&driver_lock);
    driver_free[driver_free_count++] = address;
    pthread_mutex_unlock(&driver_lock);
}

struct worker {
    pthread_t thread;
    uint32_t seed;
    uint64_t puts, forgets, wrong;
    uint64_t live[LIVE_A_THREAD][2]; /* address, bytes; address 0 = none */
    uint64_t live_bytes;
};

static struct worker workers[THREADS];

static void work_once(struct worker *self)
{
    uint64_t *const mine = self->live[next_random(&self->seed) % LIVE_A_THREAD];
    struct vg_pending_free taken;
    if (mine[0] == 0) {
        mine[0] = driver_alloc();
        mine[1] = 1 + next_random(&self->seed);
        self->wrong += put(mine[0], mine[1], 0) != 0;
        self->live_bytes += mine[1];
        self->puts++;
    } else if (!vg_live_index_begin_free(&track, mine[0], &taken) || taken.bytes != mine[1]) {
        self->wrong++;
    } else if (next_random(&self->seed) % 8 == 0) {
        vg_live_index_abort_free(&track, &taken);
    } else {
        driver_give_back(mine[0]);
        vg_live_index_commit_free(&track, &taken);
        self->live_bytes -= mine[1];
        self->forgets++;
        mine[0] = 0;
    }
}

static void *work(void *argument)
{
    for (int i = 0; i < ROUNDS; i++)
        work_once(argument);
    return NULL;
}

static void many_threads_many_live(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < DRIVER_ADDRESSES; i++)
        driver_free[driver_free_count++] = 0x7f0000000000 + i * 512;
    for (int i = 0; i < THREADS; i++) {
        workers[i].seed = (uint32_t)i + 1;
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    uint64_t puts = 0, forgets = 0, bytes = 0, counted_puts, counted_takes;
    for (int i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].wrong, 0);
        puts += workers[i].puts;
        forgets += workers[i].forgets;
        bytes += workers[i].live_bytes;
    }
    vg_live_index_counts(&track, &counted_puts, &counted_takes);
    assert_int_equal(counted_puts, puts);
    assert_int_equal(counted_takes, forgets);
    const struct seen seen = look();
    assert_int_equal(seen.count, puts - forgets);
    assert_true(seen.count > (uint64_t)THREADS * LIVE_A_THREAD / 4);
    assert_int_equal(seen.bytes, bytes);
    assert_int_equal(live_bytes(0), bytes);
    assert_int_equal(track.lost_count, 0);
}

#ifndef __SANITIZE_THREAD__ /* vg_live_index_each takes no lock: what it may see is checked, not   \
                               how */
static atomic_bool stop_churning;

static void *churn(void *argument)
{
    (void)argument;
    for (uint64_t i = 0; !stop_churning; i++) {
        const uint64_t address = 0x100000 + i % 64 * 512;
        put(address, 512, 0);
        take_and_forget(address);
    }
    return NULL;
}

static void check_visited(const struct vg_allocation *one, void *argument)
{
    uint64_t *const counts = argument; /* [0] steady ones, [1] impossible ones */
    if (one->address >= 0x7f0000000000)
        counts[0]++;
    else
        counts[1] += one->bytes != 512 || one->address < 0x100000 || one->address % 512 != 0;
}

static void looking_while_others_work(void **state)
{
    (void)state;
    enum { STEADY = 5000 };
    pthread_t thread;
    for (uint64_t i = 0; i < STEADY; i++)
        put(0x7f0000000000 + i * 512, 77, 0);
    stop_churning = false;
    assert_int_equal(pthread_create(&thread, NULL, churn, NULL), 0);
    for (int i = 0; i < 500; i++) {
        uint64_t counts[2] = { 0 };
        vg_live_index_each(&track, check_visited, counts);
        if (counts[0] != STEADY || counts[1] != 0) {
            stop_churning = true;
            pthread_join(thread, NULL);
            assert_int_equal(counts[0], STEADY);
            assert_int_equal(counts[1], 0);
        }
    }
    stop_churning = true;
    pthread_join(thread, NULL);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRACK_TEST(many_threads_many_live),
#ifndef __SANITIZE_THREAD__
        TRACK_TEST(looking_while_others_work),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
