/* What an object imports, by its own tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>

#include "base/text.h"
#include "core_fixture.h"
#include "os/elf_import.h"
#include "os/elf_imports.h"

struct wanted {
    const char *name;
    const void *bound;
    unsigned count;
};

static bool note(const char *name, const void *bound, void *argument)
{
    struct wanted *const wanted = argument;
    if (strcmp(name, wanted->name) == 0) {
        wanted->bound = bound;
        wanted->count++;
    }
    return false;
}

static void look_for(struct wanted *wanted)
{
    struct link_map *map;
    assert_int_equal(dlinfo(dlopen(NULL, RTLD_NOW), RTLD_DI_LINKMAP, &map), 0);
    vg_elf_each_import(map->l_addr, map->l_ld, note, wanted);
}

static void what_is_called_is_imported(void **state)
{
    (void)state;
    struct wanted parent = { .name = "getppid" }, never = { .name = "getpgid" };
    assert_true(getppid() >= 0);
    look_for(&parent);
    look_for(&never);
    assert_int_equal(parent.count, 1);
    assert_ptr_equal(parent.bound, dlsym(dlopen("libc.so.6", RTLD_NOW), "getppid"));
    assert_int_equal(never.count, 0);
}

static void variables_are_no_functions(void **state)
{
    (void)state;
    struct wanted variable = { .name = "stdout" }, function = { .name = "free" };
    struct link_map *map;
    void *const library = dlopen("libcmocka.so.0", RTLD_NOW | RTLD_NOLOAD);
    assert_int_equal(dlinfo(library, RTLD_DI_LINKMAP, &map), 0);
    vg_elf_each_import(map->l_addr, map->l_ld, note, &variable);
    vg_elf_each_import(map->l_addr, map->l_ld, note, &function);
    assert_int_equal(variable.count, 0);
    assert_int_equal(function.count, 1);
}

/* All that /proc tells of the program's own mappings. */
static void read_mappings(char *out, size_t cap)
{
    char path[256], line[512];
    struct vg_text text = vg_text_over(out, cap);
    FILE *const file = fopen("/proc/self/maps", "r");
    assert_non_null(file);
    const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    assert_true(length > 0);
    path[length] = '\0';
    while (fgets(line, sizeof line, file))
        if (strstr(line, path))
            vg_text_add(&text, line);
    fclose(file);
}

static pid_t no_parent(void)
{
    return 4711;
}

static int no_end(int status)
{
    return status;
}

static void an_import_is_replaced(void **state)
{
    (void)state;
    static char before[4096], after[4096];
    static const int inside;
    const pid_t parent = getppid();
    read_mappings(before, sizeof before);
    assert_int_equal(vg_elf_replace_import(&inside, "getppid", (void *)(uintptr_t)no_parent), 1);
    assert_int_equal(getppid(), 4711);
    void *const libcs = dlsym(dlopen("libc.so.6", RTLD_NOW), "getppid");
    assert_int_equal(vg_elf_replace_import(&inside, "getppid", libcs), 1);
    assert_int_equal(getppid(), parent);
    read_mappings(after, sizeof after);
    assert_string_equal(after, before); /* what was read-only is so again */
}

/* Not called by its name: its address is read, from a table that the loader makes read-only. */
static pid_t (*volatile read_function)(void);

static __attribute__((noinline)) pid_t call_read(void)
{
    read_function = getpgrp;
    return read_function();
}

static void an_address_that_is_read_is_replaced(void **state)
{
    (void)state;
    static char before[4096], after[4096];
    static const int inside;
    const pid_t group = call_read();
    read_mappings(before, sizeof before);
    assert_int_equal(vg_elf_replace_import(&inside, "getpgrp", (void *)(uintptr_t)no_parent), 1);
    read_mappings(after, sizeof after);
    assert_int_equal(call_read(), 4711);
    assert_string_equal(after, before); /* what was read-only is so again */
    void *const libcs = dlsym(dlopen("libc.so.6", RTLD_NOW), "getpgrp");
    assert_int_equal(vg_elf_replace_import(&inside, "getpgrp", libcs), 1);
    assert_int_equal(call_read(), group);
}

static void what_is_no_import_is_not_replaced(void **state)
{
    (void)state;
    static const int inside;
    int outside;
    void *const function = (void *)(uintptr_t)no_end;
    assert_int_equal(vg_elf_replace_import(&inside, "getpgid", function), 0);
    assert_int_equal(vg_elf_replace_import(&outside, "getppid", function), -ENOENT);
    /* The C library defines it itself, whatever table it calls it through. */
    void *const libc = dlopen("libc.so.6", RTLD_NOW), *const own = dlsym(libc, "free");
    assert_int_equal(vg_elf_replace_import(dlsym(libc, "qsort"), "free", own), 0);
}

static bool stop(const char *name, const void *bound, void *argument)
{
    (void)name, (void)bound;
    ++*(unsigned *)argument;
    return true;
}

static void a_visit_can_end_it(void **state)
{
    (void)state;
    struct link_map *map;
    unsigned count = 0;
    assert_int_equal(dlinfo(dlopen(NULL, RTLD_NOW), RTLD_DI_LINKMAP, &map), 0);
    assert_true(vg_elf_each_import(map->l_addr, map->l_ld, stop, &count));
    assert_int_equal(count, 1);
}

static const char hidden_word[] = "a word that only this program has";

static int look_in_program(struct dl_phdr_info *info, size_t size, void *argument)
{
    (void)size;
    char other[sizeof hidden_word];
    memcpy(other, hidden_word, sizeof other);
    other[2] = (char)(other[2] + 1);
    bool *const found = argument;
    found[0] = vg_elf_contains(info, hidden_word, sizeof hidden_word - 1);
    found[1] = vg_elf_contains(info, other, sizeof other - 1);
    return 1; /* the program is the first */
}

/* A segment is looked through from end to end, over what AddressSanitizer put between constants. */
const char *__asan_default_options(void);
__attribute__((visibility("default"))) const char *__asan_default_options(void)
{
    return "intercept_memmem=0";
}

static void constants_are_found(void **state)
{
    (void)state;
    bool found[2] = { false, true };
    dl_iterate_phdr(look_in_program, found);
    assert_true(found[0]);
    assert_false(found[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_called_is_imported),
        cmocka_unit_test(variables_are_no_functions),
        cmocka_unit_test(an_import_is_replaced),
        cmocka_unit_test(an_address_that_is_read_is_replaced),
        cmocka_unit_test(what_is_no_import_is_not_replaced),
        cmocka_unit_test(a_visit_can_end_it),
        cmocka_unit_test(constants_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
