/* PyTorch's tensors in tables: by line, by kind, by variable. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analyze/census.h"
#include "sample_failure.h"
#include "view/block_tables.h"

static struct vg_run_failure s;
static struct vg_run_site lines[4];
static struct vg_census census;
static char tables[8192];

static int prepare(void **state)
{
    (void)state;
    sample_alone(&s);
    memset(&census, 0, sizeof census);
    census.state = VG_CENSUS_COMPLETE;
    census.total = (struct vg_census_amount){ .bytes = 4 * VG_GIB, .blocks = 40 };
    census.kinds[VG_CENSUS_PARAMETER] = (struct vg_census_amount){ .bytes = VG_GIB, .blocks = 10 };
    census.kinds[VG_CENSUS_OTHER] = (struct vg_census_amount){ .bytes = 2 * VG_GIB, .blocks = 20 };
    s.census = &census;
    s.census_format = VG_CENSUS_FORMAT;
    s.census_bytes = sizeof census;
    s.torch.tells_blocks = true;
    s.torch.allocated_bytes = 4 * VG_GIB;
    s.torch.block_count = 40;
    for (uint32_t i = 0; i < 4; i++)
        lines[i] = (struct vg_run_site){ .own = { .path = "/p/net.py",
                                                  .file = "net.py",
                                                  .line = 10 + i,
                                                  .function = "forward",
                                                  .text = "" },
                                         .called = "",
                                         .label = "",
                                         .live_bytes = (4 - i) * VG_GIB / 4,
                                         .live_count = 10 - i };
    s.device.sites[VG_LEVEL_BLOCKS] =
        (struct vg_run_sites){ .entries = lines, .count = 4, .is_known = true };
    return 0;
}

static const char *show(size_t rows, size_t columns)
{
    struct vg_text out = vg_text_over(tables, sizeof tables);
    vg_block_tables_add(&out, &s, rows, columns);
    return tables;
}

static void expect(const char *part)
{
    if (!strstr(tables, part))
        fail_msg("no \"%s\" in:\n%s", part, tables);
}

static void lines_and_kinds_are_shown(void **state)
{
    (void)state;
    show(2, 80);
    assert_string_equal(tables,
                        "  The 4.00 GiB of PyTorch tensors of this process: 40 live, by line\n"
                        "    1.00 GiB       10x  net.py:10 forward\n"
                        "    0.75 GiB        9x  net.py:11 forward\n"
                        "    2.25 GiB       21x  (2 more lines)\n"
                        "  What they are\n"
                        "    2.00 GiB       20x  other tensors\n"
                        "    1.00 GiB       10x  parameters\n"
                        "    1.00 GiB       10x  held by C++ code or unknown\n");
    show(3, 80);
    expect("    1.75 GiB       13x  (1 more line)\n");
}

static void a_wide_terminal_has_them_side_by_side(void **state)
{
    (void)state;
    show(4, 129);
    assert_null(strstr(tables, "What they are  "));
    show(4, 130);
    expect("  What they are                                         The 4.00 GiB of");
    expect(
        "    2.00 GiB       20x  other tensors                     1.00 GiB       10x  net.py:10 "
        "forward\n");
}

static void variables_that_hold_much_are_named(void **state)
{
    (void)state;
    census.variable_count = 2;
    for (int i = 0; i < 2; i++) {
        struct vg_census_variable *const variable = &census.variables[i];
        strcpy(variable->path, i ? "small" : "history");
        strcpy(variable->type, "list");
        variable->length = 70;
        variable->direct.bytes = i ? VG_GIB / 10 : VG_GIB / 2;
        variable->direct.blocks = 3;
    }
    census.variables[0].graph = (struct vg_census_amount){ .bytes = 2 * VG_GIB, .blocks = 4 };
    show(8, 80);
    expect(
        "  Which variables hold them\n"
        "    2.50 GiB        7x  `history` (list of 70), most of it in autograd graphs\n");
    assert_null(strstr(tables, "small")); /* less than a twentieth */
}

static void garbage_is_told_among_them(void **state)
{
    (void)state;
    census.garbage = (struct vg_census_amount){ .bytes = VG_GIB, .blocks = 7 };
    snprintf(census.garbage_type, sizeof census.garbage_type, "Step");
    show(5, 80);
    expect(
        "  Which variables hold them\n"
        "    1.00 GiB        7x  garbage: objects that only refer to each other (Step)\n");
    census.garbage.bytes = VG_GIB / 100; /* nothing to speak of */
    show(5, 80);
    assert_null(strstr(tables, "garbage"));
}

static void without_blocks_there_are_none(void **state)
{
    (void)state;
    s.torch.block_count = 0;
    assert_string_equal(show(8, 80), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(lines_and_kinds_are_shown, prepare),
        cmocka_unit_test_setup(a_wide_terminal_has_them_side_by_side, prepare),
        cmocka_unit_test_setup(variables_that_hold_much_are_named, prepare),
        cmocka_unit_test_setup(garbage_is_told_among_them, prepare),
        cmocka_unit_test_setup(without_blocks_there_are_none, prepare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
