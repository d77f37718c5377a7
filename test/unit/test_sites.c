/* Sites: stacks are put together by the place in the program they stand for, ordered and named, and
 * the live process and its run file tell the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include "analyze/file_source.h"
#include "analyze/growth.h"
#include "analyze/process_source.h"
#include "analyze/run_build.h"
#include "base/clock.h"
#include "core_fixture.h"
#include "heap/blocks.h"
#include "heap/live_index.h"

enum { MIB = 1 << 20 };

static struct vg_recorder *recorder;
static struct vg_live_index *track;
static struct vg_blocks *blocks;
static struct vg_process_source source;
static struct vg_native_names native;
static struct vg_stack_names names;
static struct vg_region region;
static struct vg_run_device device;
static struct vg_run_torch torch;
static uint64_t next_address;

static int open_tables(void **state)
{
    if (make_scratch(state) != 0)
        return -1;
    recorder = calloc(1, sizeof *recorder);
    track = calloc(1, sizeof *track);
    blocks = calloc(1, sizeof *blocks);
    next_address = 0x7f0000000000;
    const struct vg_recorder_config config = { .path_template = in_scratch("run") };
    if (!recorder || !track || !blocks || vg_recorder_open(recorder, &config) != 0 ||
        vg_live_index_init(track, recorder) != 0)
        return -1;
    vg_blocks_init(blocks, recorder);
    return 0;
}

static int close_tables(void **state)
{
    vg_region_release(&region);
    free(recorder);
    free(track);
    free(blocks);
    return remove_scratch(state);
}

struct frame {
    const char *path, *function;
    uint32_t line;
};

#define STACK(...)                                                                                 \
    stack_of((const struct frame[]){ __VA_ARGS__ },                                                \
             sizeof((const struct frame[]){ __VA_ARGS__ }) / sizeof(struct frame))

/* The id of a stack of Python frames, innermost first. */
static uint32_t stack_of(const struct frame *frames, uint32_t count)
{
    struct vg_journal_python python[VG_PYTHON_FRAMES];
    uint64_t hash = 14695981039346656037u;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t identity = 5381;
        for (const char *c = frames[i].path; *c; c++)
            identity = identity * 33 + (unsigned char)*c;
        for (const char *c = frames[i].function; *c; c++)
            identity = identity * 33 + (unsigned char)*c;
        python[i] = (struct vg_journal_python){ .code_id = vg_recorder_add_code(recorder, identity,
                                                                                1, frames[i].path,
                                                                                frames[i].function),
                                                .line = frames[i].line };
        hash = (hash ^ identity ^ frames[i].line) * 1099511628211u;
    }
    const struct vg_recorder_frames stack = { .python = python, .python_depth = count };
    return vg_recorder_add_stack(recorder, hash, &stack);
}

static void allocate(uint32_t stack_id, uint64_t bytes)
{
    const struct vg_allocation allocation = { .address = next_address += 16 * MIB,
                                              .bytes = bytes,
                                              .monotonic_ns = vg_clock_monotonic_ns(),
                                              .stack_id = stack_id,
                                              .kind = VG_KIND_DEVICE };
    assert_int_equal(vg_live_index_put(track, &allocation), 0);
}

static const struct vg_run_sites *build(enum vg_run_level level)
{
    vg_region_release(&region);
    vg_process_source_init(&source, recorder, track, blocks, &native, &region);
    vg_stack_names_init(&names, &source.source, &region);
    torch = (struct vg_run_torch){ .settings = "" };
    vg_run_build_device(&names, 0, &device, &torch);
    return &device.sites[level];
}

#define MAIN                                                                                       \
    {                                                                                              \
        "/p/train.py", "main", 40                                                                  \
    }
#define LIBRARY                                                                                    \
    {                                                                                              \
        "/v/lib/python3.11/site-packages/torch/functional.py", "linear", 7                         \
    }

