/* What CPython publishes of itself against what is known of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unwind/python_offsets.h"
#include "unwind/python_walk.h"

enum { WORDS = 80, VERSION = 1, FREE_THREADED = 2 };

/* As the releases 3.13.15, 3.14.8 and 3.15.0 publish them, from `free_threaded` on up to tuples. */
static const uint64_t published[][WORDS - 2] = {
    { 0,    283408, 608,  632,  194984, 7272, 7264, 7344, 7400, 7656, 7640, 7648, 16,
      7752, 0,      7768, 7760, 312,    0,    8,    16,   72,   152,  160,  232,  32,
      80,   8,      0,    56,   72,     70,   208,  112,  120,  128,  136,  68,   52,
      96,   104,    200,  16,   8,      416,  24,   88,   168,  32,   24,   16 },
    { 0,   316616, 784,  808,  225864, 7280, 7272, 7344, 7360, 7408, 7688, 7672, 7680, 16, 7784,
      0,   7800,   7792, 7992, 0,      832,  0,    8,    16,   72,   152,  160,  232,  32, 88,
      8,   0,      56,   80,   74,     64,   0,    216,  112,  120,  128,  136,  68,   52, 96,
      104, 208,    0,    16,   8,      416,  24,   88,   168,  40,   32,   16 },
    { 0,    346568, 912,  936,  226240, 7272, 7264, 7336, 7352, 7400, 7592, 7576, 7584, 16,
      7736, 0,      7752, 7744, 7944,   0,    888,  0,    8,    16,   72,   80,   88,   96,
      176,  184,    256,  32,   36,     40,   136,  288,  0,    88,   8,    0,    56,   80,
      74,   64,     0,    216,  112,    120,  128,  136,  68,   52,   96,   104,  208,  0,
      16,   8,      424,  24,   88,     168,  32,   288,  944,  888,  40,   32,   16 },
};

static uint64_t runtime[WORDS];

static const struct vg_python_layout *publish(unsigned minor)
{
    memset(runtime, 0, sizeof runtime);
    memcpy(runtime, "xdebugpy", 8);
    runtime[VERSION] = UINT64_C(3) << 24 | minor << 16 | 0x8f0;
    memcpy(runtime + 2, published[minor - 13], sizeof published[0]);
    return vg_python_layout_of(minor);
}

static struct vg_python_layout read_layout(unsigned minor)
{
    struct vg_python_layout layout;
    assert_true(vg_python_offsets_read(runtime, vg_python_layout_of(minor), &layout));
    return layout;
}

static void releases_are_as_the_rows_say(void **state)
{
    (void)state;
    for (unsigned minor = 13; minor <= 15; minor++) {
        const struct vg_python_layout *const row = publish(minor);
        assert_true(vg_python_offsets_exist(runtime));
        assert_false(vg_python_offsets_free_threaded(runtime));
        const struct vg_python_layout layout = read_layout(minor);
        assert_memory_equal(&layout, row, sizeof layout);
    }
}

/* Thirteen members are looked at. */
static void each_member_that_moved_is_seen(void **state)
{
    (void)state;
    for (unsigned minor = 13; minor <= 15; minor++) {
        int seen = 0;
        for (size_t i = FREE_THREADED + 1; i < WORDS; i++) {
            const struct vg_python_layout *const row = publish(minor);
            runtime[i] += 8;
            const struct vg_python_layout layout = read_layout(minor);
            seen += memcmp(&layout, row, sizeof layout) != 0;
        }
        assert_int_equal(seen, 13);
    }
}

static void free_threaded_objects_have_another_head(void **state)
{
    (void)state;
    const struct vg_python_layout *const row = publish(13);
    runtime[FREE_THREADED] = 1;
    assert_true(vg_python_offsets_free_threaded(runtime));
    struct vg_python_layout layout = read_layout(13);
    assert_int_equal(layout.head, 16);
    assert_int_equal(layout.ascii_data, row->ascii_data + 16);
    assert_int_equal(layout.compact_data, row->compact_data + 16);
    assert_int_equal(layout.first_traceable, row->first_traceable + 16);
    assert_int_equal(layout.frame_copy, 0);
    publish(14);
    runtime[FREE_THREADED] = 1;
    runtime[32 + 6] = 72;
    runtime[40 + 9] = 224;
    layout = read_layout(14);
    assert_int_equal(layout.frame_copy, 72);
    assert_int_equal(layout.copies, 224);
}

/* What a thread runs of a code object is its own copy of the bytecode, but for the first. */
static void a_frame_stands_in_its_own_copy(void **state)
{
    (void)state;
    enum { COPY = 8, INSTRUCTION = 16, COPIES = 24, BYTECODE = 32 };
    char code[64] = { 0 }, other[16];
    struct {
        uint64_t unused;
        int32_t copy;
        const char *instruction;
    } frame = { .instruction = code + BYTECODE + 6 };
    const struct {
        uint64_t count;
        const char *bytecode[2];
    } copies = { 2, { code + BYTECODE, other } };
    const void *const all = &copies;
    const struct vg_python_layout layout = { .counter = VG_PYTHON_POINTS,
                                             .frame_instruction = INSTRUCTION,
                                             .frame_copy = COPY,
                                             .copies = COPIES,
                                             .bytecode = BYTECODE };
    memcpy(code + COPIES, &all, sizeof all);
    const uintptr_t at = (uintptr_t)&frame;
    assert_int_equal(vg_python_instruction_of(&layout, at, (uintptr_t)code), 6);
    frame.copy = 1;
    frame.instruction = other + 4;
    assert_int_equal(vg_python_instruction_of(&layout, at, (uintptr_t)code), 4);
    frame.copy = 2; /* of which there is none */
    frame.instruction = code + BYTECODE + 8;
    assert_int_equal(vg_python_instruction_of(&layout, at, (uintptr_t)code), 8);
}

static void without_a_table_nothing_is_read(void **state)
{
    (void)state;
    struct vg_python_layout layout;
    assert_false(vg_python_offsets_exist(NULL));
    const struct vg_python_layout *const row = publish(14);
    runtime[VERSION] = UINT64_C(3) << 24 | 16u << 16; /* whose order is not known */
    runtime[23] += 8;
    assert_false(vg_python_offsets_read(runtime, row, &layout));
    runtime[VERSION] = UINT64_C(3) << 24 | 13u << 16; /* of another version than the row's */
    assert_false(vg_python_offsets_read(runtime, row, &layout));
    assert_memory_equal(&layout, row, sizeof layout);
    runtime[0]++;
    assert_false(vg_python_offsets_exist(runtime));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(releases_are_as_the_rows_say),
        cmocka_unit_test(each_member_that_moved_is_seen),
        cmocka_unit_test(free_threaded_objects_have_another_head),
        cmocka_unit_test(a_frame_stands_in_its_own_copy),
        cmocka_unit_test(without_a_table_nothing_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
