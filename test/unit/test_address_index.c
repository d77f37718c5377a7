/* heap/address_index.h: the index against a plain array, with chains of entries that meet, wrap
 * around the end of the table and are taken out of the middle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/hashing.h"
#include "heap/address_index.h"

enum { SLOTS = 4096, ROUNDS = 400000 };

struct slot {
    uint64_t address;
    char rest[VG_ADDRESS_SLOT_BYTES - sizeof(uint64_t)];
};

static struct slot slots[SLOTS];

/* Few homes, the last of the table among them, so that chains are long and wrap around. */
static uint64_t crowded_hash(uint64_t address)
{
    return 0xfffffff0 + address % 24;
}

static void play(uint64_t (*hash)(uint64_t), uint32_t limit)
{
    struct vg_address_index index;
    struct vg_arena arena = { 0 };
    uint32_t used[SLOTS] = { 0 }, count = 0;
    srand(7);
    assert_int_equal(vg_address_index_init(&index, &arena), 0);
    for (int round = 0; round < ROUNDS; round++) {
        const uint32_t at = (uint32_t)rand() % limit;
        if (!used[at]) {
            slots[at].address = 1 + at + (uint64_t)(rand() % 4) * SLOTS;
            assert_int_equal(vg_address_index_add(&index, &arena, hash(slots[at].address), at), 0);
            used[at] = 1;
            count++;
        } else {
            const uint64_t address = slots[at].address;
            const uint32_t entry = vg_address_index_find(&index, slots, hash(address), address);
            assert_int_not_equal(entry, VG_ADDRESS_NONE);
            assert_int_equal(vg_address_index_slot(&index, entry), at);
            vg_address_index_remove(&index, entry);
            assert_int_equal(vg_address_index_find(&index, slots, hash(address), address),
                             VG_ADDRESS_NONE);
            used[at] = 0;
            count--;
        }
        assert_int_equal(index.count, count);
    }
    for (uint32_t at = 0; at < limit; at++) {
        const uint64_t address = slots[at].address;
        const uint32_t entry = vg_address_index_find(&index, slots, hash(address), address);
        if (used[at])
            assert_int_equal(vg_address_index_slot(&index, entry), at);
        else
            assert_int_equal(entry, VG_ADDRESS_NONE);
    }
}

static void finds_what_is_in_it_and_nothing_else(void **state)
{
    (void)state;
    play(vg_hash_u64, SLOTS);
}

static void chains_that_wrap_around_stay_whole(void **state)
{
    (void)state;
    play(crowded_hash, 200);
}

static void never_gets_so_full_that_searches_do_not_end(void **state)
{
    (void)state;
    struct vg_address_index index;
    struct vg_arena arena = { 0 };
    assert_int_equal(vg_address_index_init(&index, &arena), 0);
    for (uint32_t i = 0; i < SLOTS; i++) {
        slots[i].address = i + 1;
        assert_int_equal(vg_address_index_add(&index, &arena, vg_hash_u64(i + 1), i), 0);
        assert_true(index.count <= index.mask / 2 + 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_is_in_it_and_nothing_else),
        cmocka_unit_test(chains_that_wrap_around_stay_whole),
        cmocka_unit_test(never_gets_so_full_that_searches_do_not_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