static void a_line_is_one_site(void **state)
{
    (void)state;
    allocate(STACK(LIBRARY, { "/p/net.py", "Net.forward", 11 }, MAIN), 2 * MIB);
    allocate(STACK({ "/p/net.py", "Net.forward", 11 }, MAIN), MIB);
    allocate(STACK(LIBRARY, { "/p/net.py", "Net.forward", 12 }, MAIN), 8 * MIB);
    allocate(0, 4 * MIB);
    const struct vg_run_sites *const sites = build(VG_LEVEL_ALLOCATIONS);
    assert_int_equal(sites->count, 3);
    const struct vg_run_site *const largest = &sites->entries[0], *const both = &sites->entries[2];
    assert_int_equal(largest->live_bytes, 8 * MIB);
    assert_int_equal(largest->own.line, 12);
    assert_string_equal(largest->called, "linear");
    assert_string_equal(sites->entries[1].label, "(no stack was recorded)");
    assert_int_equal(both->live_bytes, 3 * MIB);
    assert_int_equal(both->live_count, 2);
    assert_int_equal(both->stack_count, 2);
    assert_string_equal(both->own.file, "net.py");
    assert_string_equal(both->own.path, "/p/net.py");
    assert_string_equal(both->own.function, "Net.forward");
    assert_string_equal(both->caller.function, "main");
    assert_string_equal(both->label,
                        "train.py:40 main > net.py:11 forward > functional.py:7 linear");
    assert_int_equal(device.live_bytes, 15 * MIB);
    assert_int_equal(device.kind_count, 1);
}

/* Whoever calls the driver in one function of his own is told by who called that. */
static void callers_tell_driver_calls_apart(void **state)
{
    (void)state;
    for (uint32_t line = 1; line <= 3; line++)
        allocate(STACK({ "/p/pool.py", "take", 5 }, { "/p/train.py", "main", line }), line * MIB);
    const struct vg_run_sites *const sites = build(VG_LEVEL_ALLOCATIONS);
    assert_int_equal(sites->count, 3);
    assert_int_equal(sites->entries[0].own.line, 5);
    assert_int_equal(sites->entries[0].caller.line, 3);
    for (uint32_t i = 1; i < 3; i++)
        assert_string_not_equal(sites->entries[i].label, sites->entries[i - 1].label);
}

/* A file of helpers is passed over; a program of one file has no other. */
static void callers_are_of_another_file(void **state)
{
    (void)state;
    allocate(STACK({ "/p/pool.py", "take", 5 }, { "/p/pool.py", "alloc", 9 },
                   { "/p/train.py", "main", 1 }),
             2 * MIB);
    allocate(STACK({ "/p/alone.py", "take", 5 }, { "/p/alone.py", "main", 9 }), MIB);
    const struct vg_run_sites *const sites = build(VG_LEVEL_ALLOCATIONS);
    assert_int_equal(sites->count, 2);
    assert_string_equal(sites->entries[0].caller.file, "train.py");
    assert_string_equal(sites->entries[1].caller.file, "alone.py");
    assert_int_equal(sites->entries[1].caller.line, 9);
}

static void files_of_the_same_name_are_told_apart(void **state)
{
    (void)state;
    allocate(STACK({ "/p/a/models/net.py", "forward", 1 }), MIB);
    allocate(STACK({ "/p/b/models/net.py", "forward", 1 }), 2 * MIB);
    allocate(STACK({ "/p/b/models/other.py", "forward", 1 }), 3 * MIB);
    const struct vg_run_sites *const sites = build(VG_LEVEL_ALLOCATIONS);
    assert_int_equal(sites->count, 3);
    assert_string_equal(sites->entries[0].own.file, "other.py");
    assert_string_equal(sites->entries[1].own.file, "b/models/net.py");
    assert_string_equal(sites->entries[1].label, "b/models/net.py:1 forward");
    assert_string_equal(sites->entries[2].own.file, "a/models/net.py");
    assert_string_equal(sites->entries[2].label, "a/models/net.py:1 forward");
}

/* Two calls inside one function look the same to the reader. */
static void native_places_with_one_name_are_one(void **state)
{
    (void)state;
    const uint64_t a = (uintptr_t)abort + 8, b = (uintptr_t)abort + 9, c = (uintptr_t)qsort + 8;
    allocate(vg_recorder_stack(recorder, &a, 1, false), 2 * MIB);
    allocate(vg_recorder_stack(recorder, &c, 1, false), 3 * MIB);
    allocate(vg_recorder_stack(recorder, &b, 1, false), 2 * MIB);
    const struct vg_run_sites *const sites = build(VG_LEVEL_ALLOCATIONS);
    assert_int_equal(sites->count, 2);
    assert_int_equal(sites->entries[0].live_bytes, 4 * MIB);
    assert_int_equal(sites->entries[0].stack_count, 2);
    assert_int_equal(sites->entries[0].owner, VG_OWNER_OTHER); /* there is no PyTorch here */
    assert_non_null(strstr(sites->entries[0].label, "abort"));
    assert_non_null(strstr(sites->entries[1].label, "qsort"));
}

