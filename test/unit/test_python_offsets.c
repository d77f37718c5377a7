/* What CPython publishes of itself against what is known of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "unwind/python_offsets.h"

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

static void releases_agree(void **state)
{
    (void)state;
    for (unsigned minor = 13; minor <= 15; minor++) {
        const struct vg_python_layout *const layout = publish(minor);
        assert_true(vg_python_offsets_exist(runtime));
        assert_false(vg_python_offsets_free_threaded(runtime));
        assert_true(vg_python_offsets_agree(runtime, layout));
    }
}

/* Thirteen members are looked at. */
static void each_member_that_moved_is_seen(void **state)
{
    (void)state;
    for (unsigned minor = 13; minor <= 15; minor++) {
        int seen = 0;
        for (size_t i = FREE_THREADED + 1; i < WORDS; i++) {
            const struct vg_python_layout *const layout = publish(minor);
            runtime[i] += 8;
            seen += !vg_python_offsets_agree(runtime, layout);
        }
        assert_int_equal(seen, 13);
    }
}

static void without_a_table_nothing_is_said(void **state)
{
    (void)state;
    assert_false(vg_python_offsets_exist(NULL));
    const struct vg_python_layout *const layout = publish(14);
    runtime[FREE_THREADED] = 1;
    assert_true(vg_python_offsets_free_threaded(runtime));
    runtime[VERSION] = UINT64_C(3) << 24 | 16u << 16; /* whose order is not known */
    runtime[23] += 8;
    assert_true(vg_python_offsets_agree(runtime, layout));
    runtime[0]++;
    assert_false(vg_python_offsets_exist(runtime));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(releases_agree),
        cmocka_unit_test(each_member_that_moved_is_seen),
        cmocka_unit_test(without_a_table_nothing_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
