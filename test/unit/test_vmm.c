/* Physical memory lives until its last reference and its last mapping are gone, in whatever order a
 * program gives them up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "heap/pools.h"
#include "heap/vmm.h"

enum { MIB2 = 2 << 20 };

static struct vg_vmm virtual;
static uint64_t ended_keys[64];
static size_t ended_count;

static int reset(void **state)
{
    (void)state;
    virtual = (struct vg_vmm){ .lock = VG_LOCK_INIT(VG_LOCK_HANDLES) };
    ended_count = 0;
    return 0;
}

static void note_end(uint64_t key, void *argument)
{
    assert_ptr_equal(argument, &virtual);
    ended_keys[ended_count++] = key;
}

static uint64_t release(uint64_t handle)
{
    struct vg_vmm_allocation *const object = vg_vmm_begin_release(&virtual, handle);
    assert_non_null(object);
    return vg_vmm_end_release(&virtual, object);
}

static void unmap(uint64_t address, uint64_t bytes)
{
    vg_vmm_end_unmap(&virtual, vg_vmm_begin_unmap(&virtual, address, bytes), note_end, &virtual);
}

static void release_without_mapping_ends_it(void **state)
{
    (void)state;
    assert_int_equal(vg_vmm_create(&virtual, 7, 100), 0);
    assert_int_equal(release(7), 100);
    assert_null(vg_vmm_begin_release(&virtual, 7));
}

static void released_right_after_mapping_lives_until_unmapped(void **state)
{
    (void)state;
    vg_vmm_create(&virtual, 7, 100);
    vg_vmm_map(&virtual, 0x10000000, MIB2, 7);
    assert_int_equal(release(7), 0);
    unmap(0x10000000, MIB2);
    assert_int_equal(ended_count, 1);
    assert_int_equal(ended_keys[0], 100);
}

static void unmapped_first_lives_until_released(void **state)
{
    (void)state;
    vg_vmm_create(&virtual, 7, 100);
    vg_vmm_map(&virtual, 0x10000000, MIB2, 7);
    unmap(0x10000000, MIB2);
    assert_int_equal(ended_count, 0);
    assert_int_equal(release(7), 100);
}

static void each_mapping_counts(void **state)
{
    (void)state;
    vg_vmm_create(&virtual, 7, 100);
    vg_vmm_map(&virtual, 0x10000000, MIB2, 7);
    vg_vmm_map(&virtual, 0x20000000, MIB2, 7);
    assert_int_equal(release(7), 0);
    unmap(0x10000000, MIB2);
    assert_int_equal(ended_count, 0);
    unmap(0x20000000, MIB2);
    assert_int_equal(ended_count, 1);
}

static void a_handle_value_is_given_out_again(void **state)
{
    (void)state;
    vg_vmm_create(&virtual, 7, 100);
    vg_vmm_map(&virtual, 0x10000000, MIB2, 7);
    assert_int_equal(release(7), 0);
    vg_vmm_create(&virtual, 7, 101); /* the old one is still mapped */
    assert_int_equal(release(7), 101);
    unmap(0x10000000, MIB2);
    assert_int_equal(ended_keys[0], 100);
}

static void retained_from_an_address(void **state)
{
    (void)state;
    vg_vmm_create(&virtual, 7, 100);
    vg_vmm_map(&virtual, 0x10000000, MIB2, 7);
    assert_int_equal(release(7), 0);
    vg_vmm_retain(&virtual, 9, 0x10000000 + 12345); /* inside, another value */
    unmap(0x10000000, MIB2);
    assert_int_equal(ended_count, 0);
    assert_int_equal(release(9), 100);
}

static void retained_twice_by_the_same_value(void **state)
{
    (void)state;
    vg_vmm_create(&virtual, 7, 100);
    vg_vmm_map(&virtual, 0x10000000, MIB2, 7);
    vg_vmm_retain(&virtual, 7, 0x10000000);
    unmap(0x10000000, MIB2);
    assert_int_equal(release(7), 0);
    assert_int_equal(release(7), 100);
}

