/* The report's text: what fits, what is said when nothing is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "render_fixture.h"
#include "view/histogram.h"
#include "view/render_device.h"
#include "view/render_torch.h"
#include "view/wrap.h"

static void headline_says_it_all(void **state)
{
    (void)state;
    sample_alone(&s);
    char line[256];
    struct vg_text text = vg_text_over(line, sizeof line);
    vg_report_render_first_line(&s, &text);
    assert_string_equal(line,
                        "vramguard: GPU 0 out of memory: run_model.py asked 2.00 GiB; "
                        "1.00 GiB of 12.00 GiB is free\n");
    assert_memory_equal(render(80), line, strlen(line));
}

static void headlines_of_other_failures(void **state)
{
    (void)state;
    sample_alone(&s);
    s.asked_bytes = VG_GIB / 2;
    render(80);
    expect_line("GPU 0 refused 512 MiB, though 1.00 GiB of 12.00 GiB is free\n");
    s.asked_bytes = VG_BYTES_UNKNOWN;
    s.api = "cuCtxCreate_v4";
    s.device.gpu.free_bytes = 90 * VG_MIB;
    render(80);
    expect_line("GPU 0 out of memory in cuCtxCreate_v4: 90.0 MiB of 12.00 GiB is free\n");
    s.device.gpu.free_bytes = VG_BYTES_UNKNOWN;
    s.device.gpu.ordinal = -1;
    s.error = 719;
    render(80);
    expect_line(
        "GPU out of memory in cuCtxCreate_v4: how much is free is unknown (CUDA error 719)\n");
    s.device.gpu.total_bytes = VG_BYTES_UNKNOWN;
    render(80);
    expect_line(": how much is free is unknown (CUDA error 719)\n");
}

static void a_limit_stands_in_the_headline_and_the_table(void **state)
{
    (void)state;
    sample_alone(&s);
    s.device.limit_bytes = 8 * VG_GIB;
    s.device.limit_left_bytes = VG_GIB / 2;
    render(80);
    expect_line("asked 2.00 GiB; 1.00 GiB of 12.00 GiB is free\n");
    expect_line(
        "    free                          1.00 GiB    8 %  #\n"
        "    (VRAMGUARD_LIMIT allows 8.00 GiB of it, of which 512 MiB are left)\n");
    s.refused_by = VG_REFUSED_BY_LIMIT;
    s.device.gpu.free_bytes = 5 * VG_GIB;
    render(80);
    expect_line(
        "vramguard: GPU 0 out of memory: run_model.py asked 2.00 GiB; 512 MiB of the 8.00 GiB that "
        "VRAMGUARD_LIMIT allows is free\n");
    s.device.limit_bytes = 0; /* a file that says nonsense */
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
    SET(actions[0].name, "flush");
    actions[0].recovered_bytes = VG_GIB + VG_GIB / 5;
    render(200);
    expect_line("not set); its flush gave back 1.20 GiB\n");
    actions[0].recovered_bytes = VG_BYTES_UNKNOWN;
    s.torch.settings = "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True";
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
    s.torch.settings = "PYTORCH_ALLOC_CONF=backend:cudaMallocAsync";
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

/* Who made PyTorch ask for a segment is told only where its tensors are not. */
static void segments_are_one_where_tensors_are_told(void **state)
{
    (void)state;
    sample_alone(&s);
    s.device.sites[VG_LEVEL_ALLOCATIONS].count = 0;
    add_site(&s, 3 * VG_GIB, 3, "load.py:3 load > PyTorch's allocator")->owner = VG_OWNER_PYTORCH;
    add_site(&s, VG_GIB, 1, "main (main.c:7)")->owner = VG_OWNER_OTHER;
    add_site(&s, 2 * VG_GIB, 4, "step.py:9 step > PyTorch's allocator")->owner = VG_OWNER_PYTORCH;
    render(100);
    expect_line("load.py:3 load > PyTorch's allocator");
    expect_line("step.py:9 step > PyTorch's allocator");
    expect_no("segments of PyTorch's allocator");
    struct vg_run_site block = s.device.sites[VG_LEVEL_ALLOCATIONS].entries[0];
    s.device.sites[VG_LEVEL_BLOCKS] =
        (struct vg_run_sites){ .is_known = true, .count = 1, .entries = &block };
    render(100);
    expect_line("5.00 GiB        7x  segments of PyTorch's allocator");
    expect_line("1.00 GiB        1x  main (main.c:7)");
    expect_no("step.py:9 step > PyTorch's allocator");
}

