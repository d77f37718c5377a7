/* Captures under way, of the process and of each thread, from what the driver answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "driver/captures.h"

static int setup(void **state)
{
    (void)state;
    while (vg_captures_live())
        vg_captures_ended(CUDA_SUCCESS);
    vg_captures_mode_set((CUstreamCaptureMode)0);
    return 0;
}

static void a_refused_beginning_is_none(void **state)
{
    (void)state;
    vg_captures_begun(CUDA_ERROR_OUT_OF_MEMORY);
    assert_false(vg_captures_live());
    vg_captures_begun(CUDA_SUCCESS);
    assert_true(vg_captures_live());
}

static void an_end_that_fails_may_end_it(void **state)
{
    static const CUresult ends[] = { CUDA_SUCCESS, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
                                     CUDA_ERROR_STREAM_CAPTURE_UNJOINED };
    (void)state;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        vg_captures_begun(CUDA_SUCCESS);
        vg_captures_ended(CUDA_ERROR_INVALID_VALUE); /* of another stream */
        assert_true(vg_captures_live());
        vg_captures_ended(ends[i]);
        assert_false(vg_captures_live());
    }
}

static void more_ends_than_beginnings_leave_nothing_behind(void **state)
{
    (void)state;
    vg_captures_ended(CUDA_SUCCESS); /* of a capture that was begun before we were there */
    vg_captures_ended(CUDA_SUCCESS);
    assert_false(vg_captures_live());
    vg_captures_begun(CUDA_SUCCESS);
    assert_true(vg_captures_live());
    assert_int_not_equal(vg_captures_allocating(), 0);
}

struct seen {
    uint32_t before, relaxed;
};

static void *look(void *out)
{
    struct seen *const seen = out;
    seen->before = vg_captures_allocating();
    vg_captures_mode_set(CU_STREAM_CAPTURE_MODE_RELAXED);
    seen->relaxed = vg_captures_allocating();
    return NULL;
}

static void *end_a_capture(void *seen)
{
    vg_captures_ended(CUDA_SUCCESS);
    return look(seen);
}

static struct seen in_a_thread(void *(*function)(void *))
{
    pthread_t thread;
    struct seen seen = { 77, 77 };
    assert_int_equal(pthread_create(&thread, NULL, function, &seen), 0);
    pthread_join(thread, NULL);
    return seen;
}

static void a_capture_is_its_threads(void **state)
{
    (void)state;
    vg_captures_begun(CUDA_SUCCESS);
    const uint32_t first = vg_captures_allocating();
    assert_int_not_equal(first, 0);
    const struct seen other = in_a_thread(look);
    assert_int_equal(other.before, 0);
    assert_int_equal(other.relaxed, first);
    vg_captures_begun(CUDA_SUCCESS);
    assert_int_equal(vg_captures_allocating(), first + 1);
    vg_captures_ended(CUDA_SUCCESS);
    vg_captures_ended(CUDA_SUCCESS);
    assert_int_equal(vg_captures_allocating(), 0);
}

/* Streams may be ended by other threads than those that began them. */
static void another_thread_may_end_it(void **state)
{
    (void)state;
    vg_captures_begun(CUDA_SUCCESS);
    vg_captures_begun(CUDA_SUCCESS);
    const struct seen other = in_a_thread(end_a_capture);
    assert_int_equal(other.before, 0);
    assert_true(vg_captures_live());
    assert_int_not_equal(other.relaxed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_refused_beginning_is_none, setup),
        cmocka_unit_test_setup(an_end_that_fails_may_end_it, setup),
        cmocka_unit_test_setup(more_ends_than_beginnings_leave_nothing_behind, setup),
        cmocka_unit_test_setup(a_capture_is_its_threads, setup),
        cmocka_unit_test_setup(another_thread_may_end_it, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
