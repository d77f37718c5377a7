/* Kinds of allocations: how they are called, what is true of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "record/kind.h"

static void kinds_are_called_as_the_table_says(void **state)
{
    (void)state;
    assert_string_equal(vg_kind_text(VG_KIND_DEVICE), "cuMemAlloc");
    assert_string_equal(vg_kind_text(VG_KIND_SPILLED_VIRTUAL), "virtual memory spilled to host");
    assert_string_equal(vg_kind_text(VG_KIND_NONE), "unknown kind");
    assert_string_equal(vg_kind_text(VG_KIND_COUNT), "unknown kind");
    assert_string_equal(vg_kind_text(UINT32_MAX), "unknown kind");
}

static void traits_are_of_their_kind(void **state)
{
    (void)state;
    assert_int_equal(vg_kind_traits(VG_KIND_DEVICE), VG_TRAIT_OF_CONTEXT);
    assert_int_equal(vg_kind_traits(VG_KIND_MANAGED), VG_TRAIT_OF_CONTEXT | VG_TRAIT_MOVES);
    assert_int_equal(vg_kind_traits(VG_KIND_ASYNC), 0);
    assert_int_equal(vg_kind_traits(VG_KIND_SPILLED_VIRTUAL), VG_TRAIT_ON_HOST | VG_TRAIT_HANDLE);
    assert_int_equal(vg_kind_traits(VG_KIND_NONE), 0);
    assert_int_equal(vg_kind_traits(VG_KIND_COUNT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kinds_are_called_as_the_table_says),
        cmocka_unit_test(traits_are_of_their_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
