/* What may be done about a failure, by who calls and what it did before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/size.h"
#include "core_fixture.h"
#include "policy/triage.h"
#include "recorder/recorder.h"

enum { FUNCTION = 7 };

#define SECOND_NS UINT64_C(1000000000)

/* A failure of PyTorch's allocator on a full device. */
static struct vg_failure failure_of(uint64_t asked_bytes)
{
    return (struct vg_failure){ .asked_bytes = asked_bytes,
                                .caller = VG_CALLER_PYTORCH,
                                .twice = true,
                                .free_bytes = VG_MIB,
                                .total_bytes = VG_GIB };
}

static enum vg_course triage(struct vg_failure *failure, const struct vg_history *history,
                             struct vg_last_failure *last)
{
    return vg_triage(failure, FUNCTION, history, last, 100 * SECOND_NS);
}

static void pytorch_is_asked_twice(void **state)
{
    (void)state;
    struct vg_history history = { .distributed = false };
    struct vg_last_failure last = { .function = 0 };
    struct vg_failure failure = failure_of(100 * VG_MIB);
    assert_int_equal(triage(&failure, &history, &last), VG_COURSE_PASS);
    assert_int_equal(triage(&failure, &history, &last), VG_COURSE_POLICY);
    assert_null(failure.why_no_wait);
    assert_int_equal(triage(&failure, &history, &last), VG_COURSE_PASS);
}

/* Of smaller and smaller requests, neither the first call nor the second is worth a wait. */
static void shrinking_lasts_over_the_second_call(void **state)
{
    (void)state;
    struct vg_history history = { .distributed = false };
    struct vg_last_failure last = { .function = 0 };
    struct vg_failure failure = failure_of(100 * VG_MIB);
    triage(&failure, &history, &last);
    triage(&failure, &history, &last);
    failure = failure_of(90 * VG_MIB);
    assert_int_equal(triage(&failure, &history, &last), VG_COURSE_PASS);
    assert_int_equal(triage(&failure, &history, &last), VG_COURSE_POLICY);
    assert_non_null(failure.why_no_wait);
    failure = failure_of(50 * VG_GIB);
    triage(&failure, &history, &last);
    triage(&failure, &history, &last);
    assert_null(failure.why_no_wait);
}

/* PyTorch makes all pieces of an expandable segment before it maps one, and begins anew after a
 * failure: a piece that it gets then does not end the matter, a mapping does. */
static void segments_of_many_pieces(void **state)
{
    (void)state;
    enum { CREATE = 20, MAP = FUNCTION };
    struct vg_history history = { .distributed = false };
    struct vg_last_failure last = { .function = 0 };
    struct vg_failure failure = failure_of(20 * VG_MIB);
    assert_int_equal(triage(&failure, &history, &last), VG_COURSE_PASS);
    vg_triage_succeeded(&last, CREATE, 20 * VG_MIB);
    assert_int_equal(triage(&failure, &history, &last), VG_COURSE_POLICY);
    vg_triage_rescued(&last, &failure);
    vg_triage_succeeded(&last, CREATE, 20 * VG_MIB);
    assert_int_equal(triage(&failure, &history, &last), VG_COURSE_POLICY);
    vg_triage_rescued(&last, &failure);
    vg_triage_succeeded(&last, MAP, 20 * VG_MIB);
    assert_int_equal(triage(&failure, &history, &last), VG_COURSE_PASS);
}

/* The cudaMallocAsync backend asks twice since PyTorch 2.14: one wait is enough. */
static void pool_allocation_waits_once(void **state)
{
    (void)state;
    struct vg_history history = { .distributed = false };
    struct vg_last_failure last = { .function = 0 };
    struct vg_failure failure = failure_of(20 * VG_MIB);
    failure.twice = false;
    assert_int_equal(triage(&failure, &history, &last), VG_COURSE_POLICY);
    assert_null(failure.why_no_wait);
    assert_int_equal(triage(&failure, &history, &last), VG_COURSE_POLICY);
    assert_non_null(failure.why_no_wait);
    assert_int_equal(triage(&failure, &history, &last), VG_COURSE_POLICY);
    assert_null(failure.why_no_wait); /* the program's own second try */
    vg_triage_succeeded(&last, FUNCTION, 20 * VG_MIB);
    triage(&failure, &history, &last);
    assert_null(failure.why_no_wait);
}

