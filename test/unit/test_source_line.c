/* The text of a line, read from its file as it was when the process began. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analyze/run.h"
#include "analyze/source_line.h"
#include "core_fixture.h"

static struct vg_region region;
static struct vg_file_header header;

static int setup(void **state)
{
    if (make_scratch(state) != 0)
        return -1;
    region = vg_region_over(NULL, 0);
    memset(&header, 0, sizeof header);
    header.start_realtime_ns = UINT64_MAX;
    return 0;
}

static int teardown(void **state)
{
    vg_region_release(&region);
    return remove_scratch(state);
}

static const char *line_of(const char *path, uint32_t number)
{
    struct vg_run_line line = {
        .path = path, .file = "", .line = number, .text = "", .function = ""
    };
    errno = 4711;
    vg_source_line_read(&region, &header, &line);
    assert_int_equal(errno, 4711);
    return line.text;
}

static void lines_of_long_files_are_found(void **state)
{
    (void)state;
    enum { LINES = 3000 };
    const char *const path = in_scratch("long.py");
    FILE *const file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 1; i <= LINES; i++)
        fprintf(file, "%*sline %d %*s\n", i % 7, "", i, i % 11, "");
    fclose(file);
    const int next = dup(STDOUT_FILENO); /* the number that the next descriptor gets */
    close(next);
    for (uint32_t i = 1; i <= LINES; i += 1 + i / 50) {
        char wanted[32];
        snprintf(wanted, sizeof wanted, "line %u", i);
        assert_string_equal(line_of(path, i), wanted);
    }
    assert_string_equal(line_of(path, 0), "");
    assert_string_equal(line_of(path, LINES + 1), "");
    assert_int_equal(fcntl(next, F_GETFD), -1); /* none is left open */
}

static void long_lines_are_cut_between_letters(void **state)
{
    (void)state;
    const char *const path = in_scratch("wide.py");
    for (int before = 100; before < 125; before++) {
        FILE *const file = fopen(path, "w");
        assert_non_null(file);
        for (int i = 0; i < before; i++)
            fputc('x', file);
        for (int i = 0; i < 40; i++)
            fputs("\303\274", file);
        fclose(file);
        const char *const text = line_of(path, 1);
        const size_t length = strlen(text);
        assert_in_range(length, 119, 120);
        assert_null(strchr(text, '?')); /* as half a letter would be shown */
        assert_int_equal(text[length - 1], before >= 119 ? 'x' : '\274');
    }
}

static void what_is_newer_is_not_it(void **state)
{
    (void)state;
    struct stat status;
    const char *const path = in_scratch("new.py");
    FILE *const file = fopen(path, "w");
    assert_non_null(file);
    fputs("x = 1\n", file);
    fclose(file);
    assert_int_equal(stat(path, &status), 0);
    header.start_realtime_ns =
        (uint64_t)status.st_mtim.tv_sec * 1000000000 + (uint64_t)status.st_mtim.tv_nsec;
    assert_string_equal(line_of(path, 1), "x = 1");
    header.start_realtime_ns--;
    assert_string_equal(line_of(path, 1), "");
}

static void relative_paths_start_where_the_process_did(void **state)
{
    (void)state;
    FILE *const file = fopen(in_scratch("here.py"), "w");
    assert_non_null(file);
    fputs("x = 1\n", file);
    fclose(file);
    assert_string_equal(line_of("here.py", 1), ""); /* which is not known */
    snprintf(header.folder, sizeof header.folder, "%s", scratch);
    assert_string_equal(line_of("here.py", 1), "x = 1");
    assert_string_equal(line_of("", 1), "");
    assert_string_equal(line_of(scratch, 1), ""); /* a folder */
}

#define LINE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINE_TEST(lines_of_long_files_are_found),
        LINE_TEST(long_lines_are_cut_between_letters),
        LINE_TEST(what_is_newer_is_not_it),
        LINE_TEST(relative_paths_start_where_the_process_did),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
