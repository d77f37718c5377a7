/* Physical memory lives until its last reference and its last mapping are gone, in whatever order a
 * program gives them up. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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
    memset(&virtual, 0, sizeof virtual);
    vg_vmm_init(&virtual);
    ended_count = 0;
    return 0;
}

static void note_end(uint64_t key, void *argument)
{
    assert_ptr_equal(argument, &virtual);
    ended_keys[ended_count++] = key;
}

static void mark_end(uint64_t key, void *argument)
{
    bool *const has_ended = argument;
    has_ended[key - 1] = true;
}

static uint64_t map(uint64_t address, uint64_t bytes, uint64_t handle)
{
    uint64_t ended;
    const uint64_t key = vg_vmm_map(&virtual, address, bytes, handle, &ended);
    assert_int_equal(ended, 0);
    return key;
}

static uint64_t release(uint64_t handle)
{
    struct vg_vmm_allocation *const object = vg_vmm_begin_release(&virtual, handle);
    assert_non_null(object);
    return vg_vmm_end_release(&virtual, object);
}

static void unmap(uint64_t address, uint64_t bytes)
{
    struct vg_vmm_unmapping unmapping;
    vg_vmm_begin_unmap(&virtual, address, bytes, &unmapping);
    vg_vmm_end_unmap(&virtual, &unmapping, note_end, &virtual);
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
    map(0x10000000, MIB2, 7);
    assert_int_equal(release(7), 0);
    unmap(0x10000000, MIB2);
    assert_int_equal(ended_count, 1);
    assert_int_equal(ended_keys[0], 100);
}

static void unmapped_first_lives_until_released(void **state)
{
    (void)state;
    vg_vmm_create(&virtual, 7, 100);
    map(0x10000000, MIB2, 7);
    unmap(0x10000000, MIB2);
    assert_int_equal(ended_count, 0);
    assert_int_equal(release(7), 100);
}

static void each_mapping_counts(void **state)
{
    (void)state;
    vg_vmm_create(&virtual, 7, 100);
    map(0x10000000, MIB2, 7);
    map(0x20000000, MIB2, 7);
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
    map(0x10000000, MIB2, 7);
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
    map(0x10000000, MIB2, 7);
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
    map(0x10000000, MIB2, 7);
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
            map(0x10000000 + i * MIB2, MIB2, 10 + i);
        assert_int_equal(release(10 + i), i == 2 ? 202 : 0);
    }
    vg_vmm_create(&virtual, 20, 300);
    map(0x10000000 + 4 * MIB2, MIB2, 20);
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
    map(0x10000000, MIB2, 7);
    struct vg_vmm_unmapping unmapping;
    assert_true(vg_vmm_begin_unmap(&virtual, 0x10000000, MIB2, &unmapping));
    assert_false(vg_vmm_begin_unmap(&virtual, 0x10000000, MIB2, &(struct vg_vmm_unmapping){ 0 }));
    vg_vmm_undo_unmap(&virtual, &unmapping);
    assert_int_equal(release(7), 0);
    unmap(0x10000000, MIB2);
    assert_int_equal(ended_keys[0], 100);
}

static void unknown_handles_and_addresses_are_nobodys(void **state)
{
    (void)state;
    assert_null(vg_vmm_begin_release(&virtual, 7));
    struct vg_vmm_unmapping unmapping;
    assert_false(vg_vmm_begin_unmap(&virtual, 0x10000000, MIB2, &unmapping));
    map(0x10000000, MIB2, 7);
    vg_vmm_retain(&virtual, 7, 0x10000000);
    assert_null(vg_vmm_begin_release(&virtual, 7));
}

/* Many of each in one call, which may be refused, in whatever order they came. */
static void one_unmap_covers_many(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    static bool has_ended[COUNT];
    struct vg_vmm_unmapping unmapping;
    for (uint64_t i = 0; i < COUNT; i++) {
        const uint64_t at = i * 7919 % COUNT;
        assert_int_equal(vg_vmm_create(&virtual, 100 + at, 1 + at), 0);
        assert_int_equal(map(0x10000000 + at * MIB2, MIB2, 100 + at), 1 + at);
        assert_int_equal(release(100 + at), 0);
    }
    for (int turn = 0; turn < 2; turn++) {
        assert_true(vg_vmm_begin_unmap(&virtual, 0x10000000, (uint64_t)COUNT * MIB2, &unmapping));
        vg_vmm_undo_unmap(&virtual, &unmapping);
    }
    /* Behind a hole, so that they are looked for among all. */
    assert_true(
        vg_vmm_begin_unmap(&virtual, 0x10000000 - MIB2, (uint64_t)COUNT * MIB2, &unmapping));
    vg_vmm_end_unmap(&virtual, &unmapping, mark_end, has_ended);
    for (uint64_t i = 0; i < COUNT; i++)
        assert_int_equal(has_ended[i], i != COUNT - 1);
    unmap(0x10000000 + (uint64_t)(COUNT - 1) * MIB2, MIB2);
    assert_int_equal(ended_keys[0], COUNT);
}

