/* What a device holds, and held at its peak, in lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "view/line_table.h"

#define MIB (UINT64_C(1) << 20)

static char data[4096];
static struct vg_run_site sites[4];

static struct vg_run_site site_of(const char *file, uint64_t peak_bytes)
{
    return (struct vg_run_site){
        .peak_bytes = peak_bytes,
        .peak_count = 1,
        .own = { .path = file, .file = file, .line = 7, .function = "step", .text = "x = f(y)" },
        .called = "",
        .label = ""
    };
}

static const char *render(struct vg_run_device *device, size_t rows)
{
    struct vg_text text = vg_text_over(data, sizeof data);
    vg_line_table_add_peak(&text, device, NULL, rows, 80);
    return data;
}

static void largest_come_first_and_the_rest_is_summed(void **state)
{
    (void)state;
    struct vg_run_device device = { .gpu = { .ordinal = 1 } };
    sites[0] = site_of("a.py", 3 * MIB);
    sites[1] = site_of("b.py", 0);
    sites[2] = site_of("c.py", 8 * MIB);
    sites[3] = site_of("d.py", 1 * MIB);
    device.sites[VG_LEVEL_BLOCKS] =
        (struct vg_run_sites){ .count = 4, .entries = sites, .is_known = true };
    assert_string_equal(render(&device, 2),
                        "  The peak of GPU 1: 12.0 MiB of PyTorch tensors, by line\n"
                        "    8.00 MiB        1x  c.py:7 step  x = f(y)\n"
                        "    3.00 MiB        1x  a.py:7 step  x = f(y)\n"
                        "    1.00 MiB        1x  (other lines)\n");
    assert_null(strstr(render(&device, 8), "b.py"));
    assert_null(strstr(data, "(other lines)"));
}

static void allocations_stand_in_where_there_are_no_tensors(void **state)
{
    (void)state;
    struct vg_run_device device = { .gpu = { .ordinal = 0 } };
    sites[0] = site_of("a.py", 3 * MIB);
    device.sites[VG_LEVEL_ALLOCATIONS] =
        (struct vg_run_sites){ .count = 1, .entries = sites, .is_known = true };
    assert_non_null(strstr(render(&device, 8), "3.00 MiB of allocations, by line\n"));
}

static void what_was_not_counted_is_not_told(void **state)
{
    (void)state;
    struct vg_run_device device = { .gpu = { .ordinal = 0 } };
    assert_string_equal(render(&device, 8), "");
    sites[0] = site_of("a.py", VG_COUNT_UNKNOWN);
    device.sites[VG_LEVEL_ALLOCATIONS] =
        (struct vg_run_sites){ .count = 1, .entries = sites, .is_known = true };
    assert_string_equal(render(&device, 8), "");
}

static void live_tensors_by_line(void **state)
{
    (void)state;
    struct vg_run_device device = { .gpu = { .ordinal = 0 } };
    struct vg_text text = vg_text_over(data, sizeof data);
    sites[0] = site_of("a.py", 3 * MIB);
    sites[1] = site_of("b.py", 8 * MIB);
    sites[0].live_bytes = 2 * MIB;
    sites[0].live_count = 2;
    device.sites[VG_LEVEL_ALLOCATIONS] =
        (struct vg_run_sites){ .count = 2, .entries = sites, .is_known = true };
    vg_line_table_add_live(&text, &device, "now", 8, 80);
    assert_int_equal(text.length, 0); /* those are no tensors */
    device.sites[VG_LEVEL_BLOCKS] = device.sites[VG_LEVEL_ALLOCATIONS];
    vg_line_table_add_live(&text, &device, "now", 8, 80);
    assert_string_equal(data,
                        "  2.00 MiB of PyTorch tensors on GPU 0 now, by line\n"
                        "    2.00 MiB        2x  a.py:7 step  x = f(y)\n");
}

static void a_peak_that_stands_above_is_not_told_again(void **state)
{
    (void)state;
    struct vg_run_device device = { .gpu = { .ordinal = 0 } }, told = device;
    struct vg_run_site live = { .live_bytes = 3 * MIB, .live_count = 1 };
    struct vg_text text = vg_text_over(data, sizeof data);
    sites[0] = site_of("a.py", 3 * MIB);
    device.sites[VG_LEVEL_BLOCKS] =
        (struct vg_run_sites){ .count = 1, .entries = sites, .is_known = true };
    told.sites[VG_LEVEL_BLOCKS] =
        (struct vg_run_sites){ .count = 1, .entries = &live, .is_known = true };
    vg_line_table_add_peak(&text, &device, &told, 8, 80);
    assert_string_equal(data, "  The peak of GPU 0: 3.00 MiB of PyTorch tensors, those above\n");
    text = vg_text_over(data, sizeof data);
    live.live_count = 2; /* as much, and not the same */
    vg_line_table_add_peak(&text, &device, &told, 8, 80);
    assert_non_null(strstr(data, "by line\n    3.00 MiB        1x  a.py:7"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(largest_come_first_and_the_rest_is_summed),
        cmocka_unit_test(allocations_stand_in_where_there_are_no_tensors),
        cmocka_unit_test(what_was_not_counted_is_not_told),
        cmocka_unit_test(live_tensors_by_line),
        cmocka_unit_test(a_peak_that_stands_above_is_not_told_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