/* Ages are those of the live ones on the device, and the largest stack stands for the place. */
static void a_site_has_ages_and_a_stack(void **state)
{
    (void)state;
    const uint64_t second = UINT64_C(1000000000), now_ns = vg_clock_monotonic_ns();
    const uint32_t small = STACK({ "/p/net.py", "Net.forward", 11 }, MAIN);
    const uint32_t large = STACK(LIBRARY, { "/p/net.py", "Net.forward", 11 }, MAIN);
    const struct {
        uint64_t bytes, age_s;
        uint32_t stack_id;
        uint16_t device;
    } made[] = { { 2 * MIB, 3000, small, 0 },
                 { 5 * MIB, 1000, large, 0 },
                 { 2 * MIB, 2000, small, 0 },
                 { 64 * MIB, 9000, small, 1 } };
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++) {
        const struct vg_allocation one = { .address = next_address += 64 * MIB,
                                           .bytes = made[i].bytes,
                                           .monotonic_ns = now_ns - made[i].age_s * second,
                                           .stack_id = made[i].stack_id,
                                           .device = made[i].device,
                                           .kind = VG_KIND_DEVICE };
        assert_int_equal(vg_live_index_put(track, &one), 0);
    }
    const struct vg_run_sites *const sites = build(VG_LEVEL_ALLOCATIONS);
    assert_int_equal(sites->count, 1);
    assert_int_equal(sites->entries[0].live_bytes, 9 * MIB);
    assert_int_equal(device.live_bytes, 9 * MIB);
    assert_int_equal(sites->entries[0].oldest_ns / second / 100, 30);
    assert_int_equal(sites->entries[0].newest_ns / second / 100, 10);
    assert_int_equal(sites->entries[0].stack_id, large);
}

/* A recursion has thousands of stacks of one label: a failing call does not wait for all of them.
 */
static void only_so_many_are_looked_at_for_their_labels(void **state)
{
    (void)state;
    enum { SIDE = 60, LOOKED_AT = 16 * VG_RUN_LABELLED };
    for (uint32_t i = 0; i < SIDE * SIDE; i++) {
        const uint64_t frames[] = { (uintptr_t)abort + 1 + i % SIDE,
                                    (uintptr_t)abort + 1 + i / SIDE };
        allocate(vg_recorder_stack(recorder, frames, 2, false), 512);
    }
    const struct vg_run_sites *const sites = build(VG_LEVEL_ALLOCATIONS);
    uint64_t bytes = 0, stacks = 0;
    for (uint32_t i = 0; i < sites->count; i++) {
        bytes += sites->entries[i].live_bytes;
        stacks += sites->entries[i].stack_count;
    }
    assert_int_equal(bytes, SIDE * SIDE * 512);
    assert_int_equal(stacks, SIDE * SIDE);
    assert_int_equal(sites->entries[0].stack_count, LOOKED_AT);
    assert_int_equal(sites->count, SIDE * SIDE - LOOKED_AT + 1);
}

static void nothing_is_cut(void **state)
{
    (void)state;
    enum { LINES = 3000 };
    for (uint32_t line = 1; line <= LINES; line++)
        allocate(STACK({ "/p/train.py", "main", line }), line * 512);
    const struct vg_run_sites *const sites = build(VG_LEVEL_ALLOCATIONS);
    assert_int_equal(sites->count, LINES);
    for (uint32_t i = 0; i < LINES; i++) {
        assert_int_equal(sites->entries[i].own.line, LINES - i);
        assert_int_equal(sites->entries[i].live_bytes, (LINES - i) * 512);
        assert_int_equal(sites->entries[i].is_labelled, i < VG_RUN_LABELLED);
    }
}

