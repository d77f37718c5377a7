/* oom/census_set.h: what is put in is found again when the tables have grown, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "oom/census_set.h"

enum { MANY = 5000 };

static void lists_keep_their_items_when_they_grow(void **state)
{
    struct item {
        uint64_t number;
        char name[20];
    };
    struct vg_census_list list = { .item_bytes = sizeof(struct item) };
    (void)state;
    for (uint64_t i = 0; i < MANY; i++) {
        struct item *const item = vg_census_list_add(&list);
        assert_non_null(item);
        assert_int_equal(item->number, 0);
        item->number = i;
        item->name[19] = (char)i;
    }
    assert_int_equal(list.count, MANY);
    assert_false(list.failed);
    for (uint64_t i = 0; i < MANY; i++) {
        const struct item *const item = (const struct item *)list.items + i;
        assert_int_equal(item->number, i);
        assert_int_equal(item->name[19], (char)i);
    }
    vg_census_list_close(&list);
    assert_int_equal(list.count, 0);
    assert_null(list.items);
}

/* Of an object in the `i`-th megabyte: its marks are in a chunk of their own. */
static uintptr_t far_address(uintptr_t i)
{
    return 0x7f0000000000 + (i << VG_CENSUS_CHUNK_SHIFT) + i % 7 * 16;
}

static void marks_are_of_one_object_each(void **state)
{
    struct vg_census_marks marks = { 0 };
    (void)state;
    assert_false(vg_census_marks_has(&marks, far_address(0)));
    for (uintptr_t i = 0; i < MANY; i += 2) {
        assert_true(vg_census_marks_add(&marks, far_address(i)));
        assert_false(vg_census_marks_add(&marks, far_address(i)));
    }
    for (uintptr_t i = 0; i < MANY; i++) {
        assert_int_equal(vg_census_marks_has(&marks, far_address(i)), i % 2 == 0);
        assert_false(vg_census_marks_has(&marks, far_address(i) + 16));
    }
    assert_int_equal(marks.used, MANY / 2);
    assert_false(marks.failed);
    assert_true(vg_census_marks_has(&marks, far_address(0)));
    vg_census_marks_close(&marks);
    assert_false(vg_census_marks_has(&marks, far_address(0)));
    vg_census_marks_close(&marks);
}

static void maps_keep_the_first_value(void **state)
{
    struct vg_census_map map = { 0 };
    bool is_new;
    (void)state;
    assert_null(vg_census_map_get(&map, 1));
    for (uint64_t key = 1; key <= MANY; key++) {
        assert_int_equal(*vg_census_map_put(&map, key * 64, key, &is_new), key);
        assert_true(is_new);
    }
    for (uint64_t key = 1; key <= MANY; key++) {
        assert_int_equal(*vg_census_map_put(&map, key * 64, 0, &is_new), key);
        assert_false(is_new);
        assert_int_equal(*vg_census_map_get(&map, key * 64), key);
        assert_null(vg_census_map_get(&map, key * 64 + 1));
    }
    assert_null(vg_census_map_get(&map, 0));
    *vg_census_map_get(&map, 64) = 7;
    assert_int_equal(*vg_census_map_get(&map, 64), 7);
    assert_int_equal(map.used, MANY);
    vg_census_map_close(&map);
    assert_null(vg_census_map_get(&map, 64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_keep_their_items_when_they_grow),
        cmocka_unit_test(marks_are_of_one_object_each),
        cmocka_unit_test(maps_keep_the_first_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
