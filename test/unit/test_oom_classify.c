/* What is done about a failure before its policy is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/size.h"
#include "core_fixture.h"
#include "driver/driver.h"
#include "oom/oom_classify.h"
#include "record/recorder.h"

#define SECOND_NS UINT64_C(1000000000)

static struct vg_oom_state history;
static struct vg_last_failure last;
static uint64_t now_ns;

static int setup(void **state)
{
    (void)state;
    memset(&history, 0, sizeof history);
    memset(&last, 0, sizeof last);
    now_ns = 1000 * SECOND_NS;
    return 0;
}

/* One failure of the thread. */
static enum vg_oom_decision failing(enum vg_caller caller, uint16_t function, uint64_t bytes,
                                    struct vg_failure *out)
{
    *out = (struct vg_failure){
        .asked_bytes = bytes,
        .free_bytes = VG_MIB,
        .caller = caller,
        .twice = function == VG_FN_cuMemAlloc_v2 || function == VG_FN_cuMemCreate,
    };
    return vg_oom_classify(out, function, &history, &last, now_ns);
}

static enum vg_oom_decision pytorch(uint16_t function, uint64_t mib)
{
    struct vg_failure failure;
    const enum vg_oom_decision course =
        failing(VG_CALLER_PYTORCH, function, mib * VG_MIB, &failure);
    assert_int_equal(failure.retry, course != VG_DECISION_DEFER);
    return course;
}

static void first_failure_of_pytorch_is_passed_and_the_second_is_not(void **state)
{
    (void)state;
    assert_int_equal(pytorch(VG_FN_cuMemAlloc_v2, 20), VG_DECISION_DEFER);
    assert_true(last.passed);
    assert_int_equal(pytorch(VG_FN_cuMemAlloc_v2, 20), VG_DECISION_POLICY);
    /* Another size, another function: a first failure. */
    last.passed = 0;
    assert_int_equal(pytorch(VG_FN_cuMemAlloc_v2, 20), VG_DECISION_DEFER);
    assert_int_equal(pytorch(VG_FN_cuMemAlloc_v2, 22), VG_DECISION_DEFER);
    assert_int_equal(pytorch(VG_FN_cuMemCreate, 22), VG_DECISION_DEFER);
}

static void cure_ends_the_pass(void **state)
{
    (void)state;
    pytorch(VG_FN_cuMemAlloc_v2, 20);
    assert_int_equal(vg_oom_note_success(&last, VG_FN_cuMemAlloc_v2, 20 * VG_MIB),
                     VG_DEFERRED_CURED);
    assert_int_equal(pytorch(VG_FN_cuMemAlloc_v2, 20), VG_DECISION_DEFER);
    assert_int_equal(vg_oom_note_success(&last, VG_FN_cuMemAlloc_v2, 2 * VG_MIB),
                     VG_DEFERRED_UNANSWERED);
    assert_false(last.passed);
}

static void the_pool_backend_may_ask_twice(void **state)
{
    (void)state;
    struct vg_failure failure = { .asked_bytes = 20 * VG_MIB,
                                  .free_bytes = VG_MIB,
                                  .caller = VG_CALLER_PYTORCH,
                                  .pool_call = true };
    const uint16_t function = VG_FN_cuMemAllocFromPoolAsync;
    assert_int_equal(vg_oom_classify(&failure, function, &history, &last, now_ns),
                     VG_DECISION_POLICY);
    assert_false(failure.retry);
    assert_int_equal(vg_oom_classify(&failure, function, &history, &last, now_ns),
                     VG_DECISION_REPORT);
    assert_true(failure.retry);
    /* A third one is a failure of its own, like one after the program has looked what is free. */
    assert_int_equal(vg_oom_classify(&failure, function, &history, &last, now_ns),
                     VG_DECISION_POLICY);
    last.tried = 0;
    assert_int_equal(vg_oom_classify(&failure, function, &history, &last, now_ns),
                     VG_DECISION_POLICY);
    assert_false(failure.retry);
    assert_int_equal(vg_oom_note_success(&last, function, 20 * VG_MIB), VG_DEFERRED_CURED);
    assert_int_equal(vg_oom_note_success(&last, function, 20 * VG_MIB), VG_DEFERRED_UNANSWERED);
}

static void second_loop_of_expandable_segments(void **state)
{
    (void)state;
    assert_int_equal(pytorch(VG_FN_cuMemCreate, 20), VG_DECISION_DEFER);
    assert_int_equal(vg_oom_note_success(&last, VG_FN_cuMemCreate, 20 * VG_MIB), VG_DEFERRED_OPEN);
    assert_int_equal(vg_oom_note_success(&last, VG_FN_cuMemCreate, 20 * VG_MIB), VG_DEFERRED_OPEN);
    assert_int_equal(pytorch(VG_FN_cuMemCreate, 20), VG_DECISION_POLICY);
    /* It was waited for; the next piece fails too. */
    assert_int_equal(vg_oom_note_success(&last, VG_FN_cuMemCreate, 20 * VG_MIB), VG_DEFERRED_OPEN);
    assert_int_equal(pytorch(VG_FN_cuMemCreate, 20), VG_DECISION_POLICY);
    assert_int_equal(vg_oom_note_success(&last, VG_FN_cuMemCreate, 2 * VG_MIB),
                     VG_DEFERRED_UNANSWERED);
}

