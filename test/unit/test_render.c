/* The report's text: what adds up, what fits, what is said when nothing is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "recorder/kind.h"
#include "report/account.h"
#include "report/amount.h"
#include "report/command.h"
#include "report/histogram.h"
#include "report/render.h"
#include "report/validate.h"
#include "report/wrap.h"
#include "sample_snapshot.h"

static struct vg_snapshot s;
static char report[VG_REPORT_TEXT_CAP];

static const char *render(unsigned columns)
{
    struct vg_text text = vg_text_over(report, sizeof report);
    vg_report_render(&s, (struct vg_report_style){ .columns = columns }, &text);
    assert_false(text.truncated);
    return report;
}

static void expect_line(const char *part)
{
    if (!strstr(report, part))
        fail_msg("no \"%s\" in:\n%s", part, report);
}

static void expect_no(const char *part)
{
    if (strstr(report, part))
        fail_msg("\"%s\" in:\n%s", part, report);
}

static void headline_says_it_all(void **state)
{
    (void)state;
    sample_alone(&s);
    char line[256];
    struct vg_text text = vg_text_over(line, sizeof line);
    vg_report_render_first_line(&s, &text);
    assert_string_equal(line,
                        "vramguard: GPU 0 out of memory: asked 2.00 GiB, free 1.00 GiB of "
                        "12.00 GiB\n");
    assert_memory_equal(render(80), line, strlen(line));
}

static void headlines_of_other_failures(void **state)
{
    (void)state;
    sample_alone(&s);
    s.asked_bytes = VG_GIB / 2;
    render(80);
    expect_line("GPU 0 refused 512 MiB, though free 1.00 GiB of 12.00 GiB\n");
    s.asked_bytes = VG_BYTES_UNKNOWN;
    SET(s.api, "cuCtxCreate_v4");
    s.device.free_bytes = 90 * VG_MIB;
    render(80);
    expect_line("GPU 0 out of memory in cuCtxCreate_v4: free 90.0 MiB of 12.00 GiB\n");
    s.device.free_bytes = VG_BYTES_UNKNOWN;
    s.device.ordinal = -1;
    s.error = 719;
    render(80);
    expect_line(
        "GPU out of memory in cuCtxCreate_v4: free unknown, of 12.00 GiB (CUDA error 719)\n");
    s.device.total_bytes = VG_BYTES_UNKNOWN;
    render(80);
    expect_line(": free unknown (CUDA error 719)\n");
}

static void a_limit_stands_in_the_headline_and_the_table(void **state)
{
    (void)state;
    sample_alone(&s);
    s.limit_bytes = 8 * VG_GIB;
    s.limit_left_bytes = VG_GIB / 2;
    render(80);
    expect_line("asked 2.00 GiB, free 1.00 GiB of 12.00 GiB\n");
    expect_line(
        "    free                          1.00 GiB    8 %  #\n"
        "    (VRAMGUARD_LIMIT allows 8.00 GiB of it, of which 512 MiB are left)\n");
    s.refused_by = VG_REFUSED_BY_LIMIT;
    s.device.free_bytes = 5 * VG_GIB;
    render(80);
    expect_line(
        "vramguard: GPU 0 out of memory: asked 2.00 GiB, free 512 MiB of the 8.00 GiB that "
        "VRAMGUARD_LIMIT allows\n");
    s.limit_bytes = 0; /* a file that says nonsense */
    render(80);
    expect_no("VRAMGUARD_LIMIT");
}

