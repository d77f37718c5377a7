/* Bounded text, and text from elsewhere made safe for a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/plain_text.h"
#include "base/text.h"

static void appends(void **state)
{
    (void)state;
    char data[32];
    struct vg_text text = vg_text_over(data, sizeof data);
    assert_string_equal(data, "");
    vg_text_add(&text, "a");
    vg_text_addf(&text, "%d-%s", 12, "x");
    vg_text_add_bytes(&text, "yzw", 2);
    vg_text_pad(&text, '.', 3);
    vg_text_pad(&text, '.', 0);
    vg_text_pad(&text, '.', -5);
    assert_string_equal(data, "a12-xyz...");
    assert_int_equal(text.length, 10);
    assert_false(text.truncated);
}

/* Any mix of appends to any capacity: never beyond the end, always terminated, cut only at the end.
 */
static void never_overflows(void **state)
{
    (void)state;
    srand(2);
    for (int round = 0; round < 20000; round++) {
        char data[64];
        memset(data, '#', sizeof data);
        const size_t cap = 1 + (size_t)(rand() % 40);
        struct vg_text text = vg_text_over(data, cap);
        size_t wanted = 0;
        for (int i = rand() % 6; i > 0; i--) {
            char piece[32];
            const int length = rand() % 20;
            memset(piece, 'a' + i, sizeof piece);
            piece[length] = '\0';
            if (rand() % 2)
                vg_text_add(&text, piece);
            else
                vg_text_addf(&text, "%s", piece);
            wanted += (size_t)length;
        }
        assert_int_equal(text.length, wanted < cap ? wanted : cap - 1);
        assert_int_equal(text.truncated, wanted >= cap);
        assert_int_equal(strlen(data), text.length);
        for (size_t i = cap; i < sizeof data; i++)
            assert_int_equal(data[i], '#');
    }
}

static void sanitizes(void **state)
{
    (void)state;
    char out[32];
    assert_int_equal(vg_text_sanitize(out, sizeof out, "a\033[31mb\nc\177", 9), 9);
    assert_string_equal(out, "a?[31mb?c");
    assert_int_equal(vg_text_sanitize(out, sizeof out, "x\0y", 3), 3);
    assert_string_equal(out, "x?y");
    vg_text_sanitize(out, sizeof out, "gr\303\274n \342\202\254", 9); /* UTF-8 stays */
    assert_string_equal(out, "gr\303\274n \342\202\254");
    /* U+009B is another way to write ESC [ in UTF-8. */
    vg_text_sanitize(out, sizeof out, "a\302\23331mb", 7);
    assert_null(strstr(out, "\302\233"));
}

static void cuts_with_dots(void **state)
{
    (void)state;
    char out[8];
    assert_int_equal(vg_text_sanitize(out, 8, "1234567", 7), 7);
    assert_string_equal(out, "1234567");
    assert_int_equal(vg_text_sanitize(out, 8, "12345678", 8), 7);
    assert_string_equal(out, "1234...");
    assert_int_equal(vg_text_sanitize(out, 3, "12345678", 8), 2);
    assert_string_equal(out, "12");
    assert_int_equal(vg_text_sanitize(out, 1, "12345678", 8), 0);
    assert_string_equal(out, "");
}

static void ends_are_found(void **state)
{
    (void)state;
    assert_true(vg_text_ends_with("libcuda.so", ".so"));
    assert_true(vg_text_ends_with(".so", ".so"));
    assert_true(vg_text_ends_with("x", ""));
    assert_false(vg_text_ends_with("libcuda.so.1", ".so"));
    static const char whole[] = "a.so"; /* what stands before a text is no part of it */
    assert_false(vg_text_ends_with(whole + 1, "a.so"));
    assert_true(vg_text_starts_with("abc", "ab"));
    assert_false(vg_text_starts_with("a", "ab"));
    assert_string_equal(vg_text_base_name("/a/b"), "b");
    assert_string_equal(vg_text_base_name("b"), "b");
    assert_string_equal(vg_text_base_name("/a/"), "");
}

static void repairs(void **state)
{
    (void)state;
    static const struct {
        const char *text, *wanted;
        int repairs;
    } cases[] = {
        { "gr\303\274n \342\202\254 \360\237\230\200", "gr\303\274n \342\202\254 \360\237\230\200",
          0 },
        { "a\033[31m", "a?[31m", 1 },
        { "\302\233", "??", 2 }, /* U+009B */
        { "x\303", "x?", 1 },    /* cut */
        { "\303\303\274", "?\303\274", 1 },
        { "\342\202x", "??x", 2 },
        { "\360\237\230x", "???x", 3 },
        { "\365\200\200\200", "????", 4 }, /* beyond U+10FFFF */
        { "\300\200", "??", 2 },           /* longer than needed */
        { "\177", "?", 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[32];
        strcpy(text, cases[i].text);
        assert_int_equal(vg_text_is_safe(text), cases[i].repairs == 0);
        assert_int_equal(vg_text_repair(text, sizeof text), cases[i].repairs);
        assert_string_equal(text, cases[i].wanted);
        assert_true(vg_text_is_safe(text));
    }
    char endless[] = { 'a', 'b', 'c', 'd', 'e', '\0' };
    assert_int_equal(vg_text_repair(endless, 4), 1);
    assert_string_equal(endless, "abc");
}

static void compares_without_libc(void **state)
{
    (void)state;
    assert_true(vg_plain_equal("", ""));
    assert_true(vg_plain_equal("abc", "abc"));
    assert_false(vg_plain_equal("abc", "abd"));
    assert_false(vg_plain_equal("ab", "abc"));
    assert_false(vg_plain_equal("abc", "ab"));
    assert_true(vg_plain_starts_with("abc", ""));
    assert_true(vg_plain_starts_with("abc", "abc"));
    assert_false(vg_plain_starts_with("abc", "abcd"));
    assert_false(vg_plain_starts_with("abc", "ac"));
    assert_int_equal(vg_plain_length("four"), 4);
    char to[] = "......";
    vg_plain_copy(to + 1, "abcd", 4);
    assert_string_equal(to, ".abcd.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends),
        cmocka_unit_test(never_overflows),
        cmocka_unit_test(sanitizes),
        cmocka_unit_test(cuts_with_dots),
        cmocka_unit_test(ends_are_found),
        cmocka_unit_test(repairs),
        cmocka_unit_test(compares_without_libc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
