/* Text in columns: letters counted once, lines broken where they may be, cut texts marked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "view/wrap.h"

static const char *wrap(const char *text, size_t indent, size_t columns, enum vg_wrap_at at)
{
    static char data[256];
    struct vg_text out = vg_text_over(data, sizeof data);
    vg_wrap_add(&out, text, indent, columns, at);
    return data;
}

static void letters_are_counted_once(void **state)
{
    (void)state;
    assert_int_equal(vg_wrap_width(""), 0);
    assert_int_equal(vg_wrap_width("abc"), 3);
    assert_int_equal(vg_wrap_width("gr\303\274n \342\202\254"), 6);
}

static void lines_break_at_spaces(void **state)
{
    (void)state;
    assert_string_equal(wrap("", 0, 20, VG_WRAP_WORDS), "\n");
    assert_string_equal(wrap("one two three", 0, 9, VG_WRAP_WORDS), "one two\nthree\n");
    assert_string_equal(wrap("one two three", 2, 11, VG_WRAP_WORDS), "one two\n  three\n");
    assert_string_equal(wrap("one   two three", 0, 10, VG_WRAP_WORDS), "one   two\nthree\n");
    assert_string_equal(wrap("exactly10.", 0, 10, VG_WRAP_WORDS), "exactly10.\n");
    assert_string_equal(wrap("longerthanaline x", 0, 10, VG_WRAP_WORDS), "longerthan\naline x\n");
    assert_string_equal(wrap("narrow as can be", 30, 20, VG_WRAP_WORDS),
                        "narrow\n                              as can\n"
                        "                              be\n");
}

static void labels_break_between_their_parts(void **state)
{
    (void)state;
    assert_string_equal(wrap("a.py:1 main > b.py:2 f", 0, 18, VG_WRAP_LABEL),
                        "a.py:1 main\n> b.py:2 f\n");
    /* A part that is too long is broken at a space. */
    assert_string_equal(wrap("a.py:1 main_of_all > x", 0, 12, VG_WRAP_LABEL),
                        "a.py:1\nmain_of_all\n> x\n");
}

static void columns_break_between_them(void **state)
{
    (void)state;
    assert_string_equal(wrap("1-2 MiB: 3   4-8 MiB: 5", 0, 16, VG_WRAP_COLUMNS),
                        "1-2 MiB: 3\n4-8 MiB: 5\n");
}

static void keys_stand_in_front(void **state)
{
    (void)state;
    char data[64];
    struct vg_text out = vg_text_over(data, sizeof data);
    vg_wrap_add_keyed(&out, "why", "one two three", 8, 18, VG_WRAP_WORDS);
    assert_string_equal(data, "  why   one two\n        three\n");
}

static void cut_texts_are_marked(void **state)
{
    (void)state;
    char out[16];
    vg_wrap_cut(out, sizeof out, "abcdef", 6);
    assert_string_equal(out, "abcdef");
    vg_wrap_cut(out, sizeof out, "abcdefg", 6);
    assert_string_equal(out, "abc...");
    vg_wrap_cut(out, sizeof out, "\303\274\303\274\303\274\303\274\303\274\303\274", 5);
    assert_string_equal(out, "\303\274\303\274...");
    vg_wrap_cut(out, 8, "abcdefghij", 20); /* no room for all of it */
    assert_string_equal(out, "abcd...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_are_counted_once),
        cmocka_unit_test(lines_break_at_spaces),
        cmocka_unit_test(labels_break_between_their_parts),
        cmocka_unit_test(columns_break_between_them),
        cmocka_unit_test(keys_stand_in_front),
        cmocka_unit_test(cut_texts_are_marked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
