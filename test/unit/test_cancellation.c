/* A thread's cancellation is held off and given back as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/cancellation.h"

/* Is the calling thread's cancellation off? */
static int is_off(void)
{
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
    pthread_setcancelstate(state, NULL);
    return state == PTHREAD_CANCEL_DISABLE;
}

static void set_off(int off)
{
    pthread_setcancelstate(off ? PTHREAD_CANCEL_DISABLE : PTHREAD_CANCEL_ENABLE, NULL);
}

static void holds_nest(void **state)
{
    (void)state;
    for (int off = 0; off <= 1; off++) {
        set_off(off);
        vg_cancellation_hold();
        vg_cancellation_hold();
        assert_true(is_off());
        vg_cancellation_release();
        assert_true(is_off());
        vg_cancellation_release();
        assert_int_equal(is_off(), off);
    }
    set_off(0);
}

static void a_lent_state_is_the_threads(void **state)
{
    (void)state;
    vg_cancellation_lend(); /* without a hold nothing is lent */
    vg_cancellation_resume();
    assert_false(is_off());
    vg_cancellation_hold();
    vg_cancellation_lend();
    assert_false(is_off());
    vg_cancellation_resume();
    assert_true(is_off());
    vg_cancellation_lend();
    set_off(1); /* as a handler of the program's may */
    vg_cancellation_resume();
    vg_cancellation_release();
    assert_true(is_off());
    set_off(0);
}

static void a_reset_ends_all_holds(void **state)
{
    (void)state;
    vg_cancellation_hold();
    vg_cancellation_hold();
    vg_cancellation_reset();
    assert_false(is_off());
    vg_cancellation_hold(); /* counts from one again */
    assert_true(is_off());
    vg_cancellation_release();
    assert_false(is_off());
    vg_cancellation_hold();
    vg_cancellation_lend();
    set_off(1); /* and left for good: it is as the handler has set it */
    vg_cancellation_reset();
    assert_true(is_off());
    set_off(0);
    vg_cancellation_hold();
    vg_cancellation_reset(); /* what was lent is so no more */
    assert_false(is_off());
    vg_cancellation_reset();
    assert_false(is_off());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_nest),
        cmocka_unit_test(a_lent_state_is_the_threads),
        cmocka_unit_test(a_reset_ends_all_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