static void the_line_is_read_from_its_file(void **state)
{
    (void)state;
    const char *const path = in_scratch("train.py");
    FILE *const file = fopen(path, "w");
    fprintf(file, "import torch\n\n\tx = net(x)  \r\nlast");
    fclose(file);
    recorder->header->start_realtime_ns = vg_clock_ns(CLOCK_REALTIME) + 1000000000;
    for (uint32_t line = 3; line <= 5; line++)
        allocate(STACK({ path, "step", line }), (10 - line) * MIB);
    const struct vg_run_sites *sites = build(VG_LEVEL_ALLOCATIONS);
    assert_string_equal(sites->entries[0].own.text, "x = net(x)");
    assert_string_equal(sites->entries[1].own.text, "last");
    assert_string_equal(sites->entries[2].own.text, ""); /* there is none */
    recorder->header->start_realtime_ns = 1000;          /* the file is newer */
    sites = build(VG_LEVEL_ALLOCATIONS);
    assert_string_equal(sites->entries[0].own.text, "");
}

/* ---- PyTorch's blocks ---- */

static void put_block(uint32_t stack_id, uint64_t address, uint64_t bytes)
{
    const struct vg_block_origin origin = vg_blocks_add_origin(blocks, 0, 0, stack_id);
    const struct vg_block block = { .address = address,
                                    .bytes = bytes,
                                    .monotonic_ns = vg_clock_monotonic_ns(),
                                    .stack_id = stack_id,
                                    .site = origin.site };
    const struct vg_block_sums told = { .allocated_bytes = 0, .reserved_bytes = 64 * MIB };
    vg_blocks_put(blocks, &block, &told);
}

static void blocks_have_sites_of_their_own(void **state)
{
    (void)state;
    const uint32_t kept = STACK({ "/p/net.py", "Net.forward", 11 }, MAIN);
    const uint32_t freed = STACK({ "/p/net.py", "Net.forward", 12 }, MAIN);
    const struct vg_block_sums told = { .reserved_bytes = 64 * MIB };
    allocate(kept, 64 * MIB);
    put_block(kept, 0x7f1000000000, 3 * MIB);
    put_block(freed, 0x7f1001000000, 5 * MIB);
    put_block(freed, 0x7f1002000000, MIB);
    vg_blocks_take(blocks, 0, 0x7f1001000000, &told);
    vg_blocks_take(blocks, 0, 0x7f1002000000, &told);
    const struct vg_run_sites *const sites = build(VG_LEVEL_BLOCKS);
    assert_true(sites->is_known);
    assert_int_equal(sites->count, 2);
    assert_int_equal(sites->entries[0].live_bytes, 3 * MIB);
    assert_int_equal(sites->entries[0].allocation_count, 1);
    assert_int_equal(sites->entries[1].live_count, 0);
    assert_int_equal(sites->entries[1].allocation_count, 2);
    assert_int_equal(sites->entries[1].free_count, 2);
    assert_int_equal(sites->entries[1].peak_bytes, 6 * MIB);
    assert_int_equal(sites->entries[1].peak_count, 2);
    assert_int_equal(device.sites[VG_LEVEL_ALLOCATIONS].count, 1);
    assert_int_equal(device.live_bytes, 64 * MIB); /* they lie in what the driver has given */
    assert_int_equal(device.kind_count, 1);
}

/* What PyTorch tells of its blocks, and what lies between them. */
static void holes_lie_between_blocks(void **state)
{
    (void)state;
    const uint32_t stack_id = STACK({ "/p/net.py", "Net.forward", 11 }, MAIN);
    const struct vg_block_sums told = { .allocated_bytes = 3 * MIB, .reserved_bytes = 16 * MIB };
    allocate(stack_id, 16 * MIB);
    put_block(stack_id, next_address, 2 * MIB);
    put_block(stack_id, next_address + 4 * MIB, MIB);
    put_block(stack_id, next_address + 8 * MIB, MIB);
    vg_blocks_take(blocks, 0, next_address + 8 * MIB, &told);
    build(VG_LEVEL_BLOCKS);
    assert_true(torch.tells_blocks);
    assert_int_equal(torch.block_count, 2);
    assert_int_equal(torch.allocation_count, 3);
    assert_int_equal(torch.allocated_bytes, 3 * MIB);
    assert_int_equal(torch.reserved_bytes, 16 * MIB);
    assert_int_equal(torch.unused_bytes, 13 * MIB);
    assert_int_equal(torch.hole_count, 2);
    assert_int_equal(torch.largest_hole_bytes, 11 * MIB);
    assert_int_equal(torch.empty_bytes, 0); /* the segment has blocks in it */
}

