/* Bounded text, and text from elsewhere made safe for a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends),
        cmocka_unit_test(never_overflows),
        cmocka_unit_test(sanitizes),
        cmocka_unit_test(cuts_with_dots),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
