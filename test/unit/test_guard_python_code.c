/* Line tables and strings of CPython, in hand-made memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "unwind/python_code.h"

#define LINE(format, table, first, instruction)                                                    \
    vg_python_line(format, (const unsigned char *)(table), sizeof(table) - 1, first, instruction)

static void lnotab_steps_by_address(void **state)
{
    (void)state;
    static const char table[] = "\x00\x01\x08\x01\x08\xfe\xff\x00\x01\x7f\x00\x7f";
    static const int expected[][2] = { { -1, 10 },  { 0, 11 },    { 7, 11 },
                                       { 8, 12 },   { 15, 12 },   { 16, 10 },
                                       { 271, 10 }, { 272, 264 }, { 9999, 264 } };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_int_equal(LINE(VG_PYTHON_LNOTAB, table, 10, expected[i][0]), expected[i][1]);
}

static void ranges_may_have_no_line(void **state)
{
    (void)state;
    static const char table[] = "\x04\x00\x06\x02\x02\x80\x08\xff\x00\x7f\x02\x7f";
    static const int expected[][2] = { { -2, 10 }, { 0, 10 },  { 2, 10 },  { 4, 12 },   { 9, 12 },
                                       { 10, 0 },  { 12, 11 }, { 19, 11 }, { 20, 265 }, { 22, 0 } };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_int_equal(LINE(VG_PYTHON_RANGES, table, 10, expected[i][0]), expected[i][1]);
}

static void locations_of_every_kind(void **state)
{
    (void)state;
    static const char table[] =
        "\x81\x00"                 /* short, 2 units: the same line */
        "\xd8\x01\x02"             /* one line further, 1 unit */
        "\xe0\x01\x02"             /* two lines */
        "\xe8\x03"                 /* no columns, a line back */
        "\xf0\x78\x0f\x00\x01\x02" /* long, +508 in two pieces */
        "\xf8"                     /* none */
        "\xd0\x00\x00";            /* the line before it */
    static const int expected[][2] = { { -2, 10 }, { 0, 10 },   { 2, 10 }, { 4, 11 },   { 6, 13 },
                                       { 8, 12 },  { 10, 520 }, { 12, 0 }, { 14, 520 }, { 16, 0 } };
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_int_equal(LINE(VG_PYTHON_LOCATIONS, table, 10, expected[i][0]), expected[i][1]);
}

static void survives_any_table(void **state)
{
    (void)state;
    srand(1);
    for (int i = 0; i < 200000; i++) {
        const size_t length = (size_t)rand() % 24;
        unsigned char *const table = malloc(length + 1); /* a sanitizer sees each byte too far */
        for (size_t k = 0; k < length; k++)
            table[k] = (unsigned char)rand();
        vg_python_line((enum vg_python_lines_format)(i % 3), table, length, 1, rand() % 600);
        free(table);
    }
}

/* A str as CPython lays it out: kind 1, 2 or 4; `points` of that size. */
static const char *text_of(unsigned minor, unsigned kind, bool ascii, const void *points,
                           size_t count, size_t cap)
{
    static char text[64];
    static uint64_t memory[32];
    const struct vg_python_layout *const layout = vg_python_layout_of(minor);
    const uint32_t bits = (kind | 8u | (ascii ? 16u : 0u)) << layout->kind_shift;
    memset(memory, 0, sizeof memory);
    memory[VG_STR_LENGTH / 8] = count;
    memcpy((char *)memory + VG_STR_STATE, &bits, sizeof bits);
    memcpy((char *)memory + (ascii ? layout->ascii_data : layout->compact_data), points,
           kind * count);
    const size_t length = vg_python_text(layout, (uintptr_t)memory, text, cap);
    assert_int_equal(length, strlen(text));
    return text;
}

static void strings_become_utf8(void **state)
{
    (void)state;
    for (unsigned minor = 8; minor <= 15; minor++) {
        assert_string_equal(text_of(minor, 1, true, "run.py", 6, 64), "run.py");
        assert_string_equal(text_of(minor, 1, true, "", 0, 64), "");
        assert_string_equal(text_of(minor, 1, false, "f\xfcnf", 4, 64), "f\xc3\xbcnf");
        assert_string_equal(text_of(minor, 2, false, (uint16_t[]){ 'a', 0x540d }, 2, 64),
                            "a\xe5\x90\x8d");
        assert_string_equal(text_of(minor, 4, false, (uint32_t[]){ 0x1f40d, 'b' }, 2, 64),
                            "\xf0\x9f\x90\x8d"
                            "b");
    }
}

static void the_end_of_a_long_string_is_kept(void **state)
{
    (void)state;
    assert_string_equal(text_of(12, 1, true, "/long/path/run.py", 17, 7), "run.py");
    assert_string_equal(text_of(12, 2, false, (uint16_t[]){ 0x540d, 0x540d, 'c' }, 3, 6),
                        "\xe5\x90\x8d"
                        "c");
    assert_string_equal(text_of(12, 1, true, "anything", 8, 1), "");
}

static void only_known_versions_have_a_layout(void **state)
{
    (void)state;
    assert_null(vg_python_layout_of(7));
    assert_null(vg_python_layout_of(16));
    for (unsigned minor = 8; minor <= 15; minor++)
        assert_int_equal(vg_python_layout_of(minor)->minor, minor);
}

/* Releases of 3.14 put the bits in either place, behind two or sixteen for interning. */
static void strings_of_both_kinds_of_3_14(void **state)
{
    (void)state;
    const struct vg_python_layout *const layout = vg_python_layout_of(14);
    for (unsigned interned = 0; interned < 4; interned++) {
        const uint32_t bits[] = { interned | (1u | 8u | 16u) << 2, interned | (1u | 8u | 16u)
                                                                                  << 16 };
        for (size_t i = 0; i < 2; i++) {
            uint64_t memory[8] = { [VG_STR_LENGTH / 8] = 3 };
            char text[8] = "";
            memcpy((char *)memory + VG_STR_STATE, &bits[i], sizeof bits[i]);
            memcpy((char *)memory + layout->ascii_data, "abc", 3);
            assert_int_equal(vg_python_text(layout, (uintptr_t)memory, text, sizeof text), 3);
            assert_string_equal(text, "abc");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lnotab_steps_by_address),
        cmocka_unit_test(ranges_may_have_no_line),
        cmocka_unit_test(locations_of_every_kind),
        cmocka_unit_test(survives_any_table),
        cmocka_unit_test(strings_of_both_kinds_of_3_14),
        cmocka_unit_test(strings_become_utf8),
        cmocka_unit_test(the_end_of_a_long_string_is_kept),
        cmocka_unit_test(only_known_versions_have_a_layout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