/* Tensors that the pool of threads has made in which the failing call is, too. */
static void lines_of_a_pool_lead_to_who_waits_for_it(void **state)
{
    (void)state;
    sample_alone(&s);
    add_site(&s, 3 * VG_GIB, 3, "copy.py:87 _job > copy.py:65 copy");
    add_site(&s, VG_GIB, 1, "pin.py:4 loop");
    s.device.sites[VG_LEVEL_BLOCKS] = s.device.sites[VG_LEVEL_ALLOCATIONS];
    s.device.sites[VG_LEVEL_BLOCKS].entries += s.device.sites[VG_LEVEL_BLOCKS].count - 2;
    s.device.sites[VG_LEVEL_BLOCKS].count = 2;
    s.torch.tells_blocks = true;
    s.torch.block_count = 4;
    s.torch.allocated_bytes = 4 * VG_GIB;
    s.where = "copy.py:87 _job > PyTorch's allocator";
    render(120);
    expect_line("3.00 GiB        3x  copy.py:87 _job > copy.py:65 copy");
    s.main_line = (struct vg_run_line){
        .path = "/a/load.py", .file = "load.py", .function = "load", .line = 9, .text = ""
    };
    render(120);
    expect_line(
        "3.00 GiB        3x  load.py:9 load (main thread) > copy.py:87 _job > copy.py:65 copy");
    expect_line("1.00 GiB        1x  pin.py:4 loop"); /* somebody else's thread */
    s.main_line.line = 0;
    s.torch.tells_blocks = false;
}