/* Of many allocations that are spilled, the first has waited for all. */
static void spilling_goes_on_without_waiting(void **state)
{
    (void)state;
    struct vg_history history = { .distributed = false };
    struct vg_last_failure last = { .function = 0 };
    struct vg_failure failure = failure_of(20 * VG_MIB);
    failure.twice = false;
    failure.action_count = 1;
    strcpy(failure.actions[0].name, "trim");
    vg_triage_placed(&history, &failure, 100 * SECOND_NS);
    triage(&failure, &history, &last);
    assert_null(failure.why_no_wait); /* it was not waited before */
    failure.action_count = 2;
    strcpy(failure.actions[1].name, "wait");
    vg_triage_placed(&history, &failure, 100 * SECOND_NS);
    last.answer = VG_LAST_NONE;
    triage(&failure, &history, &last);
    assert_non_null(failure.why_no_wait);
    last.answer = VG_LAST_NONE;
    vg_triage(&failure, FUNCTION, &history, &last, 161 * SECOND_NS);
    assert_null(failure.why_no_wait);
}

static void search_for_a_batch_size_does_not_wait(void **state)
{
    (void)state;
    struct vg_history history = { .distributed = false };
    struct vg_last_failure last = { .function = 0 };
    struct vg_failure failure = failure_of(100 * VG_MIB);
    failure.searches_batch_size = true;
    assert_int_equal(triage(&failure, &history, &last), VG_COURSE_PASS);
    assert_int_equal(triage(&failure, &history, &last), VG_COURSE_POLICY);
    assert_non_null(failure.why_no_wait);
}

/* Returns failures to the program, `apart_ns` apart, of which `waited_ns` were spent waiting. */
static bool probes_after(unsigned count, uint64_t apart_ns, uint64_t waited_ns)
{
    struct vg_history history = { .distributed = false };
    uint64_t now_ns = 1000 * SECOND_NS;
    for (unsigned i = 0; i < count; i++) {
        now_ns += apart_ns;
        history.waited_total_ns += waited_ns;
        vg_triage_returned(&history, now_ns);
    }
    return history.probing_until_ns > now_ns;
}

static void survivors_of_many_failures_are_probing(void **state)
{
    (void)state;
    assert_false(probes_after(3, SECOND_NS, 0));
    assert_true(probes_after(4, SECOND_NS, 0));
    assert_false(probes_after(9, 4 * SECOND_NS, 0));
    /* Waiting 30 s at each does not make it a slow program. */
    assert_true(probes_after(4, 31 * SECOND_NS, 30 * SECOND_NS));
    assert_false(probes_after(9, 34 * SECOND_NS, 30 * SECOND_NS));
    /* Threads that waited at the same time. */
    assert_true(probes_after(4, 31 * SECOND_NS, 60 * SECOND_NS));
}

/* The stack of a program of two Python frames, the outer one `name` of `file`. */
static bool searches(struct vg_recorder *recorder, const char *file, const char *name)
{
    static uint64_t count = 100;
    const uint64_t native[] = { 0x400000 };
    const struct vg_journal_python python[] = {
        { .code_id = vg_recorder_add_code(recorder, ++count, 1, "/home/me/train.py", "train") },
        { .code_id = vg_recorder_add_code(recorder, ++count, 1, file, name) },
    };
    const struct vg_recorder_frames frames = {
        .native = native, .depth = 1, .python = python, .python_depth = 2
    };
    return vg_caller_searches_batch_size(recorder, vg_recorder_add_stack(recorder, count, &frames));
}

static void searches_are_known_by_their_code(void **state)
{
    (void)state;
    static struct vg_recorder recorder;
    const struct vg_recorder_config config = { .path_template = in_scratch("run.vgr"),
                                               .snapshot_bytes = 100 };
    assert_int_equal(vg_recorder_open(&recorder, &config), 0);
    const char decorator[] = "find_executable_batch_size.<locals>.decorator";
    assert_true(searches(&recorder, "/v/lib/site-packages/accelerate/utils/memory.py", decorator));
    assert_true(searches(&recorder, "/v/lightning/pytorch/tuner/batch_size_scaling.py",
                         "_run_power_scaling"));
    assert_true(searches(&recorder, "/v/pytorch_lightning/tuner/batch_size_scaling.py",
                         "_run_binary_scaling"));
    assert_false(searches(&recorder, "/v/lib/site-packages/accelerate/utils/memory.py",
                          "clear_device_cache"));
    assert_false(searches(&recorder, "/home/me/memory.py", decorator));
    assert_false(searches(&recorder, "", ""));
    assert_false(vg_caller_searches_batch_size(&recorder, 0));
    assert_false(vg_caller_searches_batch_size(&recorder, 12345));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pytorch_is_asked_twice),
        cmocka_unit_test(shrinking_lasts_over_the_second_call),
        cmocka_unit_test(segments_of_many_pieces),
        cmocka_unit_test(pool_allocation_waits_once),
        cmocka_unit_test(spilling_goes_on_without_waiting),
        cmocka_unit_test(search_for_a_batch_size_does_not_wait),
        cmocka_unit_test(survivors_of_many_failures_are_probing),
        cmocka_unit_test_setup_teardown(searches_are_known_by_their_code, make_scratch,
                                        remove_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