static void what_pytorch_holds(void **state)
{
    (void)state;
    sample_alone(&s);
    render(80);
    expect_no("PyTorch ");
    s.torch.loaded = 1;
    render(80);
    expect_no("PyTorch ");
    s.torch.bytes[VG_TORCH_NATIVE] = 6 * VG_GIB;
    s.torch.count[VG_TORCH_NATIVE] = 41;
    render(200);
    expect_line(
        "  PyTorch   reserved 6.00 GiB in 41 segments (native allocator; expandable_segments off; "
        "PYTORCH_CUDA_ALLOC_CONF not set); how much of it is cached and unused is unknown\n");
    s.action_count = 1;
    SET(s.actions[0].name, "flush");
    s.actions[0].recovered_bytes = VG_GIB + VG_GIB / 5;
    render(200);
    expect_line("not set); its flush gave back 1.20 GiB\n");
    s.actions[0].recovered_bytes = VG_BYTES_UNKNOWN;
    SET(s.torch.settings, "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True");
    s.torch.count[VG_TORCH_NATIVE] = 0;
    s.torch.bytes[VG_TORCH_NATIVE] = 0;
    s.torch.bytes[VG_TORCH_EXPANDABLE] = VG_GIB;
    s.torch.count[VG_TORCH_EXPANDABLE] = 1;
    render(200);
    expect_line(
        "  PyTorch   reserved 1.00 GiB in 1 piece (expandable segments; "
        "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True); what its flush gave back is unknown\n");
    s.action_count = 0;
    s.torch.count[VG_TORCH_EXPANDABLE] = 0;
    s.torch.bytes[VG_TORCH_EXPANDABLE] = 0;
    s.torch.bytes[VG_TORCH_ASYNC] = 3 * VG_GIB;
    s.torch.count[VG_TORCH_ASYNC] = 7;
    SET(s.torch.settings, "PYTORCH_ALLOC_CONF=backend:cudaMallocAsync");
    render(200);
    expect_line(
        "  PyTorch   allocated 3.00 GiB in 7 pieces (cudaMallocAsync; "
        "PYTORCH_ALLOC_CONF=backend:cudaMallocAsync)\n");
}

static void pytorch_without_native_stacks(void **state)
{
    (void)state;
    sample_alone(&s);
    s.torch.unjudged = 1;
    render(80);
    expect_no("PyTorch ");
    s.torch.loaded = 1;
    render(80);
    expect_line("  PyTorch   what it holds is unknown: no native stacks are recorded\n");
}

static void whole_report(void **state)
{
    (void)state;
    sample_shared(&s);
    s.processes[0].flags = VG_PROCESS_GUARDED;
    SET(s.recorder_path, "/home/me/.local/state/vramguard/20260729-031200-python3-4712.vgr");
    s.action_count = 1;
    SET(s.actions[0].name, "trim");
    s.actions[0].duration_ns = 1234567;
    render(80);
    assert_string_equal(
        report,
        "vramguard: GPU 0 out of memory: asked 2.00 GiB, free 1.00 GiB of 12.00 GiB\n"
        "  where    python3.11 > libffi.so.8 ffi_call > libcudart.so.13 cudaMalloc\n"
        "  why      pid 4711 (python3 train.py) holds 3.00 GiB; without it this would\n"
        "           fit.\n"
        "  do       stop it, or wait longer for it: VRAMGUARD_POLICY=trim,wait=10m\n"
        "  run      python run_model.py (pid 4712)\n"
        "\n"
        "  GPU 0  Tesla K80  GPU-5f3c2a10  driver 580.159.04, CUDA 13.0         12.00 GiB\n"
        "    this process, tracked         7.00 GiB   58 %  #######\n"
        "    this process, context etc.    0.50 GiB    4 %  #\n"
        "    pid 4711 python3 train.py     3.00 GiB   25 %  ###  guarded\n"
        "    not accounted for             0.50 GiB    4 %  #\n"
        "    free                          1.00 GiB    8 %  #\n"
        "\n"
        "  The 7.00 GiB of this process: 40 live allocations, at the peak\n"
        "    3.00 GiB       12x  main (train.c:12) > load (load.c:7)\n"
        "                        > libcudart.so.13 cudaMalloc\n"
        "    3.00 GiB       12x  main (train.c:14) > step (step.c:90)\n"
        "                        > libcudart.so.13 cudaMalloc\n"
        "    1.00 GiB       16x  (2 more places)\n"
        "  By size   256-512 MiB: 40\n"
        "\n"
        "  Host      memory available 50.00 GiB of 64.00 GiB\n"
        "  Tried     trim: +0 B in 1 ms\n"
        "  Recorded  vramguard report 4712\n");
}

