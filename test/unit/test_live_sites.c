/* What the index of live allocations counts for each site, against a model that remembers all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core_fixture.h"
#include "heap/live_index.h"
#include "site_model.h"

enum { SITES = 9, SITE_ADDRESSES = 300 };

static struct vg_recorder recorder;
static struct vg_live_index track;

static int setup(void **state)
{
    const struct vg_recorder_config config = { .path_template = in_scratch("run") };
    if (make_scratch(state) != 0 || vg_recorder_open(&recorder, &config) != 0)
        return -1;
    return vg_live_index_init(&track, &recorder);
}

static struct site_model site_models[SITES], site_sums[SITES];

static uint64_t model_live_bytes, model_peak_bytes;
static uint64_t site_bytes[SITE_ADDRESSES]; /* 0: not live */

static void model_peak(void)
{
    if (model_live_bytes <= model_peak_bytes)
        return;
    model_peak_bytes = model_live_bytes;
    note_peak(site_models, SITES);
}

static void site_put(int at, uint64_t bytes)
{
    struct site_model *const model = &site_models[at % SITES];
    const struct vg_allocation one = { .address = 0x10000 + (uint64_t)at * 512,
                                       .bytes = bytes,
                                       .stack_id = (uint32_t)(at % SITES),
                                       .device = 2,
                                       .kind = VG_KIND_DEVICE };
    assert_int_equal(vg_live_index_put(&track, &one), 0);
    site_bytes[at] = bytes;
    model->allocations++;
    model->live_bytes += bytes;
    model->allocated_bytes += bytes;
    model_live_bytes += bytes;
    model_peak();
}

/* `refused`: by the driver, so that it stays. */
static void site_take(int at, bool refused)
{
    struct site_model *const model = &site_models[at % SITES];
    struct vg_pending_free taken;
    assert_true(vg_live_index_begin_free(&track, 0x10000 + (uint64_t)at * 512, &taken));
    if (refused) {
        vg_live_index_abort_free(&track, &taken);
        return;
    }
    vg_live_index_commit_free(&track, &taken);
    model->frees++;
    model->live_bytes -= site_bytes[at];
    model_live_bytes -= site_bytes[at];
    site_bytes[at] = 0;
}

static void sum_site(const struct vg_site_slot *slot, uint64_t epoch, void *argument)
{
    (void)argument;
    assert_int_equal(slot->level, VG_SITE_ALLOCATION);
    assert_int_equal(slot->device, 2);
    add_counters(&site_sums[slot->stack_id], slot, epoch);
}

/* Of amounts that are added to the device's total at once, so that the peak is exact. */
static void sites_are_counted_and_what_they_held_at_the_peak(void **state)
{
    (void)state;
    uint32_t seed = 3;
    for (int round = 0; round < 40000; round++) {
        const int at = (int)(next_random(&seed) % SITE_ADDRESSES);
        const bool filling = round / 3000 % 2 == 0;
        if (!site_bytes[at] && (filling || next_random(&seed) % 8 == 0))
            site_put(at, VG_LIVE_INDEX_PENDING_BYTES * (1 + next_random(&seed) % 9));
        else if (site_bytes[at])
            site_take(at, filling && next_random(&seed) % 4 != 0);
        if (round % 1000 != 0)
            continue;
        memset(site_sums, 0, sizeof site_sums);
        vg_site_counters_each(&recorder, sum_site, NULL);
        assert_memory_equal(site_sums, site_models, sizeof site_sums);
        assert_int_equal(recorder.header->devices[2].peak_bytes, model_peak_bytes);
    }
    assert_true(model_live_bytes < model_peak_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(sites_are_counted_and_what_they_held_at_the_peak, setup,
                                        remove_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
