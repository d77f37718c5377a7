/* Which programs VRAMGUARD_EXCLUDE means. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "guard/exclude.h"

static void any_pattern_of_the_list_may_fit(void **state)
{
    (void)state;
    assert_true(vg_exclude_fits("Xorg", "Xorg"));
    assert_true(vg_exclude_fits("Xorg,nvidia-*,blender", "Xorg"));
    assert_true(vg_exclude_fits("Xorg,nvidia-*,blender", "nvidia-smi"));
    assert_true(vg_exclude_fits("Xorg,nvidia-*,blender", "blender"));
    assert_false(vg_exclude_fits("Xorg,nvidia-*,blender", "python3"));
    assert_true(vg_exclude_fits("pytho?3", "python3"));
    assert_false(vg_exclude_fits("python", "python3"));
    assert_false(vg_exclude_fits("python3", "python"));
}

static void blanks_around_a_pattern_are_none_of_it(void **state)
{
    (void)state;
    assert_true(vg_exclude_fits("  Xorg , a b ,c ", "Xorg"));
    assert_true(vg_exclude_fits("  Xorg , a b ,c ", "a b"));
    assert_true(vg_exclude_fits("  Xorg , a b ,c ", "c"));
    assert_false(vg_exclude_fits("  Xorg , a b ,c ", "a"));
}

static void an_empty_pattern_fits_nothing(void **state)
{
    static const char *const lists[] = { "", " ", ",", " , ,", ",," };
    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        assert_false(vg_exclude_fits(lists[i], ""));
        assert_false(vg_exclude_fits(lists[i], "Xorg"));
    }
}

static void a_pattern_longer_than_any_name_is_passed_over(void **state)
{
    char patterns[4096];
    (void)state;
    memset(patterns, '*', sizeof patterns);
    memcpy(patterns + sizeof patterns - 6, ",Xorg", 6);
    assert_true(vg_exclude_fits(patterns, "Xorg"));
    assert_false(vg_exclude_fits(patterns, "python3"));
    patterns[255] = '\0'; /* the longest */
    assert_true(vg_exclude_fits(patterns, "python3"));
    patterns[255] = '*';
    patterns[256] = '\0';
    assert_false(vg_exclude_fits(patterns, "python3"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_pattern_of_the_list_may_fit),
        cmocka_unit_test(blanks_around_a_pattern_are_none_of_it),
        cmocka_unit_test(an_empty_pattern_fits_nothing),
        cmocka_unit_test(a_pattern_longer_than_any_name_is_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