static void without_nvml_the_rest_is_unknown(void **state)
{
    (void)state;
    sample_shared(&s);
    s.nvml_available = 0;
    s.process_count = 0;
    s.self_bytes = s.others_bytes = VG_BYTES_UNKNOWN;
    render(80);
    expect_line("    other processes, contexts     4.00 GiB   33 %");
    expect_line("other processes are unknown: NVML is not available");
    expect_no("context etc.");
    expect_no("not accounted for");
}

static void what_is_unknown_is_not_zero(void **state)
{
    (void)state;
    sample_alone(&s);
    s.device.free_bytes = s.device.total_bytes = VG_BYTES_UNKNOWN;
    s.host_available_bytes = s.host_total_bytes = VG_BYTES_UNKNOWN;
    s.where[0] = s.command[0] = '\0';
    s.sites[0].label[0] = '\0';
    render(80);
    expect_line("  free                          ");
    expect_line("Host      memory available unknown\n");
    expect_line("cuMemAlloc_v2 (no stack was recorded)");
    expect_line("command unknown (pid 4712)");
    expect_line("12x  (no stack was recorded)");
    expect_no(" 0.00 GiB");
    expect_no("%");
}

static void where_ends_in_the_call(void **state)
{
    (void)state;
    sample_alone(&s);
    SET(s.where, "main (train.c:12)");
    render(80);
    expect_line("  where    main (train.c:12) > cuMemAlloc_v2\n");
}

static void records_elsewhere_are_named_by_path(void **state)
{
    (void)state;
    sample_alone(&s);
    SET(s.recorder_path, "/tmp/run.vgr");
    render(80);
    expect_line("Recorded  vramguard report /tmp/run.vgr\n");
}

static void invisible_self_is_no_neighbour(void **state)
{
    (void)state;
    sample_shared(&s);
    s.self_bytes = VG_BYTES_UNKNOWN;
    add_process(&s, 98765, 7 * VG_GIB + VG_GIB / 2, "")->flags = VG_PROCESS_INVISIBLE;
    render(80);
    expect_line("this process, context etc.    0.50 GiB");
    expect_line("pid 4711");
    expect_no("98765");
    expect_line("not accounted for             0.50 GiB");
}

/* Too small to hold what this process holds. */
static void invisible_neighbours_stay_neighbours(void **state)
{
    (void)state;
    sample_shared(&s);
    s.self_bytes = VG_BYTES_UNKNOWN;
    s.processes[0].flags = VG_PROCESS_INVISIBLE;
    s.device.free_bytes += 2 * VG_GIB; /* measured later: the parts exceed the total */
    render(80);
    expect_line("pid 4711 (not visible here)   3.00 GiB");
    expect_line("counted twice or moved       -1.00 GiB");
    expect_no("this process, context etc.");
    /* Large enough, but everything adds up with it as a neighbour. */
    sample_shared(&s);
    s.self_bytes = VG_BYTES_UNKNOWN;
    s.live_bytes = VG_GIB;
    s.processes[0].flags = VG_PROCESS_INVISIBLE;
    render(80);
    expect_line("pid 4711 (not visible here)   3.00 GiB");
    expect_line("context etc., unaccounted     7.00 GiB");
}

static void color_only_where_asked(void **state)
{
    (void)state;
    sample_alone(&s);
    render(80);
    expect_no("\033");
    struct vg_text text = vg_text_over(report, sizeof report);
    vg_report_render(&s, (struct vg_report_style){ .columns = 80, .color = true }, &text);
    assert_memory_equal(report, "\033[1;31mvramguard: ", 18);
    assert_string_equal(report + text.length - 4, "\033[0m");
    char small[600];
    text = vg_text_over(small, sizeof small);
    vg_report_render(&s, (struct vg_report_style){ .columns = 80, .color = true }, &text);
    assert_true(text.truncated);
    assert_string_equal(small + text.length - 5, "\033[0m\n");
}

