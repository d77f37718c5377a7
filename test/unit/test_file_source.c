/* A run file as a source: whose stacks are whose, when it ended, what is missing in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analyze/file_source.h"
#include "core_fixture.h"
#include "run_file_builder.h"

static struct builder built;
static struct vg_reader reader;
static struct vg_file_source source;
static struct vg_region region;

static int setup(void **state)
{
    builder_init(&built);
    return make_scratch(state);
}

static void open_file(void)
{
    char why[160];
    builder_write(&built, in_scratch("run"), BUILDER_CAP);
    assert_int_equal(vg_reader_open(&reader, in_scratch("run"), why, sizeof why), 0);
    assert_int_equal(vg_reader_load(&reader), 0);
    vg_file_source_init(&source, &reader, in_scratch("run"), NULL);
}

static void close_file(void)
{
    vg_region_release(&region);
    vg_reader_close(&reader);
}

static void calls_at_a_modules_end_are_of_it(void **state)
{
    (void)state;
    struct vg_run_frame frame;
    builder_module(&built, 0x1000, 0x2000, "/bin/a");
    builder_module(&built, 0x2000, 0x3000, "/bin/b");
    open_file();
    vg_file_source_module(&reader, &region, 0x2000, &frame); /* where the call returns to */
    assert_string_equal(frame.module, "a");
    assert_int_equal(frame.module_offset, 0x1000);
    vg_file_source_module(&reader, &region, 0x2001, &frame);
    assert_string_equal(frame.module, "b");
    assert_int_equal(frame.module_offset, 1);
    vg_file_source_module(&reader, &region, 0x1000, &frame);
    assert_string_equal(frame.module, "");
    close_file();
}

static void stacks_are_of_the_first_module_of_others(void **state)
{
    (void)state;
    static const struct {
        uint64_t frames[3];
        enum vg_run_owner owner;
    } cases[] = {
        { { 0x1010, 0x2010, 0x3010 }, VG_OWNER_PYTORCH },
        { { 0x1010, 0x4010, 0x3010 }, VG_OWNER_OTHER },
        { { 0x3010, 0x4010, 0x4010 }, VG_OWNER_PYTORCH },
        { { 0x1010, 0x9010, 0x3010 }, VG_OWNER_UNKNOWN }, /* in no module */
        { { 0x1010, 0x2010, 0x2010 }, VG_OWNER_UNKNOWN }, /* of nobody else */
    };
    builder_module(&built, 0x1000, 0x2000, "/usr/lib/libcuda.so.1");
    builder_module(&built, 0x2000, 0x3000, "/usr/lib/libcudart.so.13");
    builder_module(&built, 0x3000, 0x4000, "/torch/lib/libc10_cuda.so");
    builder_module(&built, 0x4000, 0x5000, "/home/me/a.out");
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        builder_stack(&built, 1 + i, cases[i].frames, 3);
    open_file();
    const struct vg_run_source *const s = &source.source;
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(s->judge_stack(s->context, s->stack(s->context, 1 + i)), cases[i].owner);
    assert_int_equal(s->judge_stack(s->context, NULL), VG_OWNER_UNKNOWN);
    close_file();
}

static void a_file_tells_of_its_own_moment(void **state)
{
    (void)state;
    built.header.start_monotonic_ns = 1000;
    built.header.start_realtime_ns = 500000;
    built.header.end_realtime_ns = 700000;
    builder_slot(&built, 64, 0, 0)->monotonic_ns = 33000;
    builder_slot(&built, 64, 0, 0)->monotonic_ns = 22000;
    open_file();
    assert_int_equal(source.source.now_ns, 33000); /* killed: as far as is known */
    close_file();
    built.header.end = VG_END_EXIT;
    open_file();
    assert_int_equal(source.source.now_ns, 201000);
    close_file();
    built.header.end_realtime_ns = 400000; /* the clock was set back */
    open_file();
    assert_int_equal(source.source.now_ns, 33000);
    close_file();
}

static void what_a_cut_file_lacks_is_told(void **state)
{
    (void)state;
    struct vg_run run;
    built.header.devices[0].total_bytes = 1 << 20;
    built.header.devices[0].live_bytes = 1000;
    builder_slot(&built, 600, 0, 0);
    open_file();
    vg_file_source_build(&source, &region, &run);
    assert_false(run.is_incomplete);
    assert_int_equal(run.devices[0].live_bytes, 600);
    assert_int_equal(run.devices[0].untracked_bytes, 0);
    close_file();
    built.header.memory_only = 1; /* the disk was full */
    open_file();
    vg_file_source_build(&source, &region, &run);
    assert_true(run.is_incomplete);
    assert_int_equal(run.devices[0].live_bytes, 1000);
    assert_int_equal(run.devices[0].untracked_bytes, 400);
    close_file();
}

/* Without counters nothing is said of what was allocated in all, also of two that are one. */
static void what_was_not_counted_is_unknown(void **state)
{
    (void)state;
    struct vg_run run;
    const uint64_t first[] = { 0x2010, 0x4010 }, second[] = { 0x2020, 0x4010 };
    builder_module(&built, 0x2000, 0x3000, "/usr/lib/libcudart.so.13");
    builder_module(&built, 0x4000, 0x5000, "/home/me/a.out");
    builder_stack(&built, 1, first, 2);
    builder_stack(&built, 2, second, 2);
    builder_slot(&built, 600, 1, 0);
    builder_slot(&built, 400, 2, 0);
    built.header.devices[0].total_bytes = 1 << 20;
    open_file();
    vg_file_source_build(&source, &region, &run);
    const struct vg_run_sites *const sites = &run.devices[0].sites[VG_LEVEL_ALLOCATIONS];
    assert_int_equal(sites->count, 1); /* their labels are the same */
    assert_int_equal(sites->entries[0].live_bytes, 1000);
    assert_true(sites->entries[0].allocation_count == VG_COUNT_UNKNOWN);
    assert_true(sites->entries[0].peak_bytes == VG_COUNT_UNKNOWN);
    close_file();
}

#define SOURCE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, remove_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SOURCE_TEST(calls_at_a_modules_end_are_of_it),
        SOURCE_TEST(stacks_are_of_the_first_module_of_others),
        SOURCE_TEST(a_file_tells_of_its_own_moment),
        SOURCE_TEST(what_a_cut_file_lacks_is_told),
        SOURCE_TEST(what_was_not_counted_is_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