static void without_blocks_their_level_is_unknown(void **state)
{
    (void)state;
    allocate(STACK(MAIN), MIB);
    assert_false(build(VG_LEVEL_BLOCKS)->is_known);
    assert_false(torch.tells_blocks);
}

/* ---- growth ---- */

static uint32_t kind_of(const uint64_t *made, uint64_t newest_ns)
{
    struct vg_run_site site = { .oldest_ns = 8000,
                                .newest_ns = newest_ns,
                                .oldest_count = VG_COUNT_UNKNOWN };
    memcpy(site.made, made, sizeof site.made);
    for (int i = 0; i < VG_RUN_EIGHTHS; i++)
        site.live_count += made[i];
    site.live_bytes = site.live_count * 100;
    vg_growth_judge(&site);
    if (site.growth.kind == VG_GROWTH_STEADY) {
        assert_int_equal(site.growth.kept_count, site.live_count - made[7]);
        assert_int_equal(site.growth.each_bytes, 100);
        assert_int_equal(site.growth.since_ns, 8000);
    }
    return site.growth.kind;
}

static void growth_is_told_from_working_sets(void **state)
{
    (void)state;
    assert_int_equal(kind_of((uint64_t[8]){ 2, 2, 2, 2, 2, 2, 2, 2 }, 10), VG_GROWTH_STEADY);
    assert_int_equal(kind_of((uint64_t[8]){ 10, 9, 11, 30, 10, 3, 10, 10 }, 900), VG_GROWTH_STEADY);
    assert_int_equal(kind_of((uint64_t[8]){ 1, 1, 1, 1, 1, 1, 1, 1 }, 10), VG_GROWTH_UNKNOWN);
    assert_int_equal(kind_of((uint64_t[8]){ 0 }, 0), VG_GROWTH_UNKNOWN);
    assert_int_equal(kind_of((uint64_t[8]){ 0, 0, 0, 0, 0, 0, 0, 40 }, 10), VG_GROWTH_NONE);
    assert_int_equal(kind_of((uint64_t[8]){ 40, 0, 0, 0, 0, 0, 0, 0 }, 8000), VG_GROWTH_NONE);
    /* A cache: by its rounds it is even, but none has come lately; by the time it ends early. */
    assert_int_equal(kind_of((uint64_t[8]){ 2, 2, 2, 2, 2, 2, 2, 2 }, 4000), VG_GROWTH_STOPPED);
    assert_int_equal(kind_of((uint64_t[8]){ 9, 9, 9, 9, 9, 9, 0, 0 }, 2100), VG_GROWTH_STOPPED);
}

/* Within one tick of the clock only the device's own count tells. */
static void allocations_tell_what_the_clock_does_not(void **state)
{
    (void)state;
    struct vg_run_site site = { .live_count = 16,
                                .live_bytes = 1600,
                                .made = { 2, 2, 2, 2, 2, 2, 2, 2 },
                                .oldest_count = 400,
                                .newest_count = 20 };
    vg_growth_judge(&site);
    assert_int_equal(site.growth.kind, VG_GROWTH_STEADY);
    site.newest_count = 200;
    vg_growth_judge(&site);
    assert_int_equal(site.growth.kind, VG_GROWTH_STOPPED);
}

/* Rounds are the stack's own allocations: a ring buffer keeps the last of them only, a leak some of
 * each, however fast they come. */
static void rounds_need_no_time(void **state)
{
    (void)state;
    enum { ROUNDS = 800, RING = 50 };
    const uint32_t leak = STACK({ "/p/train.py", "step", 10 }, MAIN);
    const uint32_t ring = STACK({ "/p/train.py", "step", 11 }, MAIN);
    const struct vg_block_sums told = { .reserved_bytes = 64 * MIB };
    for (uint64_t i = 0; i < ROUNDS; i++) {
        put_block(leak, 0x7f1000000000 + i * 4096, 512);
        put_block(ring, 0x7f2000000000 + i * 4096, 1024);
        if (i % 4 != 0)
            vg_blocks_take(blocks, 0, 0x7f1000000000 + i * 4096, &told);
        if (i >= RING)
            vg_blocks_take(blocks, 0, 0x7f2000000000 + (i - RING) * 4096, &told);
    }
    const struct vg_run_sites *const sites = build(VG_LEVEL_BLOCKS);
    assert_int_equal(sites->count, 2);
    assert_int_equal(sites->entries[0].live_count, ROUNDS / 4);
    for (int i = 0; i < VG_RUN_EIGHTHS; i++)
        assert_int_equal(sites->entries[0].made[i], ROUNDS / 4 / 8);
    assert_int_equal(sites->entries[1].live_count, RING);
    assert_int_equal(sites->entries[1].made[7], RING);
    assert_int_equal(sites->entries[1].growth.kind, VG_GROWTH_NONE);
}

