/* What a site counts, and what it held at the peak. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core_fixture.h"
#include "heap/site_counters.h"
#include "record/recorder.h"

static struct vg_recorder recorder;
static struct vg_site_table table;

static int setup(void **state)
{
    if (make_scratch(state) != 0)
        return -1;
    memset(&recorder, 0, sizeof recorder);
    memset(&table, 0, sizeof table);
    const struct vg_recorder_config config = { .path_template = in_scratch("run") };
    return vg_recorder_open(&recorder, &config);
}

static uint32_t find(enum vg_site_level level, uint32_t stack_id, uint16_t device)
{
    return vg_site_find(&table, &recorder, level, stack_id, device, 0);
}

static void each_level_stack_and_device_is_a_site(void **state)
{
    (void)state;
    enum { STACKS = 100, DEVICES = 3 }; /* more than are among those found last */
    uint32_t sites[2][STACKS][DEVICES];
    const enum vg_site_level levels[] = { VG_SITE_ALLOCATION, VG_SITE_BLOCK };
    for (int round = 0; round < 3; round++)
        for (uint32_t stack = 0; stack < STACKS; stack++)
            for (uint16_t device = 0; device < DEVICES; device++)
                for (int level = 0; level < 2; level++) {
                    const uint32_t site = find(levels[level], 1 + stack, device);
                    assert_int_not_equal(site, 0);
                    if (round > 0)
                        assert_int_equal(site, sites[level][stack][device]);
                    sites[level][stack][device] = site;
                    const struct vg_site_slot *const slot = vg_site_at(&recorder, site);
                    assert_int_equal(slot->stack_id, 1 + stack);
                    assert_int_equal(slot->device, device);
                    assert_int_equal(slot->level, levels[level]);
                    assert_int_equal(find(levels[level], 1 + stack, device), site);
                }
    assert_int_equal(recorder.header->site_slots, 2 * STACKS * DEVICES); /* each made once */
    assert_null(vg_site_at(&recorder, 0));
}

static void assert_at_peak(const struct vg_site_slot *slot, uint64_t epoch, uint64_t bytes,
                           uint64_t count)
{
    uint64_t held_bytes, held_count;
    vg_site_at_peak(slot, epoch, &held_bytes, &held_count);
    assert_int_equal(held_bytes, bytes);
    assert_int_equal(held_count, count);
}

/* The device's epoch rises with its peak; what the site held then is what counts. */
static void what_it_held_at_the_peak_is_kept(void **state)
{
    (void)state;
    struct vg_site_slot slot = { .peak_epoch = 7 };
    assert_at_peak(&slot, 7, 0, 0);
    vg_site_count(&slot, 100, 7); /* the peak rises for it: 8 */
    assert_at_peak(&slot, 8, 100, 1);
    vg_site_count(&slot, 50, 8);
    assert_at_peak(&slot, 8, 100, 1); /* no new peak */
    vg_site_uncount(&slot, 100, 8);
    assert_at_peak(&slot, 8, 100, 1);
    assert_at_peak(&slot, 9, 50, 1); /* another site's has raised it */
    vg_site_uncount(&slot, 50, 9);
    assert_at_peak(&slot, 9, 50, 1);
    vg_site_undo_free(&slot, 50, 9);
    assert_at_peak(&slot, 9, 50, 1);
    assert_at_peak(&slot, 10, 50, 1);
    vg_site_undo_free(&slot, 100, 10);
    assert_at_peak(&slot, 10, 50, 1);
    assert_at_peak(&slot, 11, 150, 2);
    assert_int_equal(slot.allocations, 2);
    assert_int_equal(slot.frees, 0);
    assert_int_equal(slot.live_bytes, 150);
    assert_int_equal(slot.allocated_bytes, 150);
}

static void a_new_one_held_nothing_at_the_last_peak(void **state)
{
    (void)state;
    struct vg_site_slot *const slot =
        vg_site_at(&recorder, vg_site_find(&table, &recorder, VG_SITE_ALLOCATION, 5, 0, 33));
    assert_at_peak(slot, 33, 0, 0);
    vg_site_count(slot, 64, 33);
    assert_at_peak(slot, 33, 0, 0);
    assert_at_peak(slot, 34, 64, 1);
}

static void peaks_are_those_of_the_level(void **state)
{
    (void)state;
    struct vg_site_slot slot = { .device = 2, .level = VG_SITE_ALLOCATION };
    recorder.header->devices[2].peak_epoch = 3;
    recorder.header->blocks[2].peak_epoch = 4;
    assert_int_equal(vg_site_epoch(recorder.header, &slot), 3);
    slot.level = VG_SITE_BLOCK;
    assert_int_equal(vg_site_epoch(recorder.header, &slot), 4);
}

#define SITE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, remove_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SITE_TEST(each_level_stack_and_device_is_a_site),
        cmocka_unit_test(what_it_held_at_the_peak_is_kept),
        SITE_TEST(a_new_one_held_nothing_at_the_last_peak),
        SITE_TEST(peaks_are_those_of_the_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