/* ---- accounting ---- */

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
        listed += or_zero(s.processes[i].bytes);
        lines++;
    }
    assert_true(listed == a->listed_bytes);
    assert_true(lines <= VG_ACCOUNT_LISTED);
    assert_int_equal(lines + a->unlisted_count + (a->self_process >= 0),
                     s.process_count + s.other_process_count);
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
    s.device.total_bytes = total;
    left -= s.device.free_bytes = random_bytes(left);
    left -= s.live_bytes = random_bytes(left);
    const uint64_t context = random_bytes(left);
    left -= context;
    s.self_bytes = s.live_bytes + context;
    const int processes = rand() % VG_SNAPSHOT_PROCESSES;
    for (int i = 0; i < processes; i++) {
        const uint64_t bytes = random_bytes(left / 4);
        left -= bytes;
        add_process(&s, 100 + i, bytes, "python x.py");
    }
    if (rand() % 3 == 0) {
        const uint64_t bytes = random_bytes(left / 2);
        left -= bytes;
        s.other_process_count = 3;
        s.others_bytes += bytes;
    }
    s.host_total_bytes = left; /* what nobody holds, for the caller */
}

static void dealt_bytes_add_up(void **state)
{
    (void)state;
    srand(5);
    for (int round = 0; round < 20000; round++) {
        struct vg_report_account a;
        deal_out(random_bytes(80 * VG_GIB) + VG_GIB);
        vg_report_account(&s, &a);
        check_sums(&a);
        assert_int_equal(a.rest_bytes, s.host_total_bytes);
        assert_true(a.rest == VG_REST_NONE || a.rest == VG_REST_UNACCOUNTED);
        assert_true(a.listed_bytes + a.unlisted_bytes == s.others_bytes);
        if (round % 10)
            continue;
        int lines;
        render(80);
        const long sum = printed_sum(&lines);
        const long total = (long)((s.device.total_bytes * 100 + VG_GIB / 2) / VG_GIB);
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
        uint64_t *const amounts[] = { &s.device.total_bytes,  &s.device.free_bytes,
                                      &s.live_bytes,          &s.self_bytes,
                                      &s.others_bytes,        &s.pool_reserved_bytes,
                                      &s.graph_reserved_bytes };
        for (size_t i = 0; i < 7; i++)
            if (rand() % 3 == 0)
                *amounts[i] = rand() % 2 ? VG_BYTES_UNKNOWN : random_bytes(90 * VG_GIB);
        for (uint32_t i = 0; i < s.process_count; i++) {
            s.processes[i].flags = (uint32_t)rand() % 4;
            if (rand() % 8 == 0)
                s.processes[i].bytes = VG_BYTES_UNKNOWN;
        }
        s.nvml_available = rand() % 4 != 0;
        vg_report_account(&s, &a);
        check_sums(&a);
        if (round % 10 == 0)
            render(80);
    }
}

static void lines_of_live_allocations_add_up(void **state)
{
    (void)state;
    sample_alone(&s);
    s.live_bytes += VG_GIB / 2; /* half a GiB without a place */
    s.live_count += 3;
    char label[] = "main > cudaMalloc?";
    for (int i = 0; i < 6; i++) {
        label[sizeof label - 2] = (char)('0' + i);
        add_site(&s, VG_GIB / 16, 1, label);
    }
    s.other_site_bytes -= 6 * (VG_GIB / 16);
    render(80);
    expect_line("    0.50 GiB        0x  (place not recorded)");
    expect_line("    3.81 GiB       19x  (5 more places)");
}

