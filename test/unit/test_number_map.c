/* The map from numbers to objects, compared with a plain array at every step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/hashing.h"
#include "heap/number_map.h"

enum { NUMBERS = 600 };

static int objects[NUMBERS];

static struct vg_number_entry *find(const struct vg_number_map *map, uint64_t number)
{
    return vg_number_map_find(map, vg_hash_u64(number), number);
}

static uint64_t base;

static uint64_t number_of(int i)
{
    return base + (uint64_t)i * 0x200000;
}

static void compare(void)
{
    bool held[NUMBERS] = { false };
    struct vg_arena arena = { 0 };
    struct vg_number_map map = { 0 };
    uint32_t count = 0;
    assert_null(find(&map, 1));
    for (int round = 0; round < 5000; round++) {
        const int i = rand() % NUMBERS;
        const uint64_t number = number_of(i);
        struct vg_number_entry *entry = find(&map, number);
        assert_int_equal(entry != NULL, held[i]);
        if (entry && rand() % 2) {
            vg_number_map_remove(&map, entry);
            held[i] = false;
            count--;
        } else {
            struct vg_number_entry *const entered =
                vg_number_map_enter(&map, &arena, vg_hash_u64(number), number);
            assert_non_null(entered);
            assert_ptr_equal(entered->object, held[i] ? &objects[i] : NULL);
            assert_int_equal(entered->number, number);
            if (!held[i])
                assert_int_equal(entered->amount, 0);
            entered->object = &objects[i];
            entered->amount = (uint64_t)i;
            count += !held[i];
            held[i] = true;
        }
        assert_int_equal(map.count, count);
        if (round % 50 != 0)
            continue;
        for (int k = 0; k < NUMBERS; k++) {
            entry = find(&map, number_of(k));
            assert_int_equal(entry != NULL, held[k]);
            if (entry) {
                assert_ptr_equal(entry->object, &objects[k]);
                assert_int_equal(entry->amount, k);
            }
        }
        uint32_t used = 0;
        for (uint32_t at = 0; map.entries && at <= map.mask; at++)
            used += map.entries[at].object != NULL;
        assert_int_equal(used, count);
    }
}

static void it_holds_what_was_entered(void **state)
{
    (void)state;
    srand(3);
    for (base = UINT64_C(0x7f0000000000); base < UINT64_C(0x7f0000000000) + 16; base++)
        compare();
}

/* Without memory to grow it fills up to the last entry but one, so that each search has an end. */
static void a_full_one_is_searched_to_an_end(void **state)
{
    (void)state;
    static struct vg_number_entry entries[8];
    struct vg_arena none = { 0 };
    struct vg_number_map map = { .entries = entries, .mask = 7 };
    struct rlimit before;
    getrlimit(RLIMIT_AS, &before);
    const struct rlimit low = { .rlim_cur = 1 << 20, .rlim_max = before.rlim_max };
    struct vg_number_entry *entered[8], *again;
    setrlimit(RLIMIT_AS, &low);
    for (uint64_t i = 0; i < 8; i++) {
        entered[i] = vg_number_map_enter(&map, &none, vg_hash_u64(i), i);
        if (entered[i])
            entered[i]->object = &objects[i];
    }
    again = vg_number_map_enter(&map, &none, vg_hash_u64(3), 3);
    setrlimit(RLIMIT_AS, &before);
    for (uint64_t i = 0; i < 7; i++) {
        assert_non_null(entered[i]);
        assert_ptr_equal(find(&map, i), entered[i]);
    }
    assert_null(entered[7]);
    assert_null(find(&map, 7));
    assert_ptr_equal(again, entered[3]); /* one that is there needs no room */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_what_was_entered),
        cmocka_unit_test(a_full_one_is_searched_to_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