/* ---- the process and its file ---- */

static void the_file_tells_the_same(void **state)
{
    (void)state;
    static struct vg_reader reader;
    static struct vg_file_source file;
    static struct vg_region other;
    static struct vg_run run;
    char why[160];
    for (uint32_t i = 0; i < 200; i++)
        allocate(STACK(LIBRARY, { "/p/net.py", "f", 1 + i % 20 }, { "/p/train.py", "g", i % 3 }),
                 (1 + i * 37 % 100) * 4096);
    put_block(STACK({ "/p/net.py", "f", 5 }, MAIN), 0x7f1000000000, MIB);
    const char *const path = in_scratch("run");
    assert_int_equal(vg_reader_open(&reader, path, why, sizeof why), 0);
    assert_int_equal(vg_reader_load(&reader), 0);
    vg_file_source_init(&file, &reader, path, NULL);
    build(VG_LEVEL_ALLOCATIONS);
    vg_file_source_build(&file, &other, &run);
    assert_int_equal(run.process.state, VG_RUN_ALIVE);
    assert_int_equal(run.device_count, 1);
    for (int level = 0; level < VG_LEVELS; level++) {
        const struct vg_run_sites *const a = &device.sites[level];
        const struct vg_run_sites *const b = &run.devices[0].sites[level];
        assert_int_equal(a->count, b->count);
        assert_int_equal(a->count, level == VG_LEVEL_BLOCKS ? 1 : 60);
        for (uint32_t i = 0; i < a->count; i++) {
            assert_int_equal(a->entries[i].live_bytes, b->entries[i].live_bytes);
            assert_int_equal(a->entries[i].live_count, b->entries[i].live_count);
            assert_int_equal(a->entries[i].stack_id, b->entries[i].stack_id);
            assert_int_equal(a->entries[i].peak_bytes, b->entries[i].peak_bytes);
            assert_string_equal(a->entries[i].label, b->entries[i].label);
            assert_string_equal(a->entries[i].own.path, b->entries[i].own.path);
        }
    }
    assert_int_equal(device.live_bytes, run.devices[0].live_bytes);
    vg_region_release(&other);
    vg_reader_close(&reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_line_is_one_site, open_tables, close_tables),
        cmocka_unit_test_setup_teardown(callers_tell_driver_calls_apart, open_tables, close_tables),
        cmocka_unit_test_setup_teardown(callers_are_of_another_file, open_tables, close_tables),
        cmocka_unit_test_setup_teardown(files_of_the_same_name_are_told_apart, open_tables,
                                        close_tables),
        cmocka_unit_test_setup_teardown(native_places_with_one_name_are_one, open_tables,
                                        close_tables),
        cmocka_unit_test_setup_teardown(only_so_many_are_looked_at_for_their_labels, open_tables,
                                        close_tables),
        cmocka_unit_test_setup_teardown(nothing_is_cut, open_tables, close_tables),
        cmocka_unit_test_setup_teardown(the_line_is_read_from_its_file, open_tables, close_tables),
        cmocka_unit_test_setup_teardown(blocks_have_sites_of_their_own, open_tables, close_tables),
        cmocka_unit_test_setup_teardown(without_blocks_their_level_is_unknown, open_tables,
                                        close_tables),
        cmocka_unit_test_setup_teardown(the_file_tells_the_same, open_tables, close_tables),
        cmocka_unit_test_setup_teardown(a_site_has_ages_and_a_stack, open_tables, close_tables),
        cmocka_unit_test_setup_teardown(holes_lie_between_blocks, open_tables, close_tables),
        cmocka_unit_test(growth_is_told_from_working_sets),
        cmocka_unit_test(allocations_tell_what_the_clock_does_not),
        cmocka_unit_test_setup_teardown(rounds_need_no_time, open_tables, close_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
