/* Amounts in the report add up, to the byte as far as they are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analyze/account.h"
#include "base/amount.h"
#include "record/kind.h"
#include "render_fixture.h"

static uint64_t or_zero(uint64_t bytes)
{
    return vg_amount_known(bytes) ? bytes : 0;
}

static void check_sums(const struct vg_report_account *a)
{
    const int64_t parts =
        (int64_t)(or_zero(a->tracked_bytes) + a->kept_bytes + or_zero(a->context_bytes) +
                  a->listed_bytes + a->unlisted_bytes + or_zero(a->free_bytes));
    if (a->total_bytes == VG_BYTES_UNKNOWN)
        assert_int_equal(a->rest_bytes, 0);
    else
        assert_true(parts + a->rest_bytes == (int64_t)a->total_bytes);
    assert_true(a->managed_most_bytes <= a->managed_bytes);
    if (a->total_bytes != VG_BYTES_UNKNOWN && a->rest_bytes >= 0)
        assert_true(a->managed_most_bytes <= a->total_bytes);
    const uint64_t each[] = { a->tracked_bytes, a->context_bytes, a->free_bytes, a->others_bytes };
    for (size_t i = 0; i < 4; i++)
        assert_true(vg_amount_known(each[i]) || each[i] == VG_BYTES_UNKNOWN);
    assert_true(vg_amount_known(a->listed_bytes) && vg_amount_known(a->unlisted_bytes));
    assert_int_equal(a->rest == VG_REST_NONE, a->rest_bytes == 0);
    assert_int_equal(a->rest == VG_REST_OVERLAP, a->rest_bytes < 0);
    uint64_t listed = 0;
    uint32_t lines = 0;
    for (uint32_t i = 0; i < a->listed_end; i++) {
        if ((int32_t)i == a->self_process)
            continue;
        listed += or_zero(processes[i].bytes);
        lines++;
    }
    assert_true(listed == a->listed_bytes);
    assert_true(lines <= VG_ACCOUNT_LISTED);
    assert_int_equal(lines + a->unlisted_count + (a->self_process >= 0),
                     s.device.process_count + s.device.rest_process_count);
}

/* The sum of the amounts printed in the device's block, in hundredths of a GiB, and the number of
 * its lines. */
static long printed_sum(int *out_lines)
{
    long sum = 0;
    const char *line = strstr(report, "\n  GPU");
    line = strchr(line + 1, '\n') + 1;
    for (*out_lines = 0; strncmp(line, "    ", 4) == 0; (*out_lines)++) {
        const char *const end = strchr(line, '\n');
        for (const char *p = line; p < end; p++) {
            unsigned long long whole;
            unsigned cents;
            char unit[4];
            if (strncmp(p, "  ", 2) == 0 &&
                sscanf(p, " %llu.%2u %3[GiB]", &whole, &cents, unit) == 3 &&
                strcmp(unit, "GiB") == 0) {
                sum += (long)(whole * 100 + cents);
                break;
            }
        }
        line = end + 1;
    }
    return sum;
}

static uint64_t random_bytes(uint64_t below)
{
    return ((uint64_t)rand() << 31 ^ (uint64_t)rand()) % (below + 1);
}

/* A device whose bytes are dealt out: whatever is known must come back to the byte. */
static void deal_out(uint64_t total)
{
    sample_alone(&s);
    uint64_t left = total;
    s.device.gpu.total_bytes = total;
    left -= s.device.gpu.free_bytes = random_bytes(left);
    left -= s.device.live_bytes = random_bytes(left);
    const uint64_t context = random_bytes(left);
    left -= context;
    s.device.self_bytes = s.device.live_bytes + context;
    const int count = rand() % 24;
    for (int i = 0; i < count; i++) {
        const uint64_t bytes = random_bytes(left / 4);
        left -= bytes;
        add_process(&s, 100 + i, bytes, "python x.py");
    }
    if (rand() % 3 == 0) {
        const uint64_t bytes = random_bytes(left / 2);
        left -= bytes;
        s.device.rest_process_count = 3;
        s.device.others_bytes += bytes;
    }
    s.host.total_bytes = left; /* what nobody holds, for the caller */
}

static void dealt_bytes_add_up(void **state)
{
    (void)state;
    srand(5);
    for (int round = 0; round < 20000; round++) {
        struct vg_report_account a;
        deal_out(random_bytes(80 * VG_GIB) + VG_GIB);
        vg_report_account_compute(&s, &a);
        check_sums(&a);
        assert_int_equal(a.rest_bytes, s.host.total_bytes);
        assert_true(a.rest == VG_REST_NONE || a.rest == VG_REST_UNACCOUNTED);
        assert_true(a.listed_bytes + a.unlisted_bytes == s.device.others_bytes);
        if (round % 10)
            continue;
        int lines;
        render(80);
        const long sum = printed_sum(&lines);
        const long total = (long)((s.device.gpu.total_bytes * 100 + VG_GIB / 2) / VG_GIB);
        /* Amounts below 0.01 GiB are printed in their own unit and not summed here. */
        assert_in_range(labs(sum - total), 0, lines);
    }
}