/* The address space was freed, or its context reset, unseen. */
static void a_mapping_in_the_place_of_another_ends_it(void **state)
{
    (void)state;
    uint64_t ended;
    vg_vmm_create(&virtual, 7, 100);
    vg_vmm_create(&virtual, 8, 200);
    map(0x10000000, MIB2, 7);
    assert_int_equal(release(7), 0);
    assert_int_equal(vg_vmm_map(&virtual, 0x10000000, MIB2, 8, &ended), 200);
    assert_int_equal(ended, 100);
    assert_int_equal(release(8), 0);
    unmap(0x10000000, MIB2);
    assert_int_equal(ended_count, 1);
    assert_int_equal(ended_keys[0], 200);
}

/* Threads that create, map, retain, unmap and release side by side, among them the same addresses
 * and values that others have just given up, end every object exactly once. */
enum { THREADS = 4, ROUNDS = 20000, PLACES = 32 };

static _Atomic uint32_t ends_of[THREADS * ROUNDS];

static void count_end(uint64_t key, void *argument)
{
    (void)argument;
    if (key)
        atomic_fetch_add(&ends_of[key - 1], 1);
}

static void *use_them(void *argument)
{
    const uint64_t self = (uint64_t)(uintptr_t)argument;
    for (uint64_t i = 0; i < ROUNDS; i++) {
        const uint64_t key = 1 + self * ROUNDS + i;
        const uint64_t handle = 1000 * (self + 1) + i % PLACES;
        const uint64_t address = (self + 1) << 32 | (i % PLACES) * MIB2;
        struct vg_vmm_unmapping unmapping;
        vg_vmm_create(&virtual, handle, key);
        map(address, MIB2, handle);
        if (i % 2) {
            vg_vmm_retain(&virtual, handle + 500, address + 100);
            count_end(vg_vmm_end_release(&virtual, vg_vmm_begin_release(&virtual, handle + 500)),
                      NULL);
        }
        if (i % 3)
            count_end(release(handle), NULL);
        vg_vmm_begin_unmap(&virtual, address, MIB2, &unmapping);
        if (i % 5 == 0) {
            vg_vmm_undo_unmap(&virtual, &unmapping);
            vg_vmm_begin_unmap(&virtual, address, MIB2, &unmapping);
        }
        vg_vmm_end_unmap(&virtual, &unmapping, count_end, NULL);
        if (i % 3 == 0)
            count_end(release(handle), NULL);
    }
    return NULL;
}

static void every_object_ends_once(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_them, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS * ROUNDS; i++)
        assert_int_equal(ends_of[i], 1);
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
        cmocka_unit_test_setup(one_unmap_covers_many, reset),
        cmocka_unit_test_setup(a_mapping_in_the_place_of_another_ends_it, reset),
        cmocka_unit_test_setup(every_object_ends_once, reset),
        cmocka_unit_test(pools_are_known_by_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
