/* Numbers of stacks, and where each lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "record/stack_table.h"

static void stacks_are_numbered_and_found(void **state)
{
    (void)state;
    enum { STACKS = 5000 }; /* it grows meanwhile */
    struct vg_stack_table table = { .count = 0 };
    assert_int_equal(vg_stack_table_find(&table, 1), 0);
    for (uint64_t i = 1; i <= STACKS; i++) {
        assert_int_equal(vg_stack_table_find(&table, i * 977), 0);
        assert_int_equal(vg_stack_table_add(&table, i * 977, i * 64), i);
        assert_int_equal(table.count, i);
        assert_true(table.count <= table.cap);
    }
    for (uint64_t i = 1; i <= STACKS; i++) {
        assert_int_equal(vg_stack_table_find(&table, i * 977), i);
        assert_int_equal(table.offsets[i - 1], i * 64);
    }
    assert_int_equal(vg_stack_table_find(&table, 976), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stacks_are_numbered_and_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
