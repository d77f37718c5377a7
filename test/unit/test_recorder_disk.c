/* The recorder file's writer where there is no file, or no room for it to grow: the process goes
 * on, and is told in one line. In a child each: what is wrong is attempt once a process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "child.h"
#include "os/process.h"
#include "recorder_fixture.h"

/* Path of `name` in the test's folder, for as long as the test runs. */
static char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", scratch, name);
    return path;
}

/* One line was attempt, and `what` is in it. */
static void expect_one_line(const char *what)
{
    assert_int_equal(line_count(attempt), 1);
    assert_non_null(strstr(attempt, what));
}

static void use_without_a_file(void)
{
    CHECK(recorder.path[0] == '\0');
    CHECK(use_slots(100000));
    for (uint64_t i = 0; i < 2000; i++)
        CHECK(stack_of(i, 20) == i + 1);
    CHECK(recorder.header->live_slots == 100000);
    vg_recorder_finish(&recorder, 3);
    CHECK(recorder.header->exit_status == 3);
}

static void unwritable_folder_child(void *argument)
{
    setenv("XDG_STATE_HOME", argument, 1);
    CHECK(open_at("") == 0);
    use_without_a_file();
}

static void unwritable_folder_is_one_line(void **state)
{
    (void)state;
    char *const place = path_of("file/below");
    fclose(fopen(in_scratch("file"), "w"));
    in_child_with(unwritable_folder_child, place);
    expect_one_line(place);
    expect_one_line("Not a directory");
}

static void limit_file_size(rlim_t bytes)
{
    const struct rlimit limit = { .rlim_cur = bytes, .rlim_max = bytes };
    signal(SIGXFSZ, SIG_DFL);
    CHECK(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

static void no_room_for_the_header_child(void *argument)
{
    limit_file_size(4096);
    CHECK(open_at(argument) == 0);
    CHECK(access(argument, F_OK) != 0); /* nothing is left behind */
    use_without_a_file();
}

static void no_room_for_the_header(void **state)
{
    (void)state;
    char *const path = path_of("limited");
    in_child_with(no_room_for_the_header_child, path);
    expect_one_line(path);
    expect_one_line("File too large");
}

/* Goes on beyond what the file can hold: nothing is lost to the process. */
static void outgrow_the_file(void)
{
    enum { SLOTS = 100000 };
    CHECK(use_slots(SLOTS));
    for (uint64_t i = 0; i < 3000; i++)
        CHECK(stack_of(i, 30) == i + 1);
    for (uint64_t i = 0; i < SLOTS; i++)
        CHECK(recorder.slots[i].address == (i + 1) * 512);
    for (uint32_t id = 1; id <= 3000; id++) {
        const struct vg_journal_stack *const stack = vg_recorder_stack_record(&recorder, id);
        CHECK(stack && stack->depth == 30);
        CHECK(stack->frames[29] == 0x400000 + (id - 1) * 64 + 29);
    }
    CHECK(recorder.header->memory_only == 1);
}

static void check_outgrown_record(const char *path, uint64_t most_bytes)
{
    struct record record;
    uint64_t bytes;
    assert_true(read_record(path, &record));
    assert_true(record.size_bytes <= most_bytes);
    assert_int_equal(record.header->memory_only, 1);
    assert_true(record.header->live_slots >= 100000);
    assert_int_equal(count_live(&record, &bytes),
                     record.area_bytes[VG_AREA_LIVE] / sizeof(struct vg_live_slot));
    free_record(&record);
}

static void file_size_limit_child(void *argument)
{
    limit_file_size(300 * 1024);
    CHECK(open_at(argument) == 0);
    outgrow_the_file();
}

static void file_size_limit_on_growth(void **state)
{
    (void)state;
    char *const path = path_of("limited");
    in_child_with(file_size_limit_child, path);
    expect_one_line("File too large");
    check_outgrown_record(path, 300 * 1024);
}

static void full_disk_child(void *argument)
{
    CHECK(open_at(argument) == 0);
    outgrow_the_file();
    /* The file system goes with this process. */
    struct record record;
    CHECK(read_record(argument, &record));
    CHECK(record.header->memory_only == 1 && record.area_bytes[VG_AREA_LIVE] > 0);
    free_record(&record);
}

static void mount_small(void *argument)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", scratch, "tmpfs", 0, "size=512k") != 0)
        _exit(77);
    full_disk_child(argument);
}

static void full_disk_on_growth(void **state)
{
    (void)state;
    const int status = run_child(mount_small, path_of("full"), attempt, sizeof attempt);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        print_message("skipped: this machine does not let us mount a file system of our own\n");
        skip();
    }
    assert_int_equal(status, 0);
    expect_one_line("No space left on device");
}

static void deleted_file_child(void *argument)
{
    CHECK(open_at(argument) == 0);
    CHECK(use_slots(1));
    CHECK(unlink(argument) == 0);
    outgrow_the_file();
    CHECK(access(argument, F_OK) != 0); /* and not made again */
}

static void deleted_file_goes_on_in_memory(void **state)
{
    (void)state;
    in_child_with(deleted_file_child, path_of("deleted"));
    assert_int_equal(line_count(attempt), 1);
}

static void replaced_file_child(void *argument)
{
    CHECK(open_at(argument) == 0);
    CHECK(use_slots(1));
    FILE *const other = fopen(in_scratch("other"), "w");
    fputs("precious", other);
    fclose(other);
    CHECK(rename(in_scratch("other"), argument) == 0);
    outgrow_the_file();
}

static void file_in_our_place_is_left_alone(void **state)
{
    (void)state;
    char content[32], *const path = path_of("replaced");
    in_child_with(replaced_file_child, path);
    assert_int_equal(line_count(attempt), 1);
    assert_int_equal(vg_process_read_file(path, content, sizeof content), 8);
    assert_string_equal(content, "precious");
}

/* Stands in for the C library's: allocating blocks can be interrupted by a signal on file systems
 * that take their time (tmpfs before Linux 6.7). */
static int interruptions;

int posix_fallocate(int fd, off_t offset, off_t length)
{
    if (interruptions > 0) {
        interruptions--;
        return EINTR;
    }
    return fallocate(fd, 0, offset, length) == 0 ? 0 : errno;
}

static void interrupted_child(void *argument)
{
    interruptions = 1;
    CHECK(open_at(argument) == 0);
    CHECK(recorder.path[0] != '\0');
    interruptions = 3;
    CHECK(use_slots(5000));
    CHECK(recorder.header->memory_only == 0);
}

static void growth_survives_a_signal(void **state)
{
    (void)state;
    in_child_with(interrupted_child, path_of("interrupted"));
    assert_string_equal(attempt, "");
}

#define DISK_TEST(name) cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DISK_TEST(unwritable_folder_is_one_line),  DISK_TEST(no_room_for_the_header),
        DISK_TEST(file_size_limit_on_growth),      DISK_TEST(full_disk_on_growth),
        DISK_TEST(deleted_file_goes_on_in_memory), DISK_TEST(file_in_our_place_is_left_alone),
        DISK_TEST(growth_survives_a_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
