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
    assert_string_equal(find("A=\"x'", "A"), "\"x'"); /* no pair */
    /* As long as the buffer lets it be. */
    assert_string_equal(find("A=1234567890123456789012345678901", "A"),
                        "1234567890123456789012345678901");
}

static void the_rest_is_not(void **state)
{
    (void)state;
    assert_null(find("", "A"));
    assert_null(find("#A=1", "A"));
    assert_null(find("  # A=1", "A"));
    assert_null(find("AB=1", "A"));
    assert_null(find("A=1", "AB"));
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

static void whole_child(void *argument)
{
    struct vg_option_file file;
    char value[8];
    const int next = dup(STDOUT_FILENO); /* the number that the next descriptor gets */
    close(next);
    vg_option_file_open(&file, argument);
    CHECK(vg_option_file_find(&file, "A", value, sizeof value));
    CHECK(strcmp(value, "1") == 0);
    vg_option_file_close(&file);
    CHECK(!file.text);
    CHECK(fcntl(next, F_GETFD) == -1); /* none is left open */
}

static void what_can_be_read_is_read(void **state)
{
    (void)state;
    char text[512], path[128];
    snprintf(path, sizeof path, "%s/settings", scratch);
    FILE *const file = fopen(path, "w");
    assert_non_null(file);
    fputs("A=1\n", file);
    fclose(file);
    assert_int_equal(run_child(whole_child, path, text, sizeof text), 0);
    assert_string_equal(text, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_settings),
        cmocka_unit_test(the_rest_is_not),
        cmocka_unit_test(any_bytes_are_survived),
        cmocka_unit_test(what_cannot_be_read_is_one_line_or_none),
        cmocka_unit_test_setup_teardown(what_can_be_read_is_read, make_scratch, remove_scratch),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
