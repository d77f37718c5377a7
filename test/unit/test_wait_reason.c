/* Whether a call may wait for other processes, and for how long: by made-up facts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "oom/wait_reason.h"

enum { THIRTY_S = 30000 };

static struct vg_file_header header;
static struct vg_recorder recorder = { .header = &header };
static const struct vg_live_index no_allocations;
static struct vg_oom_state history;
static struct vg_failure failure;
static struct vg_rescue rescue;
static struct vg_machine_process processes[4];
static struct vg_machine_gpu gpu;
static struct vg_wait_facts facts;

/* A call for 500 MiB of a GPU of 4 GiB, of which 100 MiB are free. */
static int setup(void **state)
{
    (void)state;
    memset(&history, 0, sizeof history);
    memset(&header, 0, sizeof header);
    memset(processes, 0, sizeof processes);
    failure = (struct vg_failure){ .tables = { .recorder = &recorder, .track = &no_allocations },
                                   .asked_bytes = 500 * VG_MIB,
                                   .free_bytes = 100 * VG_MIB,
                                   .total_bytes = 4 * VG_GIB };
    rescue = (struct vg_rescue){ .failure = &failure, .history = &history, .parameter = THIRTY_S };
    gpu = (struct vg_machine_gpu){ .known = true,
                                   .self_seen = true,
                                   .free_bytes = 100 * VG_MIB,
                                   .total_bytes = 4 * VG_GIB,
                                   .processes = processes };
    facts = (struct vg_wait_facts){
        .rescue = &rescue, .gpu = &gpu, .free_bytes = 100 * VG_MIB, .fingerprint = 77
    };
    return 0;
}

static void add_other(uint64_t mib, uint32_t flags)
{
    processes[gpu.process_count] = (struct vg_machine_process){
        .pid = 100 + (int32_t)gpu.process_count, .bytes = mib * VG_MIB, .flags = flags
    };
    gpu.process_count++;
    gpu.others_bytes += mib * VG_MIB;
}

static unsigned reason(void)
{
    return vg_wait_reason_of_others(&facts).code;
}

static void a_stranger_with_enough_is_waited_for(void **state)
{
    (void)state;
    add_other(600, 0);
    assert_int_equal(reason(), VG_OUTCOME_NONE);
    assert_int_equal(vg_wait_allowed(&facts).ms, THIRTY_S);
}

static void nobody_or_too_little_is_not(void **state)
{
    (void)state;
    assert_int_equal(reason(), VG_OUTCOME_SKIPPED_ALONE);
    add_other(300, 0);
    const struct vg_outcome why = vg_wait_reason_of_others(&facts);
    assert_int_equal(why.code, VG_OUTCOME_SKIPPED_OTHERS_HOLD_LESS);
    assert_true(why.bytes == 300 * VG_MIB && why.more_bytes == 400 * VG_MIB);
}

static void the_own_program_is_not(void **state)
{
    (void)state;
    add_other(600, VG_PROCESS_JOB);
    add_other(900, VG_PROCESS_JOB);
    struct vg_outcome why = vg_wait_reason_of_others(&facts);
    assert_int_equal(why.code, VG_OUTCOME_SKIPPED_OWN_JOB);
    assert_int_equal(why.pid, 101); /* the largest */
    processes[1].flags = VG_PROCESS_PARENT;
    assert_int_equal(reason(), VG_OUTCOME_SKIPPED_PARENT);
    processes[1].flags = VG_PROCESS_CHILD;
    assert_int_equal(reason(), VG_OUTCOME_SKIPPED_CHILDREN);
    /* A stranger who holds enough besides. */
    processes[1].flags = 0;
    assert_int_equal(reason(), VG_OUTCOME_NONE);
    assert_int_equal(vg_wait_allowed(&facts).ms, THIRTY_S);
    assert_int_equal(vg_wait_allowed(&facts).instead.code, VG_OUTCOME_NONE);
}

static void the_own_program_is_asked_for_what_it_only_keeps(void **state)
{
    (void)state;
    add_other(900, VG_PROCESS_PARENT | VG_PROCESS_GUARDED | VG_PROCESS_GIVES_BACK);
    assert_int_equal(reason(), VG_OUTCOME_NONE);
    const struct vg_wait_time time = vg_wait_allowed(&facts);
    assert_int_equal(time.ms, VG_WAIT_RECLAIM_MS);
    assert_int_equal(time.instead.code, VG_OUTCOME_SKIPPED_PARENT);
    assert_int_equal(time.instead.pid, 100);
}

static void the_same_standstill_is_not_waited_for_again(void **state)
{
    (void)state;
    add_other(600, 0);
    vg_oom_note_wait_in_vain(&history, 0, 77);
    assert_int_equal(reason(), VG_OUTCOME_SKIPPED_UNCHANGED);
    facts.fingerprint = 78;
    assert_int_equal(reason(), VG_OUTCOME_NONE);
    facts.fingerprint = 77;
    failure.device = 1; /* that of another GPU */
    assert_int_equal(reason(), VG_OUTCOME_NONE);
    failure.device = 0;
    facts.free_bytes = 600 * VG_MIB; /* it has just come free */
    assert_int_equal(reason(), VG_OUTCOME_NONE);
}

