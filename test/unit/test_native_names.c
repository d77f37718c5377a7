/* Names of native frames: many at once, more than there is room for, and those of no object. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#include "analyze/native_names.h"

static struct vg_native_names names;
static struct vg_region region;
static uint64_t started_ns = UINT64_MAX; /* no file is newer */

static int clear(void **state)
{
    (void)state;
    vg_region_release(&region);
    vg_native_names_clear(&names, &region, started_ns);
    return 0;
}

static struct vg_run_frame named(uint64_t address)
{
    struct vg_run_frame frame;
    memset(&frame, 0x55, sizeof frame);
    vg_native_names_get(&names, address, &frame);
    assert_int_equal(frame.address, address);
    assert_int_equal(frame.flags, 0);
    return frame;
}

static uint64_t function_at(const char *library, const char *function, Dl_info *info)
{
    void *const address = dlsym(dlopen(library, RTLD_NOW), function);
    assert_non_null(address);
    assert_int_not_equal(dladdr(address, info), 0);
    return (uintptr_t)address;
}

static void names_module_and_function(void **state)
{
    (void)state;
    Dl_info info;
    const uint64_t start = function_at("libm.so.6", "nexttoward", &info);
    const struct vg_run_frame frame = named(start + 1);
    assert_string_equal(frame.module, "libm.so.6");
    assert_string_equal(frame.function, info.dli_sname);
    assert_int_equal(frame.module_offset, start + 1 - (uintptr_t)info.dli_fbase);
    assert_string_equal(frame.file, "");
    assert_int_equal(frame.line, 0);
}

/* Code before the first return address of a function belongs to who stands before it. */
static void an_address_is_where_a_call_returns_to(void **state)
{
    (void)state;
    Dl_info info;
    ElfW(Sym) * symbol;
    const uint64_t start = function_at("libm.so.6", "nexttoward", &info);
    assert_int_not_equal(dladdr1((void *)(uintptr_t)start, &info, (void **)&symbol, RTLD_DL_SYMENT),
                         0);
    assert_string_equal(named(start + symbol->st_size).function, info.dli_sname);
    assert_string_not_equal(named(start).function, info.dli_sname);
}

/* Its first argument is another (main). */
static void the_program_has_the_name_of_its_file(void **state)
{
    (void)state;
    assert_string_equal(named((uintptr_t)clear + 1).module, "test_native_names");
}

static __attribute__((noinline)) uint64_t own_function(void)
{
    return (uintptr_t)__builtin_return_address(0);
}

/* This program does not export its functions. */
static void functions_that_are_not_exported_are_named_from_the_file(void **state)
{
    (void)state;
    assert_string_equal(named((uintptr_t)own_function + 1).function, "own_function");
    assert_string_equal(named(own_function()).function,
                        "functions_that_are_not_exported_are_named_from_the_file");
    started_ns = 1; /* the file is newer than the process: it may be another */
    clear(state);
    assert_string_equal(named((uintptr_t)own_function + 1).function, "");
    started_ns = UINT64_MAX;
}

static void what_is_in_no_object_keeps_its_address(void **state)
{
    (void)state;
    const struct vg_run_frame frame = named(0x1234);
    assert_string_equal(frame.module, "");
    assert_string_equal(frame.function, "");
    assert_int_equal(frame.module_offset, 0x1234);
}

static void other_namespaces_are_known_too(void **state)
{
    (void)state;
    void *const library = dlmopen(LM_ID_NEWLM, "libm.so.6", RTLD_NOW);
    assert_non_null(library);
    void *const address = dlsym(library, "nexttoward");
    Dl_info here;
    assert_int_not_equal((uintptr_t)address, function_at("libm.so.6", "nexttoward", &here));
    const struct vg_run_frame frame = named((uintptr_t)address + 1);
    assert_string_equal(frame.module, "libm.so.6");
    assert_string_equal(frame.function, here.dli_sname);
}

static void an_address_is_looked_up_once(void **state)
{
    (void)state;
    Dl_info info;
    const uint64_t start = function_at("libc.so.6", "qsort", &info);
    for (int i = 0; i < 3; i++) {
        vg_native_names_add(&names, start + 1);
        vg_native_names_add(&names, start + 2);
        assert_string_equal(named(start + 1).function, "qsort");
    }
    assert_int_equal(names.count, 2);
}

/* In any order, asked for before others are noted and after, and some twice. */
static void more_than_there_is_room_for(void **state)
{
    (void)state;
    enum { COUNT = 3 * VG_NATIVE_NAMES };
    Dl_info info;
    const uint64_t start = function_at("libc.so.6", "qsort", &info);
    for (uint64_t i = 0; i < COUNT; i++) {
        const uint64_t address = start + i * 7919 % 65536;
        if (i % 3)
            vg_native_names_add(&names, start + (i + 5) * 7919 % 65536);
        const struct vg_run_frame frame = named(address);
        assert_int_not_equal(dladdr((void *)(uintptr_t)(address - 1), &info), 0);
        assert_string_equal(frame.module, "libc.so.6");
        assert_string_equal(frame.function, info.dli_sname ? info.dli_sname : "");
        assert_int_equal(frame.module_offset, address - (uintptr_t)info.dli_fbase);
    }
    assert_int_equal(names.count, VG_NATIVE_NAMES);
    const struct vg_run_frame again = named(start + 7919);
    assert_string_equal(again.module, "libc.so.6");
    vg_native_names_clear(&names, &region, started_ns);
    assert_string_equal(named(start + 1).function, "qsort");
}

int main(int argc, char **argv)
{
    static char other_name[] = "/bin/something_else";
    if (argc > 0 && strcmp(argv[0], other_name) != 0)
        execl("/proc/self/exe", other_name, (char *)NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(names_module_and_function, clear),
        cmocka_unit_test_setup(an_address_is_where_a_call_returns_to, clear),
        cmocka_unit_test_setup(the_program_has_the_name_of_its_file, clear),
        cmocka_unit_test_setup(functions_that_are_not_exported_are_named_from_the_file, clear),
        cmocka_unit_test_setup(what_is_in_no_object_keeps_its_address, clear),
        cmocka_unit_test_setup(other_namespaces_are_known_too, clear),
        cmocka_unit_test_setup(an_address_is_looked_up_once, clear),
        cmocka_unit_test_setup(more_than_there_is_room_for, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
