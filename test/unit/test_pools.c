/* Pools that the program has made, and threads of ours that work with them meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
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
    assert_false(atomic_load(&is_removed));
    vg_pools_release(&pools, 7);
    pthread_join(remover, NULL);
    assert_false(vg_pools_hold(&pools, 7));
    assert_int_equal(vg_pools_device(&pools, 7), -1);
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
    assert_int_equal(vg_pools_device(&pools, 7), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_pool_is_not_removed_while_it_is_held, setup),
        cmocka_unit_test_setup(a_removal_has_its_patience, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
