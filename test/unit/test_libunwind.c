/* libunwind as it is used here: it tries memory, and no descriptor is made or used for that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>

#include "core_fixture.h"
#include "hostile/jit.h"
#include "os/elf_import.h"
#include "os/mapped.h"
#include "unwind/libunwind.h"

enum { FRAMES = 64 };

static vg_backtrace_function capture;
static void *frames[FRAMES];
static int captured;

static __attribute__((noinline)) void capture_here(void)
{
    captured = capture(frames, FRAMES);
}

static bool has_frame_in(uintptr_t start, uintptr_t end)
{
    for (int i = 0; i < captured; i++)
        if ((uintptr_t)frames[i] >= start && (uintptr_t)frames[i] < end)
            return true;
    return false;
}

static int open_descriptors(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static void test_memory_is_tried(void **state)
{
    (void)state;
    char *const pages = mmap(NULL, 3 * 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(pages != MAP_FAILED);
    assert_int_equal(mprotect(pages + 4096, 4096, PROT_NONE), 0);
    assert_int_equal(munmap(pages + 2 * 4096, 4096), 0);
    sigset_t before, after;
    memset(&before, 0, sizeof before);
    memset(&after, 0, sizeof after);
    sigprocmask(SIG_SETMASK, NULL, &before);
    errno = 77;
    assert_true(vg_is_readable(pages));
    assert_true(vg_is_readable(pages + 4095));
    assert_false(vg_is_readable(pages + 4096));
    assert_false(vg_is_readable(pages + 2 * 4096));
    assert_false(vg_is_readable(NULL));
    assert_false(vg_is_readable((const void *)UINTPTR_MAX));
    assert_int_equal(errno, 77);
    sigprocmask(SIG_SETMASK, NULL, &after);
    assert_memory_equal(&before, &after, sizeof before);
    munmap(pages, 2 * 4096);
}

/* The caller of code without unwind tables is found by a guess at its frame, which is tried. */
static void test_through_code_without_tables(void **state)
{
    (void)state;
    const char *why = NULL;
    jit_function *const through = make_jit_function();
    const int before = open_descriptors();
    capture = vg_libunwind_open(&why); /* it would make its pipe here already */
    if (!capture || !through) {
        print_message("skipped: %s\n", capture ? "no such code for this machine"
                                       : why   ? why
                                               : "no libunwind.so.8");
        skip();
    }
    through(capture_here);
    assert_int_equal(open_descriptors(), before);
    assert_true(has_frame_in((uintptr_t)through, (uintptr_t)through + 64));
    const uintptr_t own = (uintptr_t)&test_through_code_without_tables;
    assert_true(has_frame_in(own, own + 4096));
}

static pid_t stand_in(void)
{
    return 4711;
}

/* This program's own import of a function, which no other object's is. */
static void test_imports_of_one_object(void **state)
{
    (void)state;
    assert_int_not_equal(getppid(), 4711);
    assert_int_equal(vg_elf_replace_import((const void *)(uintptr_t)&stand_in, "no_such_import",
                                           (void *)(uintptr_t)&stand_in),
                     0);
    assert_true(vg_elf_replace_import((const void *)(uintptr_t)&stand_in, "getppid",
                                      (void *)(uintptr_t)&stand_in) > 0);
    assert_int_equal(getppid(), 4711);
    pid_t (*real)(void);
    *(void **)&real = dlsym(RTLD_DEFAULT, "getppid");
    assert_int_not_equal(real(), 4711);
    assert_int_equal(vg_elf_replace_import(NULL, "getppid", (void *)(uintptr_t)&stand_in), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_tried),
        cmocka_unit_test(test_through_code_without_tables),
        cmocka_unit_test(test_imports_of_one_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