static enum vg_outcome_code why_no_wait(enum vg_caller caller, uint64_t bytes)
{
    struct vg_failure failure;
    failing(caller, VG_FN_cuMemAlloc_v2, bytes, &failure);
    return failure.why_no_wait;
}

static void those_who_ask_for_less_are_recognised(void **state)
{
    (void)state;
    assert_true(why_no_wait(VG_CALLER_ARENA, 100 * VG_MIB));
    memset(&last, 0, sizeof last);
    assert_false(why_no_wait(VG_CALLER_OTHER, 100 * VG_MIB));
    assert_true(why_no_wait(VG_CALLER_OTHER, 90 * VG_MIB));
    assert_true(why_no_wait(VG_CALLER_OTHER, 45 * VG_MIB));
    assert_false(why_no_wait(VG_CALLER_OTHER, 30 * VG_MIB));
    assert_false(why_no_wait(VG_CALLER_OTHER, 31 * VG_MIB));
    assert_false(why_no_wait(VG_CALLER_OTHER, 31 * VG_MIB));
}

/* Fails with sizes that follow no rule; each failure is returned after `wait_ns` of waiting. */
static bool is_waited_for(uint64_t wait_ns)
{
    static const uint64_t sizes[] = { 100, 30, 80, 10, 60 };
    static unsigned turn;
    const enum vg_outcome_code why = why_no_wait(VG_CALLER_OTHER, sizes[turn++ % 5] * VG_MIB);
    if (!why && wait_ns > 0) {
        vg_oom_note_wait_begin(&history, now_ns);
        now_ns += wait_ns;
        vg_oom_note_wait_end(&history, now_ns);
    }
    vg_oom_note_returned(&history, now_ns);
    return why == VG_OUTCOME_NONE;
}

static void whoever_survives_three_is_probing(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++, now_ns += SECOND_NS)
        assert_true(is_waited_for(0));
    assert_false(is_waited_for(0));
    now_ns += 59 * SECOND_NS;
    assert_false(is_waited_for(0)); /* which begins the minute anew */
    now_ns += 61 * SECOND_NS;
    assert_true(is_waited_for(0));
}

static void failures_now_and_then_are_no_probing(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++, now_ns += 6 * SECOND_NS)
        assert_true(is_waited_for(0));
}

static void waits_are_no_time_of_the_program(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(is_waited_for(30 * SECOND_NS));
    assert_false(is_waited_for(30 * SECOND_NS));
}

static void waits_of_several_threads_count_once(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        vg_oom_note_wait_begin(&history, now_ns);
    now_ns += 30 * SECOND_NS;
    for (int i = 0; i < 10; i++)
        vg_oom_note_wait_end(&history, now_ns);
    assert_int_equal(history.in_waits_ns, 30 * SECOND_NS);
    assert_int_equal(history.waiting, 0);
}

/* Of smaller and smaller requests, neither the first call nor the second is worth a wait. */
static void shrinking_lasts_over_the_second_call(void **state)
{
    (void)state;
    struct vg_failure failure;
    failing(VG_CALLER_PYTORCH, VG_FN_cuMemAlloc_v2, 100 * VG_MIB, &failure);
    failing(VG_CALLER_PYTORCH, VG_FN_cuMemAlloc_v2, 100 * VG_MIB, &failure);
    last.passed = 0;
    assert_int_equal(failing(VG_CALLER_PYTORCH, VG_FN_cuMemAlloc_v2, 90 * VG_MIB, &failure),
                     VG_DECISION_DEFER);
    assert_int_equal(failing(VG_CALLER_PYTORCH, VG_FN_cuMemAlloc_v2, 90 * VG_MIB, &failure),
                     VG_DECISION_POLICY);
    assert_true(failure.why_no_wait);
}

/* The cudaMallocAsync backend asks twice since PyTorch 2.14: one wait is enough. */
static void pool_allocation_waits_once(void **state)
{
    (void)state;
    struct vg_failure failure;
    for (int i = 0; i < 4; i++) {
        assert_int_equal(failing(VG_CALLER_PYTORCH, VG_FN_cuMemAllocAsync, 20 * VG_MIB, &failure),
                         VG_DECISION_POLICY);
        if (i % 2 == 0)
            assert_false(failure.why_no_wait); /* the third is the program's own second try */
        else
            assert_true(failure.why_no_wait);
    }
    failing(VG_CALLER_PYTORCH, VG_FN_cuMemAllocAsync, 20 * VG_MIB, &failure);
    vg_oom_note_success(&last, VG_FN_cuMemAllocAsync, 20 * VG_MIB);
    failing(VG_CALLER_PYTORCH, VG_FN_cuMemAllocAsync, 20 * VG_MIB, &failure);
    assert_false(failure.why_no_wait);
}

