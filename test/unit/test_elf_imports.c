/* What an object imports, by its own tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <dlfcn.h>

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
        cmocka_unit_test(a_visit_can_end_it),
        cmocka_unit_test(constants_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
