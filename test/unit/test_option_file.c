/* The file of settings: which lines count, whatever stands in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/option_file.h"
#include "core_fixture.h"

/* The text as a file that has been read. Points into static memory. */
static struct vg_option_file file_of(const char *text)
{
    static char copy[512];
    snprintf(copy, sizeof copy, "%s", text);
    return (struct vg_option_file){ .text = copy };
}

static const char *find(const char *text, const char *name)
{
    static char value[32];
    const struct vg_option_file file = file_of(text);
    return vg_option_file_find(&file, name, value, sizeof value);
}

static void lines_are_settings(void **state)
{
    (void)state;
    assert_string_equal(find("A=1", "A"), "1");
    assert_string_equal(find("A=1\nB=2\n", "B"), "2");
    assert_string_equal(find("A=1\nA=2", "A"), "2"); /* the last one */
    assert_string_equal(find("  A=  1 2  \n", "A"), "1 2");
    assert_string_equal(find("export A=x\r\n", "A"), "x");
    assert_string_equal(find("A=\"x y\"", "A"), "x y");
    assert_string_equal(find("A='#'", "A"), "#");
    assert_string_equal(find("A=b=c", "A"), "b=c");
    assert_string_equal(find("A=", "A"), "");
    assert_string_equal(find("A=\"", "A"), "\"");
}

static void the_rest_is_not(void **state)
{
    (void)state;
    assert_null(find("", "A"));
    assert_null(find("#A=1", "A"));
    assert_null(find("  # A=1", "A"));
    assert_null(find("AB=1", "A"));
    assert_null(find("A", "A"));
    assert_null(find("B=1\n=2", "A"));
    assert_null(find("A=12345678901234567890123456789012", "A")); /* longer than the buffer */
    const struct vg_option_file none = { 0 };
    char value[8];
    assert_null(vg_option_file_find(&none, "A", value, sizeof value));
}

static void any_bytes_are_survived(void **state)
{
    (void)state;
    static const char letters[] = "A=\n\"' #\t\rexport ";
    srand(7);
    for (int i = 0; i < 200000; i++) {
        char text[48];
        const int length = rand() % (int)sizeof text;
        for (int k = 0; k < length; k++)
            text[k] = rand() % 8 ? letters[rand() % (int)(sizeof letters - 1)] : (char)rand();
        text[length < (int)sizeof text ? length : length - 1] = '\0';
        const char *const value = find(text, "A");
        assert_true(!value || strlen(value) < 32);
    }
}

static void open_child(void *argument)
{
    struct vg_option_file file;
    errno = 4711;
    vg_option_file_open(&file, argument);
    CHECK(errno == 4711);
    CHECK(!file.text);
    vg_option_file_close(&file);
}

static void what_cannot_be_read_is_one_line_or_none(void **state)
{
    (void)state;
    char text[512], missing[] = "/no/such/file", folder[] = "/", device[] = "/dev/zero";
    assert_int_equal(run_child(open_child, missing, text, sizeof text), 0);
    assert_string_equal(text, "");
    assert_int_equal(run_child(open_child, folder, text, sizeof text), 0);
    assert_int_equal(line_count(text), 1);
    assert_int_equal(run_child(open_child, device, text, sizeof text), 0);
    assert_int_equal(line_count(text), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_settings),
        cmocka_unit_test(the_rest_is_not),
        cmocka_unit_test(any_bytes_are_survived),
        cmocka_unit_test(what_cannot_be_read_is_one_line_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