static void any_numbers_add_up(void **state)
{
    (void)state;
    srand(9);
    for (int round = 0; round < 20000; round++) {
        struct vg_report_account a;
        deal_out(random_bytes(80 * VG_GIB) + 1);
        set_kind(&s, VG_KIND_MANAGED, 0, 1);
        uint64_t *const amounts[] = { &s.device.gpu.total_bytes,      &s.device.gpu.free_bytes,
                                      &s.device.live_bytes,           &s.device.self_bytes,
                                      &s.device.others_bytes,         &s.device.pool_reserved_bytes,
                                      &s.device.graph_reserved_bytes, &kinds[0].bytes };
        for (size_t i = 0; i < 8; i++)
            if (rand() % 3 == 0)
                *amounts[i] = rand() % 2 ? VG_BYTES_UNKNOWN : random_bytes(90 * VG_GIB);
        for (uint32_t i = 0; i < s.device.process_count; i++) {
            processes[i].flags = (uint32_t)rand() % 4;
            if (rand() % 8 == 0)
                processes[i].bytes = VG_BYTES_UNKNOWN;
        }
        s.device.others_known = rand() % 4 != 0;
        vg_report_account_compute(&s, &a);
        check_sums(&a);
        if (round % 10 == 0)
            render(80);
    }
}

/* Managed memory is no part of the sum; how much of it can be on the device is bounded by what the
 * process holds beyond its other memory. */
static void managed_memory_is_bounded(void **state)
{
    (void)state;
    struct vg_report_account a;
    sample_alone(&s);
    const uint64_t rest = s.device.gpu.total_bytes - s.device.gpu.free_bytes - s.device.live_bytes;
    const uint64_t beyond = s.device.self_bytes - s.device.live_bytes;
    const struct {
        uint64_t managed, self, most;
    } cases[] = {
        { 0, s.device.self_bytes, 0 },
        { 40 * VG_GIB, s.device.self_bytes, beyond },    /* far larger than the device */
        { beyond / 4, s.device.self_bytes, beyond / 4 }, /* all of it may be there */
        { 40 * VG_GIB, s.device.live_bytes, 0 },         /* there is nothing beyond */
        { 40 * VG_GIB, VG_BYTES_UNKNOWN, rest },         /* nobody else holds that much more */
        { VG_BYTES_UNKNOWN, s.device.self_bytes, 0 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set_kind(&s, VG_KIND_MANAGED, cases[i].managed, 1);
        s.device.self_bytes = cases[i].self;
        vg_report_account_compute(&s, &a);
        check_sums(&a);
        assert_true(a.rest_bytes >= 0 && a.tracked_bytes == s.device.live_bytes);
        assert_int_equal(a.managed_most_bytes, cases[i].most);
    }
}

static void lines_of_live_allocations_add_up(void **state)
{
    (void)state;
    sample_alone(&s);
    s.device.live_bytes += VG_GIB / 2; /* half a GiB without a place */
    s.device.live_count += 3;
    char label[] = "main > cudaMalloc?";
    for (int i = 0; i < 6; i++) {
        label[sizeof label - 2] = (char)('0' + i);
        add_site(&s, VG_GIB / 16, 1, label);
    }
    s.device.sites[VG_LEVEL_ALLOCATIONS].rest_bytes -= 6 * (VG_GIB / 16);
    render(80);
    expect_line("    0.50 GiB        0x  (place not recorded)");
    expect_line("    3.81 GiB       19x  (5 more places)");
}

static void pools_and_kinds_are_shown(void **state)
{
    (void)state;
    sample_alone(&s);
    s.device.pool_reserved_bytes = VG_GIB;
    s.device.pool_used_bytes = 3 * VG_GIB / 4;
    s.device.graph_reserved_bytes = VG_GIB / 8;
    set_kind(&s, VG_KIND_DEVICE, 9 * VG_GIB, 36);
    render(80);
    expect_line("    this process, kept in pools   0.38 GiB");
    expect_line("    this process, context etc.    0.13 GiB");
    expect_line(
        "  Pools     stream-ordered memory: 1.00 GiB reserved, 768 MiB used\n"
        "            graphs: 128 MiB reserved, 0 B used\n");
    expect_no("By kind"); /* there is one */
    set_kind(&s, VG_KIND_ARRAY, VG_GIB, 4);
    s.host.pinned_bytes = 2 * VG_GIB;
    s.host.pinned_count = 7;
    render(80);
    expect_line("  By kind   cuMemAlloc: 9.00 GiB in 36   arrays: 1.00 GiB in 4 (estimated)\n");
    expect_line("Host      memory available 50.00 GiB of 64.00 GiB, this process pins 2.00 GiB\n");
}

static void what_is_missing_is_told_of_the_gpu_and_left_of_the_limit(void **state)
{
    (void)state;
    sample_alone(&s);
    s.asked_bytes = 3 * VG_GIB;
    s.device.gpu.free_bytes = 2 * VG_GIB;
    assert_true(vg_report_deficit(&s) == VG_GIB);
    assert_true(vg_report_available(&s) == 2 * VG_GIB);
    s.device.gpu.free_bytes = 4 * VG_GIB; /* refused all the same */
    assert_true(vg_report_deficit(&s) == 0);
    s.device.gpu.free_bytes = VG_BYTES_UNKNOWN;
    assert_true(vg_report_deficit(&s) == VG_BYTES_UNKNOWN);
    s.device.gpu.free_bytes = 4 * VG_GIB;
    s.device.limit_bytes = 6 * VG_GIB;
    s.device.limit_left_bytes = VG_GIB;
    assert_true(vg_report_available(&s) == 4 * VG_GIB); /* it was not the limit that refused */
    s.refused_by = VG_REFUSED_BY_LIMIT;
    assert_true(vg_report_available(&s) == VG_GIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dealt_bytes_add_up),
        cmocka_unit_test(any_numbers_add_up),
        cmocka_unit_test(managed_memory_is_bounded),
        cmocka_unit_test(lines_of_live_allocations_add_up),
        cmocka_unit_test(pools_and_kinds_are_shown),
        cmocka_unit_test(what_is_missing_is_told_of_the_gpu_and_left_of_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
