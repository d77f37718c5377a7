/* The action "wait", where no other process is needed: how long it may take. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/size.h"
#include "driver/driver.h"
#include "oom/policy.h"
#include "timing.h"

extern const struct vg_action vg_action_wait;

#define MINUTE_NS (UINT64_C(60) * 1000000000)

static struct vg_file_header header;
static struct vg_recorder recorder = { .header = &header };
static struct vg_registration registrations[VG_FILE_DEVICES];
static struct vg_options options;
static struct vg_oom_state history;
static struct vg_failure failure;

static CUresult fake_device(CUdevice *device)
{
    *device = 0;
    return CUDA_SUCCESS;
}

static CUresult fake_memory(size_t *free_bytes, size_t *total_bytes)
{
    *free_bytes = 10 * VG_MIB;
    *total_bytes = 1000 * VG_MIB;
    return CUDA_SUCCESS;
}

static int setup(void **state)
{
    (void)state;
    memset(&history, 0, sizeof history);
    memset(&header, 0, sizeof header);
    vg_driver.cuCtxGetDevice = fake_device;
    vg_driver.cuMemGetInfo_v2 = fake_memory;
    vg_registry_join("", &registrations[0]); /* unregistered: a line of this process's own */
    failure = (struct vg_failure){
        .tables = { .recorder = &recorder, .registrations = registrations },
        .asked_bytes = 100 * VG_MIB,
        .free_bytes = 10 * VG_MIB,
        .total_bytes = 1000 * VG_MIB,
    };
    return 0;
}

/* Waits `ms`; how it ended is in failure.actions[0]. Returns how long it took. */
static uint64_t wait_in_vain(uint64_t ms, struct vg_held_ticket *turn)
{
    const struct vg_policy policy = { .steps = { { .action = &vg_action_wait, .parameter = ms } },
                                      .count = 1 };
    struct vg_rescue rescue = { .policy = &policy,
                                .options = &options,
                                .failure = &failure,
                                .history = &history,
                                .turn = turn };
    const uint64_t start_ns = vg_clock_monotonic_ns();
    failure.action_count = 0;
    memset(&history.vain_fingerprint, 0, sizeof history.vain_fingerprint);
    enum vg_verdict verdict;
    while ((verdict = vg_policy_next(&rescue)) == VG_VERDICT_REPEAT)
        ;
    assert_int_equal(verdict, VG_VERDICT_PASS);
    return (vg_clock_monotonic_ns() - start_ns) / 1000000;
}

static void a_wait_takes_its_time_and_is_counted(void **state)
{
    (void)state;
    assert_took_between(wait_in_vain(120, NULL), 120, 1000);
    assert_int_equal(failure.actions[0].outcomes[0].code, VG_OUTCOME_NOTHING_FREED);
    assert_took_between(history.waited_ns / 1000000, 120, 1000);
    assert_took_between(history.in_waits_ns / 1000000, 120, 1000);
    assert_int_equal(history.waiting, 0);
}

static void ten_minutes_within_an_hour_are_enough(void **state)
{
    (void)state;
    history.hour_start_ns = vg_clock_monotonic_ns() - 1;
    history.waited_ns = 10 * MINUTE_NS - 150 * 1000000;
    assert_took_between(wait_in_vain(5000, NULL), 150, 2000); /* what is left */
    assert_took_between(wait_in_vain(5000, NULL), 0, 100);
    assert_int_equal(failure.actions[0].outcomes[0].code, VG_OUTCOME_SKIPPED_BUDGET);
    /* The hour is one of sixty minutes. */
    history.hour_start_ns = vg_clock_monotonic_ns() - 59 * MINUTE_NS;
    assert_took_between(wait_in_vain(5000, NULL), 0, 100);
    assert_int_equal(failure.actions[0].outcomes[0].code, VG_OUTCOME_SKIPPED_BUDGET);
    /* The next hour. */
    history.hour_start_ns = vg_clock_monotonic_ns() - 61 * MINUTE_NS;
    assert_took_between(wait_in_vain(120, NULL), 120, 1000);
    assert_true(history.waited_ns < MINUTE_NS);
}

static void who_asks_for_one_long_wait_gets_it(void **state)
{
    (void)state;
    history.hour_start_ns = vg_clock_monotonic_ns() - 1;
    history.waited_ns = 20 * MINUTE_NS - 150 * 1000000;
    assert_took_between(wait_in_vain(20 * 60000, NULL), 150, 2000);
}

static void distributed_jobs_wait_a_minute_at_most(void **state)
{
    (void)state;
    history.distributed = true;
    struct vg_held_ticket turn = { .since_ns =
                                       vg_clock_monotonic_ns() - MINUTE_NS + 150 * 1000000 };
    assert_took_between(wait_in_vain(65000, &turn), 150, 2000);
}

static void being_held_back_counts(void **state)
{
    (void)state;
    struct vg_held_ticket turn = { .since_ns =
                                       vg_clock_monotonic_ns() - 30 * UINT64_C(1000000000) };
    assert_took_between(wait_in_vain(30000, &turn), 0, 1000);
    assert_int_equal(failure.actions[0].outcomes[0].code, VG_OUTCOME_NOTHING_FREED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_wait_takes_its_time_and_is_counted, setup),
        cmocka_unit_test_setup(ten_minutes_within_an_hour_are_enough, setup),
        cmocka_unit_test_setup(who_asks_for_one_long_wait_gets_it, setup),
        cmocka_unit_test_setup(distributed_jobs_wait_a_minute_at_most, setup),
        cmocka_unit_test_setup(being_held_back_counts, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
