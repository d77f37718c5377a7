/* Lines on the program's standard error: whole, once, and never where they are not wanted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <sys/ioctl.h>

#include "base/log.h"
#include "core_fixture.h"

static void lines_child(void *argument)
{
    char lengthy[2000];
    (void)argument;
    memset(lengthy, 'x', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = '\0';
    errno = 4711;
    vg_log_line("%d and %s", 1, "two");
    vg_log_line("%s", lengthy);
    CHECK(errno == 4711);
}

static void lines_end(void **state)
{
    (void)state;
    char text[4096];
    assert_int_equal(run_child(lines_child, NULL, text, sizeof text), 0);
    assert_int_equal(strncmp(text, "vramguard: 1 and two\nvramguard: xxx", 35), 0);
    assert_int_equal(line_count(text), 2);
    assert_int_equal(text[strlen(text) - 1], '\n');
    assert_true(strlen(text) < 21 + 1025);
}

static void warn_child(void *argument)
{
    (void)argument;
    for (int i = 0; i < 3; i++) {
        vg_warn_once(VG_FAULT_NVML, "first");
        vg_warn_once(VG_FAULT_LIBC, "second");
    }
}

static void each_fault_is_told_once(void **state)
{
    (void)state;
    char text[256];
    assert_int_equal(run_child(warn_child, NULL, text, sizeof text), 0);
    assert_string_equal(text, "vramguard: first\nvramguard: second\n");
}

static void *read_all(void *argument)
{
    static char text[64];
    const int fd = *(int *)argument;
    size_t length = 0;
    for (ssize_t got; (got = read(fd, text, sizeof text)) > 0; length += (size_t)got)
        usleep(100);
    return (void *)length;
}

/* More than a pipe holds, to a slow reader. */
static void slow_child(void *argument)
{
    enum { BYTES = 200000 };
    static char bytes[BYTES];
    int ends[2];
    pthread_t thread;
    void *length;
    (void)argument;
    CHECK(pipe(ends) == 0);
    CHECK(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    close(ends[1]);
    CHECK(fcntl(STDERR_FILENO, F_SETFL, O_NONBLOCK) == 0);
    CHECK(pthread_create(&thread, NULL, read_all, &ends[0]) == 0);
    vg_log_write(bytes, sizeof bytes);
    close(STDERR_FILENO);
    pthread_join(thread, &length);
    CHECK((size_t)length == BYTES);
}

static void all_of_a_long_text_is_written(void **state)
{
    (void)state;
    char text[64];
    assert_int_equal(run_child(slow_child, NULL, text, sizeof text), 0);
}

/* Nobody reads: two seconds are waited once, not for each line. */
static void unread_child(void *argument)
{
    static char bytes[200000];
    int ends[2];
    (void)argument;
    CHECK(pipe(ends) == 0);
    CHECK(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO);
    vg_log_write(bytes, sizeof bytes);
    for (int i = 0; i < 100; i++)
        vg_log_write(bytes, sizeof bytes);
}

static void who_never_reads_is_waited_for_once(void **state)
{
    (void)state;
    char text[64];
    assert_int_equal(run_child(unread_child, NULL, text, sizeof text), 0);
}

/* Started without a standard error, the program gets its own first file as descriptor 2: the test
 * runs itself again so. */
static int in_program_without_stderr(void)
{
    const int fd = open(getenv("VG_LOG_TEST_FILE"), O_WRONLY | O_CREAT, 0600);
    if (fd != STDERR_FILENO)
        return 1;
    vg_log_line("not for this file");
    return 0;
}

static void closed_child(void *argument)
{
    setenv("VG_LOG_TEST_FILE", argument, 1);
    close(STDERR_FILENO);
    execl("/proc/self/exe", "test_log", (char *)NULL);
}

static void a_file_in_the_place_of_stderr_is_the_programs(void **state)
{
    (void)state;
    char text[64], path[128];
    struct stat status;
    snprintf(path, sizeof path, "%s/file", scratch);
    assert_int_equal(run_child(closed_child, path, text, sizeof text), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 0);
}

static void terminal_child(void *argument)
{
    const struct winsize size = { .ws_row = 7, .ws_col = 99 };
    (void)argument;
    unsetenv("NO_COLOR");
    CHECK(!vg_log_wants_color()); /* a file */
    CHECK(vg_log_columns() == 0);
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    CHECK(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    CHECK(ioctl(terminal, TIOCSWINSZ, &size) == 0);
    const int side = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    CHECK(dup2(side, STDERR_FILENO) == STDERR_FILENO);
    CHECK(vg_log_wants_color());
    CHECK(vg_log_columns() == 99);
    setenv("NO_COLOR", "", 1);
    CHECK(vg_log_wants_color());
    setenv("NO_COLOR", "1", 1);
    errno = 4711;
    CHECK(!vg_log_wants_color());
    CHECK(errno == 4711);
}

static void terminals_are_known(void **state)
{
    (void)state;
    char text[64];
    assert_int_equal(run_child(terminal_child, NULL, text, sizeof text), 0);
}

int main(void)
{
    if (getenv("VG_LOG_TEST_FILE"))
        return in_program_without_stderr();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_end),
        cmocka_unit_test(each_fault_is_told_once),
        cmocka_unit_test(all_of_a_long_text_is_written),
        cmocka_unit_test(who_never_reads_is_waited_for_once),
        cmocka_unit_test_setup_teardown(a_file_in_the_place_of_stderr_is_the_programs, make_scratch,
                                        remove_scratch),
        cmocka_unit_test(terminals_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
