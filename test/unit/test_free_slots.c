/* Slots given out, given back and kept: never one that is in use, and none is lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <string.h>

#include "heap/free_slots.h"

enum { SLOTS = 1024, NEXT_OFFSET = 24 };

static _Alignas(64) char slots[SLOTS * VG_ADDRESS_SLOT_BYTES];
static uint64_t given_count;
static uint32_t list;

static int give_more(struct vg_recorder *recorder, uint32_t count, uint64_t *out_first)
{
    (void)recorder;
    if (given_count + count > SLOTS)
        return -1;
    *out_first = given_count;
    given_count += count;
    return 0;
}

static int start(void **state)
{
    (void)state;
    memset(slots, 0, sizeof slots);
    given_count = list = 0;
    return 0;
}

/* Takes a slot and uses it. Returns its number, SLOTS for none. */
static uint32_t take(void)
{
    const uint32_t taken = vg_free_slots_take(&list, slots, NEXT_OFFSET, NULL, give_more);
    if (taken == 0)
        return SLOTS;
    assert_int_equal(atomic_load(vg_free_slot_address(slots, taken - 1)), 0);
    atomic_store(vg_free_slot_address(slots, taken - 1), taken);
    return taken - 1;
}

static void give(uint32_t number)
{
    vg_free_slots_give(&list, slots, NEXT_OFFSET, number);
}

static void every_slot_is_given_out_once(void **state)
{
    (void)state;
    bool seen[SLOTS + 1] = { false };
    for (uint32_t i = 0; i < SLOTS; i++) {
        const uint32_t number = take();
        assert_true(number < SLOTS && !seen[number]);
        seen[number] = true;
    }
    assert_int_equal(given_count, SLOTS); /* no slot of a batch is left over */
    assert_int_equal(take(), SLOTS);
}

static void slots_that_ended_are_given_out_again(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < SLOTS; i++)
        take();
    for (uint32_t number = 0; number < SLOTS; number += 3) {
        give(number);
        vg_free_slots_end(slots, number);
    }
    for (uint32_t number = 0; number < SLOTS; number += 3)
        assert_int_equal(take() % 3, 0);
    assert_int_equal(take(), SLOTS);
}

/* Given back, but the driver has not answered yet: others are taken, and none is lost for it. */
static void slots_in_use_are_passed_over(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 10; i++)
        assert_int_equal(take(), i);
    give(3);
    vg_free_slots_end(slots, 3);
    give(5);
    give(7); /* the list: 7, 5, 3 and new ones */
    assert_int_equal(take(), 3);
    vg_free_slots_end(slots, 5);
    assert_int_equal(take(), 5);
    const uint64_t batch = given_count;
    const uint32_t fresh = take(); /* 7 is in use still */
    assert_true(fresh >= 10 && fresh < batch);
    vg_free_slots_end(slots, 7);
    assert_int_equal(take(), 7);
}

/* All that were given back are in use still: a new batch comes, and the list goes on behind it. */
static void a_batch_keeps_the_list(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < VG_SLOTS_AT_ONCE; i++)
        assert_int_equal(take(), i);
    give(1);
    give(2);
    for (uint32_t i = 0; i < VG_SLOTS_AT_ONCE; i++)
        assert_true(take() >= VG_SLOTS_AT_ONCE);
    assert_int_equal(given_count, 2 * VG_SLOTS_AT_ONCE);
    vg_free_slots_end(slots, 1);
    vg_free_slots_end(slots, 2);
    assert_int_equal(take(), 2);
    assert_int_equal(take(), 1);
}

static void a_kept_slot_is_no_longer_free(void **state)
{
    (void)state;
    for (uint32_t kept = 0; kept < 4; kept++) {
        start(state);
        for (uint32_t i = 0; i < VG_SLOTS_AT_ONCE; i++)
            take();
        for (uint32_t i = 0; i < 4; i++)
            give(i);
        vg_free_slots_keep(&list, slots, NEXT_OFFSET, kept); /* the driver has refused its free */
        for (uint32_t i = 0; i < 4; i++)
            if (i != kept)
                vg_free_slots_end(slots, i);
        for (uint32_t i = 4; i-- > 0;)
            if (i != kept)
                assert_int_equal(take(), i);
        assert_int_equal(list, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_slot_is_given_out_once, start),
        cmocka_unit_test_setup(slots_that_ended_are_given_out_again, start),
        cmocka_unit_test_setup(slots_in_use_are_passed_over, start),
        cmocka_unit_test_setup(a_batch_keeps_the_list, start),
        cmocka_unit_test_setup(a_kept_slot_is_no_longer_free, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
