/* The stack of the exceptions that a thread is handling, in a state made up. (Real ones:
 * test/e2e/test_python_handled.py.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "unwind/python_handled.h"

struct item {
    void *value;
    struct item *outer;
};

static struct {
    void *unused;
    struct item *handled;
    struct item own;
} thread;

static const struct vg_python_layout layout = { .thread_handled = sizeof(void *),
                                                .thread_own_item = 2 * sizeof(void *),
                                                .handled_value = 0,
                                                .handled_outer = sizeof(void *) };
static struct vg_python_handled found;
static long objects[2000][2];

static bool read_handled(void)
{
    return vg_python_handled_read(&layout, (uintptr_t)&thread, &found);
}

static int begin(void **state)
{
    (void)state;
    memset(&thread, 0, sizeof thread);
    memset(&found, 0xff, sizeof found);
    thread.handled = &thread.own;
    return 0;
}

static void a_thread_handles_one_or_none(void **state)
{
    (void)state;
    assert_true(read_handled());
    assert_int_equal(found.count, 0);
    thread.own.value = objects[0];
    assert_true(read_handled());
    assert_int_equal(found.count, 1);
    assert_int_equal(found.values[0], (uintptr_t)objects[0]);
}

static void generators_come_first(void **state)
{
    (void)state;
    struct item outer = { objects[1], &thread.own }, idle = { NULL, &outer },
                inner = { objects[2], &idle };
    thread.handled = &inner;
    thread.own.value = objects[0];
    assert_true(read_handled());
    assert_int_equal(found.count, 3);
    assert_int_equal(found.values[0], (uintptr_t)objects[2]);
    assert_int_equal(found.values[1], (uintptr_t)objects[1]);
    assert_int_equal(found.values[2], (uintptr_t)objects[0]);
}

static void of_many_the_innermost_stay(void **state)
{
    (void)state;
    static struct item items[2000];
    thread.handled = items;
    for (size_t i = 0; i < 1000; i++)
        items[i] = (struct item){ objects[i], i + 1 < 1000 ? &items[i + 1] : &thread.own };
    assert_true(read_handled());
    assert_int_equal(found.count, VG_PYTHON_HANDLED);
    assert_int_equal(found.values[VG_PYTHON_HANDLED - 1],
                     (uintptr_t)objects[VG_PYTHON_HANDLED - 1]);
    for (size_t i = 999; i < 2000; i++) /* more than there are */
        items[i] = (struct item){ objects[i], i + 1 < 2000 ? &items[i + 1] : &thread.own };
    assert_false(read_handled());
}

static void another_layout_is_seen(void **state)
{
    (void)state;
    struct item elsewhere = { objects[0], NULL }, ring = { objects[0], &ring };
    void *const wild = (void *)(UINT64_C(1) << 46);
    thread.handled = NULL;
    assert_false(read_handled());
    thread.handled = wild;
    assert_false(read_handled());
    thread.handled = (struct item *)((char *)&elsewhere + 1);
    assert_false(read_handled());
    thread.handled = &elsewhere; /* it ends, but not where it should */
    assert_false(read_handled());
    thread.handled = &ring;
    assert_false(read_handled());
    thread.handled = &thread.own;
    thread.own.outer = &elsewhere; /* the last has nothing further out */
    assert_false(read_handled());
    thread.own = (struct item){ wild, NULL };
    assert_false(read_handled());
    thread.own.value = (char *)objects + 4;
    assert_false(read_handled());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_thread_handles_one_or_none, begin),
        cmocka_unit_test_setup(generators_come_first, begin),
        cmocka_unit_test_setup(of_many_the_innermost_stay, begin),
        cmocka_unit_test_setup(another_layout_is_seen, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