static void one_unmap_covers_neighbours_and_strangers(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 4; i++) {
        vg_vmm_create(&virtual, 10 + i, 200 + i);
        if (i != 2) /* a hole: mapped from a handle that is not known */
            vg_vmm_map(&virtual, 0x10000000 + i * MIB2, MIB2, 10 + i);
        assert_int_equal(release(10 + i), i == 2 ? 202 : 0);
    }
    vg_vmm_create(&virtual, 20, 300);
    vg_vmm_map(&virtual, 0x10000000 + 4 * MIB2, MIB2, 20);
    unmap(0x10000000, 4 * MIB2);
    assert_int_equal(ended_count, 3);
    assert_int_equal(release(20), 0); /* behind the range: untouched */
}

static void a_refused_release_changes_nothing(void **state)
{
    (void)state;
    vg_vmm_create(&virtual, 7, 100);
    struct vg_vmm_allocation *const object = vg_vmm_begin_release(&virtual, 7);
    vg_vmm_undo_release(&virtual, object, 7);
    assert_int_equal(release(7), 100);
}

static void a_refused_unmap_changes_nothing(void **state)
{
    (void)state;
    vg_vmm_create(&virtual, 7, 100);
    vg_vmm_map(&virtual, 0x10000000, MIB2, 7);
    vg_vmm_undo_unmap(&virtual, vg_vmm_begin_unmap(&virtual, 0x10000000, MIB2));
    assert_int_equal(release(7), 0);
    unmap(0x10000000, MIB2);
    assert_int_equal(ended_keys[0], 100);
}

static void unknown_handles_and_addresses_are_nobodys(void **state)
{
    (void)state;
    assert_null(vg_vmm_begin_release(&virtual, 7));
    assert_null(vg_vmm_begin_unmap(&virtual, 0x10000000, MIB2));
    vg_vmm_map(&virtual, 0x10000000, MIB2, 7);
    vg_vmm_retain(&virtual, 7, 0x10000000);
    assert_null(vg_vmm_begin_release(&virtual, 7));
}

static void pools_are_known_by_device(void **state)
{
    (void)state;
    struct vg_pools pools = { .lock = VG_LOCK_INIT(VG_LOCK_HANDLES) };
    uint64_t found[VG_POOLS_MAX];
    for (int i = 0; i < VG_POOLS_MAX + 8; i++)
        vg_pools_add(&pools, 1000 + (uint64_t)i, i % 2);
    assert_int_equal(vg_pools_device(&pools, 1001), 1);
    assert_int_equal(vg_pools_device(&pools, 1000 + VG_POOLS_MAX), -1); /* no room: unknown */
    assert_int_equal(vg_pools_on_device(&pools, 0, found, VG_POOLS_MAX), VG_POOLS_MAX / 2);
    vg_pools_remove(&pools, 1000);
    assert_int_equal(vg_pools_device(&pools, 1000), -1);
    assert_int_equal(vg_pools_on_device(&pools, 0, found, VG_POOLS_MAX), VG_POOLS_MAX / 2 - 1);
    assert_int_equal(vg_pools_on_device(&pools, 1, found, 3), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(release_without_mapping_ends_it, reset),
        cmocka_unit_test_setup(released_right_after_mapping_lives_until_unmapped, reset),
        cmocka_unit_test_setup(unmapped_first_lives_until_released, reset),
        cmocka_unit_test_setup(each_mapping_counts, reset),
        cmocka_unit_test_setup(a_handle_value_is_given_out_again, reset),
        cmocka_unit_test_setup(retained_from_an_address, reset),
        cmocka_unit_test_setup(retained_twice_by_the_same_value, reset),
        cmocka_unit_test_setup(one_unmap_covers_neighbours_and_strangers, reset),
        cmocka_unit_test_setup(a_refused_release_changes_nothing, reset),
        cmocka_unit_test_setup(a_refused_unmap_changes_nothing, reset),
        cmocka_unit_test_setup(unknown_handles_and_addresses_are_nobodys, reset),
        cmocka_unit_test(pools_are_known_by_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