/* Of many allocations that are spilled, the first has waited for all. */
static void spilling_goes_on_without_waiting(void **state)
{
    (void)state;
    struct vg_failure failure;
    failing(VG_CALLER_OTHER, VG_FN_cuMemAlloc_v2, 20 * VG_MIB, &failure);
    failure.action_count = 1;
    strcpy(failure.actions[0].name, "trim");
    vg_oom_note_placed(&history, &failure, now_ns);
    failing(VG_CALLER_OTHER, VG_FN_cuMemAlloc_v2, 20 * VG_MIB, &failure);
    assert_false(failure.why_no_wait); /* it was not waited before */
    failure.action_count = 1;
    strcpy(failure.actions[0].name, "wait");
    vg_oom_note_placed(&history, &failure, now_ns);
    failing(VG_CALLER_OTHER, VG_FN_cuMemAlloc_v2, 20 * VG_MIB, &failure);
    assert_true(failure.why_no_wait);
    now_ns += 61 * SECOND_NS;
    failing(VG_CALLER_OTHER, VG_FN_cuMemAlloc_v2, 20 * VG_MIB, &failure);
    assert_false(failure.why_no_wait);
}

static void search_for_a_batch_size_does_not_wait(void **state)
{
    (void)state;
    struct vg_failure failure = { .asked_bytes = 100 * VG_MIB,
                                  .free_bytes = VG_MIB,
                                  .searches_batch_size = true };
    assert_int_equal(vg_oom_classify(&failure, 7, &history, &last, now_ns), VG_DECISION_POLICY);
    assert_true(failure.why_no_wait);
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
    const struct vg_recorder_config config = {
        .path_template = in_scratch("run.vgr"),
    };
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

static void captures_and_injected_failures_are_reported(void **state)
{
    (void)state;
    struct vg_failure failure = { .caller = VG_CALLER_PYTORCH, .twice = true, .capturing = true };
    assert_int_equal(vg_oom_classify(&failure, VG_FN_cuMemAlloc_v2, &history, &last, now_ns),
                     VG_DECISION_REPORT);
    failure.capturing = false;
    failure.refused_by = VG_REFUSED_BY_INJECT;
    assert_int_equal(vg_oom_classify(&failure, VG_FN_cuMemAlloc_v2, &history, &last, now_ns),
                     VG_DECISION_REPORT);
    assert_true(last.passed); /* PyTorch asks again all the same */
    failure = (struct vg_failure){ .lacks_elsewhere = "addresses are short" };
    assert_int_equal(vg_oom_classify(&failure, VG_FN_cuMemAddressReserve, &history, &last, now_ns),
                     VG_DECISION_REPORT);
    assert_false(last.passed);
}

static void enough_free_is_tried_again(void **state)
{
    (void)state;
    struct vg_failure failure = { .asked_bytes = 10 * VG_MIB, .free_bytes = 14 * VG_MIB };
    assert_int_equal(vg_oom_classify(&failure, VG_FN_cuMemAlloc_v2, &history, &last, now_ns),
                     VG_DECISION_AGAIN);
    failure.free_bytes--;
    assert_int_equal(vg_oom_classify(&failure, VG_FN_cuMemAlloc_v2, &history, &last, now_ns),
                     VG_DECISION_POLICY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(first_failure_of_pytorch_is_passed_and_the_second_is_not, setup),
        cmocka_unit_test_setup(cure_ends_the_pass, setup),
        cmocka_unit_test_setup(the_pool_backend_may_ask_twice, setup),
        cmocka_unit_test_setup(second_loop_of_expandable_segments, setup),
        cmocka_unit_test_setup(those_who_ask_for_less_are_recognised, setup),
        cmocka_unit_test_setup(whoever_survives_three_is_probing, setup),
        cmocka_unit_test_setup(failures_now_and_then_are_no_probing, setup),
        cmocka_unit_test_setup(waits_are_no_time_of_the_program, setup),
        cmocka_unit_test_setup(waits_of_several_threads_count_once, setup),
        cmocka_unit_test_setup(shrinking_lasts_over_the_second_call, setup),
        cmocka_unit_test_setup(pool_allocation_waits_once, setup),
        cmocka_unit_test_setup(spilling_goes_on_without_waiting, setup),
        cmocka_unit_test_setup(search_for_a_batch_size_does_not_wait, setup),
        cmocka_unit_test_setup_teardown(searches_are_known_by_their_code, make_scratch,
                                        remove_scratch),
        cmocka_unit_test_setup(captures_and_injected_failures_are_reported, setup),
        cmocka_unit_test_setup(enough_free_is_tried_again, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
