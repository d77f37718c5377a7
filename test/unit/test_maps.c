/* The files that a process has mapped: of this one, and of made-up ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core_fixture.h"
#include "os/maps.h"
#include "os/process.h"

enum { KEPT = 8 };

struct kept {
    char paths[KEPT][64];
    struct vg_mapped_file files[KEPT];
    bool identified[KEPT];
    int count, stop_at; /* 0: never */
};

static bool keep(const struct vg_mapping *mapping, void *argument)
{
    struct kept *const kept = argument;
    assert_true(kept->count < KEPT);
    assert_non_null(mapping->path);
    snprintf(kept->paths[kept->count], sizeof kept->paths[0], "%s", mapping->path);
    kept->identified[kept->count] = vg_maps_identify(mapping, &kept->files[kept->count]);
    return ++kept->count != kept->stop_at;
}

static int fake_proc(void **state)
{
    if (make_scratch(state) != 0 || mkdir(in_scratch("41"), 0700) != 0)
        return -1;
    vg_process_proc_root = scratch;
    return 0;
}

static int end_fake_proc(void **state)
{
    vg_process_proc_root = "/proc";
    return remove_scratch(state);
}

static void put_maps(const char *text, int times, const char *end)
{
    FILE *const file = fopen(in_scratch("41/maps"), "w");
    assert_non_null(file);
    while (times-- > 0)
        fputs(text, file);
    fputs(end, file);
    fclose(file);
}

#define LIBRARY "7f00-7f01 r-xp 00000000 fd:1a 4711    /usr/lib/libx.so\n"
#define PLAIN   "7f02-7f03 rw-p 00000000 00:00 0 \n7f04-7f05 rw-p 00000000 00:00 0    [heap]\n"
#define DELETED "7f06-7f07 r--s 00000000 00:05 0    /memfd:x (deleted)\n"

static void files_have_names_and_numbers(void **state)
{
    (void)state;
    struct kept kept = { .count = 0 };
    put_maps(LIBRARY, 1, PLAIN DELETED "7f08-7f09 rw-p 00000000 08:01 5    /no/end");
    assert_int_equal(vg_maps_each(41, keep, &kept), 0);
    assert_int_equal(kept.count, 2); /* a line without its end is none */
    assert_string_equal(kept.paths[0], "/usr/lib/libx.so");
    assert_true(kept.identified[0]);
    assert_int_equal(kept.files[0].inode, 4711);
    assert_int_equal(kept.files[0].device_major, 0xfd);
    assert_int_equal(kept.files[0].device_minor, 0x1a);
    assert_string_equal(kept.paths[1], "/memfd:x (deleted)");
    assert_false(kept.identified[1]);
}

static void a_visit_can_end_it(void **state)
{
    (void)state;
    struct kept kept = { .stop_at = 2 };
    put_maps(LIBRARY, 1000, ""); /* much more than is read at a time */
    assert_int_equal(vg_maps_each(41, keep, &kept), 0);
    assert_int_equal(kept.count, 2);
}

static bool count_libraries(const struct vg_mapping *mapping, void *argument)
{
    assert_string_equal(mapping->path, "/usr/lib/libx.so");
    ++*(int *)argument;
    return true;
}

/* More than is read at a time, in lines of which some lie across two pieces. */
static void no_line_is_lost_between_pieces(void **state)
{
    (void)state;
    int count = 0;
    put_maps(LIBRARY PLAIN, 1000, "");
    assert_int_equal(vg_maps_each(41, count_libraries, &count), 0);
    assert_int_equal(count, 1000);
}

static void long_lines_are_left_out(void **state)
{
    (void)state;
    static char lengthy[9000];
    int count = 0;
    memset(lengthy, '/', sizeof lengthy - 2);
    lengthy[sizeof lengthy - 2] = '\n';
    for (size_t length = 4000; length < sizeof lengthy; length += 500) {
        count = 0;
        put_maps(lengthy + sizeof lengthy - 1 - length, length > 4096, LIBRARY);
        assert_int_equal(vg_maps_each(41, count_libraries, &count), 0);
        assert_int_equal(count, 1);
    }
}

static void errors_are_told(void **state)
{
    (void)state;
    int count = 0;
    const int next = dup(STDOUT_FILENO); /* the number that the next descriptor gets */
    close(next);
    assert_int_equal(vg_maps_each(42, count_libraries, &count), -ENOENT);
    put_maps(LIBRARY, 1, "");
    assert_int_equal(vg_maps_each(41, count_libraries, &count), 0);
    assert_int_equal(fcntl(next, F_GETFD), -1); /* none is left open */
}

static struct stat own;

static bool find_own(const struct vg_mapping *mapping, void *argument)
{
    struct vg_mapped_file file;
    if (vg_maps_identify(mapping, &file) && file.inode == own.st_ino)
        *(bool *)argument = true;
    return true;
}

static void the_own_program_is_mapped(void **state)
{
    (void)state;
    bool found[2] = { false, false };
    const int fd =
        open("/proc/self/exe", O_RDONLY | O_CLOEXEC); /* stat alone may be of an emulator */
    assert_int_equal(fstat(fd, &own), 0);
    close(fd);
    assert_int_equal(vg_maps_each(0, find_own, &found[0]), 0);
    assert_int_equal(vg_maps_each(getpid(), find_own, &found[1]), 0);
    assert_true(found[0] && found[1]);
}

#define FAKE(name) cmocka_unit_test_setup_teardown(name, fake_proc, end_fake_proc)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FAKE(files_have_names_and_numbers),
        FAKE(a_visit_can_end_it),
        FAKE(no_line_is_lost_between_pieces),
        FAKE(long_lines_are_left_out),
        FAKE(errors_are_told),
        cmocka_unit_test(the_own_program_is_mapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