static void pools_and_kinds_are_shown(void **state)
{
    (void)state;
    sample_alone(&s);
    s.pool_reserved_bytes = VG_GIB;
    s.pool_used_bytes = 3 * VG_GIB / 4;
    s.graph_reserved_bytes = VG_GIB / 8;
    s.kind_bytes[VG_KIND_DEVICE] = 9 * VG_GIB;
    s.kind_count[VG_KIND_DEVICE] = 36;
    render(80);
    expect_line("    this process, kept in pools   0.38 GiB");
    expect_line("    this process, context etc.    0.13 GiB");
    expect_line(
        "  Pools     stream-ordered memory: 1.00 GiB reserved, 768 MiB used\n"
        "            graphs: 128 MiB reserved, 0 B used\n");
    expect_no("By kind"); /* there is one */
    s.kind_bytes[VG_KIND_ARRAY] = VG_GIB;
    s.kind_count[VG_KIND_ARRAY] = 4;
    s.pinned_bytes = 2 * VG_GIB;
    s.pinned_count = 7;
    render(80);
    expect_line("  By kind   cuMemAlloc: 9.00 GiB in 36   arrays: 1.00 GiB in 4 (estimated)\n");
    expect_line("Host      memory available 50.00 GiB of 64.00 GiB, this process pins 2.00 GiB\n");
}

static void equal_places_are_one(void **state)
{
    (void)state;
    sample_alone(&s);
    add_site(&s, VG_GIB, 2, s.sites[1].label);
    s.other_site_bytes -= VG_GIB;
    s.other_site_allocations -= 2;
    render(80);
    expect_line("    4.00 GiB       14x  main (train.c:14) > step (step.c:90)\n");
    assert_true(strstr(report, "train.c:14") < strstr(report, "train.c:12"));
    expect_line("    3.00 GiB       14x  (2 more places)");
}

/* ---- robustness ---- */

static void check_width(unsigned columns)
{
    for (const char *line = report; *line;) {
        const char *const end = strchr(line, '\n');
        assert_non_null(end);
        if (line != report) { /* the headline is never broken */
            char copy[1024];
            snprintf(copy, sizeof copy, "%.*s", (int)(end - line), line);
            if (vg_wrap_width(copy) > columns)
                fail_msg("more than %u columns: %s", columns, copy);
        }
        line = end + 1;
    }
}

static void keeps_the_width(void **state)
{
    (void)state;
    static const unsigned widths[] = { 60, 61, 66, 72, 80, 100, 132, 200 };
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        sample_shared(&s);
        memset(s.command, 'c', sizeof s.command - 1);
        memset(s.where, 'w', sizeof s.where - 1);
        SET(s.processes[0].command,
            "/opt/\xc3\xa4\xc3\xb6/bin/a-very-long-name-of-a-program --and its");
        s.processes[0].flags = VG_PROCESS_GUARDED | VG_PROCESS_WAITING;
        memset(s.sites[0].label, 's', sizeof s.sites[0].label - 1);
        for (int n = 0; n < 40; n++)
            s.size_class_count[n] = UINT64_MAX / 64;
        memset(s.recorder_path, 'r', sizeof s.recorder_path - 1);
        memset(s.device.name, 'n', sizeof s.device.name - 1);
        render(widths[i]);
        check_width(widths[i]);
    }
    render(0);
    check_width(80);
    render(5);
    check_width(60);
    render(100000);
    check_width(200);
}

static void hostile_snapshots_are_repaired(void **state)
{
    (void)state;
    srand(13);
    for (int round = 0; round < 300; round++) {
        unsigned char *const bytes = (unsigned char *)&s;
        const int fill = round == 0 ? 0xff : round == 1 ? 0x41 : -1;
        for (size_t i = 0; i < sizeof s; i++)
            bytes[i] = (unsigned char)(fill >= 0 ? fill : rand());
        s.version = VG_SNAPSHOT_VERSION;
        s.size_bytes = sizeof s;
        assert_true(vg_snapshot_validate(&s) > 0);
        assert_int_equal(vg_snapshot_validate(&s), 0);
        render(80);
        check_width(80);
        for (const char *p = report; *p; p++)
            assert_true((unsigned char)*p >= 0x20 || *p == '\n');
    }
}

static void foreign_snapshots_are_refused(void **state)
{
    (void)state;
    sample_alone(&s);
    assert_int_equal(vg_snapshot_validate(&s), 0);
    s.version++;
    assert_true(vg_snapshot_validate(&s) < 0);
    s.version--;
    s.size_bytes--;
    assert_true(vg_snapshot_validate(&s) < 0);
}