static void who_went_on_after_a_failure_waits_a_second(void **state)
{
    (void)state;
    add_other(600, 0);
    failure.survived_before = true;
    struct vg_wait_time time = vg_wait_allowed(&facts);
    assert_int_equal(time.ms, VG_WAIT_SURVIVES_MS);
    assert_int_equal(time.why_short, VG_OUTCOME_SHORT_SURVIVES);
    rescue.is_explicit = true; /* wait=30s */
    time = vg_wait_allowed(&facts);
    assert_int_equal(time.ms, THIRTY_S);
    assert_int_equal(time.why_short, VG_OUTCOME_NONE);
}

static void with_the_gil_it_is_half_a_second(void **state)
{
    (void)state;
    add_other(600, 0);
    facts.holds_gil = rescue.is_explicit = true;
    struct vg_wait_time time = vg_wait_allowed(&facts);
    assert_int_equal(time.ms, VG_WAIT_GIL_MS);
    assert_int_equal(time.why_short, VG_OUTCOME_SHORT_GIL);
    rescue.parameter = 200; /* shorter anyway: nothing to say */
    time = vg_wait_allowed(&facts);
    assert_int_equal(time.ms, 200);
    assert_int_equal(time.why_short, VG_OUTCOME_NONE);
}

static void without_nvml_the_own_context_is_nobody_elses(void **state)
{
    (void)state;
    gpu.known = gpu.self_seen = false;
    facts.own_bytes = 3 * VG_GIB;
    failure.free_bytes = facts.free_bytes = 524 * VG_MIB; /* the rest is a context of 500 MiB */
    failure.asked_bytes = 700 * VG_MIB;
    assert_int_equal(reason(), VG_OUTCOME_SKIPPED_SELF_UNKNOWN);
    facts.own_bytes = VG_GIB; /* more than any context is somebody's */
    assert_int_equal(reason(), VG_OUTCOME_NONE);
    facts.own_bytes = 3 * VG_GIB;
    add_other(700, VG_PROCESS_GUARDED); /* that one tells of itself */
    assert_int_equal(reason(), VG_OUTCOME_NONE);
}

static void in_a_container_this_process_is_one_of_the_list(void **state)
{
    (void)state;
    gpu.self_seen = false;
    facts.own_bytes = 3 * VG_GIB;
    add_other(3400, VG_PROCESS_INVISIBLE);
    assert_int_equal(reason(), VG_OUTCOME_SKIPPED_ALONE);
    add_other(500, VG_PROCESS_INVISIBLE);
    assert_int_equal(reason(), VG_OUTCOME_NONE);
}

static void a_slow_nvml_is_told(void **state)
{
    (void)state;
    gpu.known = gpu.self_seen = false;
    gpu.slow = true;
    failure.free_bytes = facts.free_bytes = gpu.free_bytes = VG_BYTES_UNKNOWN;
    assert_int_equal(reason(), VG_OUTCOME_SKIPPED_SLOW_NVML);
    gpu.slow = false;
    assert_int_equal(reason(), VG_OUTCOME_SKIPPED_UNKNOWN);
}

static void what_it_knows_itself_comes_first(void **state)
{
    (void)state;
    failure.why_no_wait = VG_OUTCOME_SKIPPED_ARENA;
    assert_int_equal(vg_wait_reason_of_own(&rescue).code, VG_OUTCOME_SKIPPED_ARENA);
    failure.why_no_wait = VG_OUTCOME_NONE;
    assert_int_equal(vg_wait_reason_of_own(&rescue).code, VG_OUTCOME_NONE);
    failure.asked_bytes = 5 * VG_GIB;
    assert_int_equal(vg_wait_reason_of_own(&rescue).code, VG_OUTCOME_SKIPPED_TOO_LARGE);
    failure.asked_bytes = VG_GIB;
    header.devices[0].live_bytes = 7 * VG_GIB / 2;
    assert_int_equal(vg_wait_reason_of_own(&rescue).code, VG_OUTCOME_SKIPPED_OWN_MEMORY);
    failure.device = -1;
    assert_int_equal(vg_wait_reason_of_own(&rescue).code, VG_OUTCOME_SKIPPED_NO_CONTEXT);
}

int main(void)
{
#define REASON_TEST(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        REASON_TEST(a_stranger_with_enough_is_waited_for),
        REASON_TEST(nobody_or_too_little_is_not),
        REASON_TEST(the_own_program_is_not),
        REASON_TEST(the_own_program_is_asked_for_what_it_only_keeps),
        REASON_TEST(the_same_standstill_is_not_waited_for_again),
        REASON_TEST(who_went_on_after_a_failure_waits_a_second),
        REASON_TEST(with_the_gil_it_is_half_a_second),
        REASON_TEST(without_nvml_the_own_context_is_nobody_elses),
        REASON_TEST(in_a_container_this_process_is_one_of_the_list),
        REASON_TEST(a_slow_nvml_is_told),
        REASON_TEST(what_it_knows_itself_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