static void whole_report(void **state)
{
    (void)state;
    sample_shared(&s);
    processes[0].flags = VG_PROCESS_GUARDED;
    process.path = "/home/me/.local/state/vramguard/20260729-031200-python3-4712.vgr";
    s.action_count = 1;
    SET(actions[0].name, "trim");
    actions[0].duration_ns = 1234567;
    render(80);
    assert_string_equal(
        report,
        "vramguard: GPU 0 out of memory: run_model.py asked 2.00 GiB; 1.00 GiB of 12.00 GiB is "
        "free\n"
        "  why      pid 4711 (python3 train.py) holds 3.00 GiB; without it this would\n"
        "           fit.\n"
        "  do       stop it, or wait longer for it: VRAMGUARD_POLICY=trim,wait=10m\n"
        "  where    python3.11 > libffi.so.8 ffi_call > libcudart.so.13 cudaMalloc\n"
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
    s.device.others_known = 0;
    s.device.process_count = 0;
    s.device.self_bytes = s.device.others_bytes = VG_BYTES_UNKNOWN;
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
    s.device.gpu.free_bytes = s.device.gpu.total_bytes = VG_BYTES_UNKNOWN;
    s.host.available_bytes = s.host.total_bytes = VG_BYTES_UNKNOWN;
    s.where = process.command = "";
    sites[0].label = "";
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
    s.where = "main (train.c:12)";
    render(80);
    expect_line("  where    main (train.c:12) > cuMemAlloc_v2\n");
}

static void records_elsewhere_are_named_by_path(void **state)
{
    (void)state;
    sample_alone(&s);
    process.path = "/tmp/run.vgr";
    render(80);
    expect_line("Recorded  vramguard report /tmp/run.vgr\n");
}

static void invisible_self_is_no_neighbour(void **state)
{
    (void)state;
    sample_shared(&s);
    s.device.self_bytes = VG_BYTES_UNKNOWN;
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
    s.device.self_bytes = VG_BYTES_UNKNOWN;
    processes[0].flags = VG_PROCESS_INVISIBLE;
    s.device.gpu.free_bytes += 2 * VG_GIB; /* measured later: the parts exceed the total */
    render(80);
    expect_line("pid 4711 (not visible here)   3.00 GiB");
    expect_line("counted twice or moved       -1.00 GiB");
    expect_no("this process, context etc.");
    /* Large enough, but everything adds up with it as a neighbour. */
    sample_shared(&s);
    s.device.self_bytes = VG_BYTES_UNKNOWN;
    s.device.live_bytes = VG_GIB;
    processes[0].flags = VG_PROCESS_INVISIBLE;
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
    vg_report_render(&s, (struct vg_report_style){ .columns = 80, .color = true, .is_live = true },
                     &text);
    assert_memory_equal(report, "\033[1;31mvramguard: ", 18);
    assert_string_equal(report + text.length - 4, "\033[0m");
    char small[600];
    text = vg_text_over(small, sizeof small);
    vg_report_render(&s, (struct vg_report_style){ .columns = 80, .color = true, .is_live = true },
                     &text);
    assert_true(text.truncated);
    assert_string_equal(small + text.length - 5, "\033[0m\n");
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
    char long_text[251];
    memset(long_text, 'w', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    static const unsigned widths[] = { 60, 61, 66, 72, 80, 100, 132, 200 };
    for (size_t i = 0; i < sizeof widths / sizeof widths[0]; i++) {
        sample_shared(&s);
        process.command = s.where = sites[0].label = process.path = s.device.gpu.name = long_text;
        processes[0].command = "/opt/\xc3\xa4\xc3\xb6/bin/a-very-long-name-of-a-program --and its";
        processes[0].flags = VG_PROCESS_GUARDED | VG_PROCESS_WAITING;
        for (int n = 0; n < 40; n++)
            s.device.size_class_count[n] = UINT64_MAX / 64;
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

/* ---- pieces ---- */

static void histogram_folds_to_its_width(void **state)
{
    (void)state;
    uint64_t counts[VG_RUN_SIZE_CLASSES] = { [21] = 311, [24] = 84, [26] = 10, [29] = 5, [30] = 2 };
    char data[512];
    struct vg_text text = vg_text_over(data, sizeof data);
    vg_histogram_add(&text, counts, 200);
    assert_string_equal(data,
                        "2-4 MiB: 311   16-32 MiB: 84   64-128 MiB: 10   512 MiB-1 GiB: 5   "
                        "1-2 GiB: 2");
    text = vg_text_over(data, sizeof data);
    vg_histogram_add(&text, counts, 60);
    assert_string_equal(data, "2-4 MiB: 311   16-32 MiB: 84   64 MiB-2 GiB: 17");
    for (int n = 0; n < VG_RUN_SIZE_CLASSES; n++)
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

static void six_places_and_more_are_one_line(void **state)
{
    (void)state;
    sample_alone(&s);
    s.device.sites[VG_LEVEL_ALLOCATIONS].count = 0;
    s.device.sites[VG_LEVEL_ALLOCATIONS].rest_stack_count = 0;
    s.device.sites[VG_LEVEL_ALLOCATIONS].rest_bytes = 0;
    s.device.sites[VG_LEVEL_ALLOCATIONS].rest_count = 0;
    for (int i = 0; i < 6; i++)
        add_site(&s, VG_GIB, 5, "a place");
    render(80);
    expect_line("    1.00 GiB        5x  (1 more place)\n");
    add_site(&s, VG_GIB, 5, "a place");
    render(80);
    expect_line("    2.00 GiB       10x  (2 more places)\n");
}

static void kinds_are_told_where_there_are_two(void **state)
{
    (void)state;
    sample_alone(&s);
    s.device.kind_count = 0;
    set_kind(&s, VG_KIND_DEVICE, 9 * VG_GIB, 30);
    render(80);
    expect_no("By kind");
    set_kind(&s, VG_KIND_ARRAY, VG_GIB, 10);
    render(80);
    expect_line("  By kind   cuMemAlloc: 9.00 GiB in 30   arrays: 1.00 GiB in 10 (estimated)\n");
}

static void small_shares_and_further_processes(void **state)
{
    (void)state;
    sample_alone(&s);
    add_process(&s, 101, VG_MIB, "small")->flags = 0;
    render(80);
    expect_line("<1 %");
    s.device.rest_process_count = 1;
    render(80);
    expect_line("    1 more process ");
    s.device.rest_process_count = 2;
    render(80);
    expect_line("    2 more processes ");
}

static void notes_tell_who_a_process_is(void **state)
{
    (void)state;
    char note[VG_PROCESS_NOTE_CAP];
    struct vg_run_other other = { .flags = VG_PROCESS_JOB | VG_PROCESS_GUARDED, .rank = 3 };
    assert_string_equal(vg_render_process_note(note, &other), "same job, rank 3, guarded");
    other.rank = -1;
    assert_string_equal(vg_render_process_note(note, &other), "same job, guarded");
    other.flags = VG_PROCESS_GUARDED;
    other.idle_bytes = VG_GIB;
    assert_string_equal(vg_render_process_note(note, &other), "guarded, 1.00 GiB unused");
    other = (struct vg_run_other){ .flags = VG_PROCESS_ORPHAN | VG_PROCESS_WAITING };
    assert_string_equal(vg_render_process_note(note, &other), "its parent has ended, waiting");
    other.flags = 0;
    assert_string_equal(vg_render_process_note(note, &other), "");
}

/* However long it is. */
static const char *torch_line(void)
{
    struct vg_text text = vg_text_over(report, sizeof report);
    vg_render_torch(&text, &s, 12, 1000);
    return report;
}

static void blocks_tell_more_than_a_flush(void **state)
{
    (void)state;
    sample_alone(&s);
    s.torch.loaded = true;
    s.torch.bytes[VG_TORCH_NATIVE] = 6 * VG_GIB;
    s.torch.count[VG_TORCH_NATIVE] = 41;
    s.torch.tells_blocks = true;
    s.torch.allocated_bytes = 5 * VG_GIB;
    s.torch.block_count = 7;
    s.torch.unused_bytes = VG_GIB;
    s.torch.hole_count = 2;
    s.torch.largest_hole_bytes = VG_GIB / 2;
    s.action_count = 1;
    SET(actions[0].name, "flush");
    actions[0].recovered_bytes = VG_GIB;
    assert_non_null(strstr(torch_line(),
                           "; allocated 5.00 GiB in 7 blocks, unused 1.00 GiB, "
                           "the largest hole between blocks 512 MiB\n"));
    s.torch.hole_count = VG_COUNT_UNKNOWN;
    s.torch.largest_hole_bytes = VG_BYTES_UNKNOWN;
    assert_non_null(strstr(torch_line(), "; allocated 5.00 GiB in 7 blocks, unused 1.00 GiB\n"));
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
        cmocka_unit_test(segments_are_one_where_tensors_are_told),
        cmocka_unit_test(lines_of_a_pool_lead_to_who_waits_for_it),
        cmocka_unit_test(whole_report),
        cmocka_unit_test(without_nvml_the_rest_is_unknown),
        cmocka_unit_test(what_is_unknown_is_not_zero),
        cmocka_unit_test(where_ends_in_the_call),
        cmocka_unit_test(records_elsewhere_are_named_by_path),
        cmocka_unit_test(invisible_self_is_no_neighbour),
        cmocka_unit_test(invisible_neighbours_stay_neighbours),
        cmocka_unit_test(color_only_where_asked),
        cmocka_unit_test(keeps_the_width),
        cmocka_unit_test(histogram_folds_to_its_width),
        cmocka_unit_test(cuts_between_letters),
        cmocka_unit_test(six_places_and_more_are_one_line),
        cmocka_unit_test(kinds_are_told_where_there_are_two),
        cmocka_unit_test(small_shares_and_further_processes),
        cmocka_unit_test(notes_tell_who_a_process_is),
        cmocka_unit_test(blocks_tell_more_than_a_flush),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
