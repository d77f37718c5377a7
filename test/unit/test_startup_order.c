/* The libraries of the program's start: in their order, and no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/startup_order.h"

/* Also a function of the C library, which stands behind this program. */
int getdomainname(char *name, size_t length);
__attribute__((visibility("default"))) int getdomainname(char *name, size_t length)
{
    (void)name, (void)length;
    return 4711;
}

struct seen {
    bool program, libc, cmocka, later;
    unsigned count;
};

static bool note(const struct vg_elf_object *object, void *argument)
{
    struct seen *const seen = argument;
    seen->count++;
    seen->program |= vg_elf_symbol(object, "getdomainname") == (void *)(uintptr_t)getdomainname;
    seen->libc |= vg_startup_is_libc(object) && strcmp(object->soname, "libc.so.6") == 0;
    seen->cmocka |= strcmp(object->soname, "libcmocka.so.0") == 0;
    seen->later |= strcmp(object->soname, "libanl.so.1") == 0;
    return false;
}

static void what_comes_later_is_not_of_the_start(void **state)
{
    (void)state;
    struct seen before = { .count = 0 }, after = { .count = 0 };
    assert_true(vg_startup_is_all());
    assert_false(vg_startup_each_behind(note, &before));
    assert_true(before.libc && before.cmocka);
    assert_false(before.program); /* it is not behind itself */
    assert_non_null(dlopen("libanl.so.1", RTLD_NOW));
    assert_false(vg_startup_is_all());
    assert_false(vg_startup_each_behind(note, &after));
    assert_false(after.later);
    assert_int_equal(after.count, before.count);
}

static bool stop(const struct vg_elf_object *object, void *argument)
{
    (void)object;
    ++*(unsigned *)argument;
    return true;
}

static void a_visit_can_end_it(void **state)
{
    (void)state;
    unsigned count = 0;
    assert_true(vg_startup_each_behind(stop, &count));
    assert_int_equal(count, 1);
}

static void the_next_function_is_behind_this_one(void **state)
{
    (void)state;
    void *const libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    assert_ptr_equal(vg_startup_next_function("getdomainname"), dlsym(libc, "getdomainname"));
    assert_ptr_equal(vg_startup_next_function("getppid"), dlsym(libc, "getppid"));
    assert_null(vg_startup_next_function("no_such_function"));
}

/* Before glibc 2.34 the two functions are in a library of their own. */
static void *in_libc(const char *function)
{
    void *const libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    void *const found = dlsym(libc, function);
    return found ? found : dlsym(dlopen("libdl.so.2", RTLD_NOW | RTLD_NOLOAD), function);
}

static void dlsym_is_libcs(void **state)
{
    (void)state;
    assert_non_null(in_libc("dlsym"));
    for (int round = 0; round < 2; round++) { /* the second time it is remembered */
        assert_ptr_equal(vg_startup_next_dlsym(), in_libc("dlsym"));
        assert_ptr_equal(vg_startup_next_dlvsym(), in_libc("dlvsym"));
    }
    assert_ptr_equal(vg_startup_libc_function("dlsym"), in_libc("dlsym"));
}

static void parts_of_libc_are_known(void **state)
{
    (void)state;
    static const struct {
        const char *soname;
        bool is_libc;
    } cases[] = { { "libc.so.6", true },  { "libdl.so.2", true }, { "ld-linux-x86-64.so.2", true },
                  { "libm.so.6", false }, { "", false },          { "libcuda.so.1", false } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct vg_elf_object object = { .soname = cases[i].soname };
        assert_int_equal(vg_startup_is_libc(&object), cases[i].is_libc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_comes_later_is_not_of_the_start),
        cmocka_unit_test(a_visit_can_end_it),
        cmocka_unit_test(the_next_function_is_behind_this_one),
        cmocka_unit_test(dlsym_is_libcs),
        cmocka_unit_test(parts_of_libc_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