static void control_characters_disappear(void **state)
{
    (void)state;
    sample_alone(&s);
    SET(s.command,
        "a\033[31mb\x7f\xc2\x9b"
        "c \xc3\xa4\xe2\x82");
    assert_true(vg_snapshot_validate(&s) > 0);
    assert_string_equal(s.command, "a?[31mb???c \xc3\xa4??");
}

/* ---- pieces ---- */

static void histogram_folds_to_its_width(void **state)
{
    (void)state;
    uint64_t counts[VG_SNAPSHOT_SIZE_CLASSES] = {
        [21] = 311, [24] = 84, [26] = 10, [29] = 5, [30] = 2
    };
    char data[512];
    struct vg_text text = vg_text_over(data, sizeof data);
    vg_histogram_add(&text, counts, 200);
    assert_string_equal(data,
                        "2-4 MiB: 311   16-32 MiB: 84   64-128 MiB: 10   512 MiB-1 GiB: 5   "
                        "1-2 GiB: 2");
    text = vg_text_over(data, sizeof data);
    vg_histogram_add(&text, counts, 60);
    assert_string_equal(data, "2-4 MiB: 311   16-32 MiB: 84   64 MiB-2 GiB: 17");
    for (int n = 0; n < VG_SNAPSHOT_SIZE_CLASSES; n++)
        counts[n] = 1;
    for (size_t width = 20; width < 300; width++) {
        text = vg_text_over(data, sizeof data);
        vg_histogram_add(&text, counts, width);
        assert_in_range(text.length, 1, width);
    }
    memset(counts, 0, sizeof counts);
    text = vg_text_over(data, sizeof data);
    vg_histogram_add(&text, counts, 60);
    assert_int_equal(text.length, 0);
}

static void commands_lose_their_directories(void **state)
{
    (void)state;
    char out[64];
    vg_command_short(out, sizeof out, "/usr/bin/python3 -u /srv/a b/c/train.py --data=/x/y /data/");
    assert_string_equal(out, "python3 -u a train.py --data=/x/y data/");
    vg_command_short(out, 8, "/usr/bin/python3");
    assert_string_equal(out, "python3");
    vg_command_short(out, sizeof out, "");
    assert_string_equal(out, "");
}

static void cuts_between_letters(void **state)
{
    (void)state;
    char out[16];
    vg_wrap_cut(out, sizeof out, "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f", 4);
    assert_string_equal(out, "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f");
    vg_wrap_cut(out, sizeof out,
                "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f"
                "x",
                4);
    assert_string_equal(out, "\xc3\xa4...");
    vg_wrap_cut(out, 7, "\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f", 4);
    assert_string_equal(out, "\xc3\xa4...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headline_says_it_all),
        cmocka_unit_test(headlines_of_other_failures),
        cmocka_unit_test(a_limit_stands_in_the_headline_and_the_table),
        cmocka_unit_test(what_pytorch_holds),
        cmocka_unit_test(pytorch_without_native_stacks),
        cmocka_unit_test(whole_report),
        cmocka_unit_test(without_nvml_the_rest_is_unknown),
        cmocka_unit_test(what_is_unknown_is_not_zero),
        cmocka_unit_test(where_ends_in_the_call),
        cmocka_unit_test(records_elsewhere_are_named_by_path),
        cmocka_unit_test(invisible_self_is_no_neighbour),
        cmocka_unit_test(invisible_neighbours_stay_neighbours),
        cmocka_unit_test(color_only_where_asked),
        cmocka_unit_test(dealt_bytes_add_up),
        cmocka_unit_test(any_numbers_add_up),
        cmocka_unit_test(lines_of_live_allocations_add_up),
        cmocka_unit_test(pools_and_kinds_are_shown),
        cmocka_unit_test(equal_places_are_one),
        cmocka_unit_test(keeps_the_width),
        cmocka_unit_test(hostile_snapshots_are_repaired),
        cmocka_unit_test(foreign_snapshots_are_refused),
        cmocka_unit_test(control_characters_disappear),
        cmocka_unit_test(histogram_folds_to_its_width),
        cmocka_unit_test(commands_lose_their_directories),
        cmocka_unit_test(cuts_between_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
