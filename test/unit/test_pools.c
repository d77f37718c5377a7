/* Pools that the program has made, and threads of ours that work with them meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "heap/pools.h"

static struct vg_pools pools;
static atomic_bool is_removed;

static int setup(void **state)
{
    (void)state;
    memset(&pools, 0, sizeof pools);
    atomic_store(&is_removed, false);
    return 0;
}

static void *remove_pool(void *unused)
{
    vg_pools_remove(&pools, 7);
    atomic_store(&is_removed, true);
    return unused;
}

static void a_pool_is_not_removed_while_it_is_held(void **state)
{
    (void)state;
    const struct timespec moment = { .tv_nsec = 100000000 };
    pthread_t remover;
    vg_pools_add(&pools, 7, 0);
    assert_true(vg_pools_hold(&pools, 7));
    assert_true(vg_pools_hold(&pools, 7));
    assert_int_equal(pthread_create(&remover, NULL, remove_pool, NULL), 0);
    nanosleep(&moment, NULL);
    assert_false(atomic_load(&is_removed));
    vg_pools_release(&pools, 7);
    nanosleep(&moment, NULL);
    assert_false(atomic_load(&is_removed)); /* one holds it still */
    vg_pools_release(&pools, 7);
    pthread_join(remover, NULL);
    assert_false(vg_pools_hold(&pools, 7));
    assert_int_equal(vg_pools_device(&pools, 7), -1);
}

/* Where it lies has no say: it is held on when it moves into the place of another. */
static void a_held_pool_that_moves_is_held_on(void **state)
{
    (void)state;
    const struct timespec moment = { .tv_nsec = 100000000 };
    pthread_t remover;
    vg_pools_add(&pools, 6, 0);
    vg_pools_add(&pools, 7, 0);
    assert_true(vg_pools_hold(&pools, 7));
    vg_pools_remove(&pools, 6);
    assert_int_equal(pthread_create(&remover, NULL, remove_pool, NULL), 0);
    nanosleep(&moment, NULL);
    assert_false(atomic_load(&is_removed));
    vg_pools_release(&pools, 7);
    pthread_join(remover, NULL);
    assert_int_equal(pools.count, 0);
}

static void pools_are_listed_by_device(void **state)
{
    (void)state;
    uint64_t out[4] = { 0 };
    for (uint64_t i = 0; i < 6; i++)
        vg_pools_add(&pools, 10 + i, (int)(i % 3));
    assert_int_equal(vg_pools_on_device(&pools, 1, out, 4), 2);
    assert_int_equal(out[0], 11);
    assert_int_equal(out[1], 14);
    assert_int_equal(vg_pools_on_device(&pools, 3, out, 4), 0);
    assert_int_equal(vg_pools_on_device(&pools, 0, out, 1), 1);
    assert_int_equal(out[1], 14); /* not written to */
    for (uint64_t i = 0; i < 2 * VG_POOLS_MAX; i++)
        vg_pools_add(&pools, 100 + i, 0);
    assert_int_equal(pools.count, VG_POOLS_MAX);
}

/* Who has taken it and does not give it back, in a driver that hangs, say, keeps nobody for ever.
 */
static void a_removal_has_its_patience(void **state)
{
    (void)state;
    vg_pools_add(&pools, 7, 0);
    vg_pools_add(&pools, 8, 0);
    assert_true(vg_pools_hold(&pools, 7));
    vg_pools_remove(&pools, 7);
    assert_false(vg_pools_hold(&pools, 7));
    vg_pools_release(&pools, 7); /* late, and of nothing */
    assert_int_equal(vg_pools_device(&pools, 8), 0);
    vg_pools_add(&pools, 7, 1); /* the address is used again: nobody holds the new one */
    vg_pools_remove(&pools, 7);
    vg_pools_remove(&pools, 8);
    vg_pools_add(&pools, 7, 0);
    assert_true(vg_pools_hold(&pools, 7));
    vg_pools_remove(&pools, 7); /* nor one that comes into its place in the list */
    vg_pools_add(&pools, 9, 0);
    assert_int_equal(pools.pools[0].handle, 9);
    assert_int_equal(pools.pools[0].users, 0);
    assert_int_equal(vg_pools_device(&pools, 7), -1);
}

enum { FILLERS = 60, MOVED = 30000 };

static _Atomic uint64_t steady; /* a pool that stays where it is or is moved, 0 for none */

/* Counts wrong answers. */
static void *ask_for_steady_pool(void *unused)
{
    uintptr_t wrong = 0;
    (void)unused;
    while (!atomic_load(&is_removed)) {
        const uint64_t asked = atomic_load(&steady);
        const int device = asked ? vg_pools_device(&pools, asked) : 3;
        wrong += device != 3 && atomic_load(&steady) == asked;
    }
    return (void *)wrong;
}

/* The last is moved to the place of one before it that is destroyed. */
static void a_pool_is_found_while_it_is_moved(void **state)
{
    (void)state;
    pthread_t asking;
    void *wrong;
    atomic_store(&steady, 0);
    assert_int_equal(pthread_create(&asking, NULL, ask_for_steady_pool, NULL), 0);
    for (uint64_t i = 0; i < FILLERS; i++)
        vg_pools_add(&pools, 1 + i, 1);
    for (uint64_t i = 0; i < MOVED; i++) {
        vg_pools_add(&pools, 1000 + i, 3);
        atomic_store(&steady, 1000 + i);
        vg_pools_remove(&pools, 1 + i % FILLERS); /* the first of the list */
        atomic_store(&steady, 0);
        vg_pools_remove(&pools, 1000 + i);
        vg_pools_add(&pools, 1 + i % FILLERS, 1);
    }
    atomic_store(&is_removed, true);
    pthread_join(asking, &wrong);
    assert_null(wrong);
    assert_int_equal(pools.count, FILLERS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_pool_is_not_removed_while_it_is_held, setup),
        cmocka_unit_test_setup(a_removal_has_its_patience, setup),
        cmocka_unit_test_setup(a_held_pool_that_moves_is_held_on, setup),
        cmocka_unit_test_setup(pools_are_listed_by_device, setup),
        cmocka_unit_test_setup(a_pool_is_found_while_it_is_moved, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
