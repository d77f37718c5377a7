/* Looking names up in loaded objects, compared with what the dynamic loader answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include "os/elf_symbol.h"

static struct vg_elf_object libc_object;

static int find_libc(void **state)
{
    (void)state;
    return vg_elf_find_soname("libc.so.6", &libc_object);
}

static void finds_by_soname_and_address(void **state)
{
    (void)state;
    struct vg_elf_object found;
    void *const library = dlopen("libcmocka.so.0", RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(library);
    void *const inside = dlsym(library, "_cmocka_run_group_tests");
    assert_int_equal(vg_elf_find_soname("libcmocka.so.0", &found), 0);
    assert_string_equal(found.soname, "libcmocka.so.0");
    assert_non_null(strstr(found.path, "libcmocka"));
    assert_true((uintptr_t)inside >= found.start && (uintptr_t)inside < found.end);
    struct vg_elf_object again;
    assert_int_equal(vg_elf_find_address((uintptr_t)inside, &again), 0);
    assert_int_equal(again.start, found.start);
    assert_int_equal(vg_elf_find_address(found.end - 1, &again), 0);
    assert_int_equal(again.start, found.start);
    assert_int_equal(vg_elf_find_soname("libcmocka.so", &found), -ENOENT);
    assert_int_equal(vg_elf_find_soname("", &found), 0); /* the program has none */
    assert_int_equal(vg_elf_find_address(1, &found), -ENOENT);
}

/* Names without IFUNC and with one version, so that the loader has one answer. */
static void finds_what_the_loader_finds(void **state)
{
    (void)state;
    const char *const names[] = { "dlsym",  "dlvsym", "open",    "read",
                                  "write",  "close",  "malloc",  "free",
                                  "calloc", "printf", "qsort",   "getenv",
                                  "fork",   "mmap",   "environ", "program_invocation_name" };
    void *const libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    assert_non_null(libc);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void *const wanted = dlsym(libc, names[i]);
        if (vg_elf_symbol(&libc_object, names[i]) != wanted)
            fail_msg("%s is elsewhere", names[i]);
    }
}

static void finds_nothing_that_is_not_there(void **state)
{
    (void)state;
    assert_null(vg_elf_symbol(&libc_object, "no_such_function"));
    assert_null(vg_elf_symbol(&libc_object, ""));
    assert_null(vg_elf_symbol(&libc_object, "dlsy"));
    assert_null(vg_elf_symbol(&libc_object, "dlsymm"));
    assert_null(vg_elf_symbol(&libc_object, "strlen")); /* IFUNC: not resolved */
    struct vg_elf_object cmocka;
    assert_int_equal(vg_elf_find_soname("libcmocka.so.0", &cmocka), 0);
    assert_null(vg_elf_symbol(&cmocka, "malloc")); /* used there, not defined */
}

static void leaves_dlerror_alone(void **state)
{
    (void)state;
    assert_null(dlsym(RTLD_DEFAULT, "no_such_function"));
    assert_null(vg_elf_symbol(&libc_object, "another_one"));
    const char *const text = dlerror();
    assert_non_null(text);
    assert_non_null(strstr(text, "no_such_function"));
    assert_null(vg_elf_symbol(&libc_object, "another_one"));
    assert_null(dlerror());
}

/* A table of the old kind, made by hand: glibc's own libraries have the new one only. */
static void reads_the_old_hash_table_too(void **state)
{
    (void)state;
    static const char strings[] = "\0alpha\0beta\0gamma";
    const ElfW(Sym) symbols[] = {
        { 0 },
        { .st_name = 1, .st_info = STT_FUNC, .st_shndx = 5, .st_value = 0x10 },
        { .st_name = 7, .st_info = STT_OBJECT, .st_shndx = 5, .st_value = 0x20 },
        { .st_name = 12, .st_info = STT_FUNC, .st_shndx = SHN_UNDEF },
    };
    const uint32_t one_bucket[] = { 1, 4, 3, 0, 0, 1, 2 }; /* gamma -> beta -> alpha */
    const struct vg_elf_object object = {
        .bias = 0x1000, .symbols = symbols, .strings = strings, .sysv_hash = one_bucket
    };
    assert_ptr_equal(vg_elf_symbol(&object, "alpha"), (void *)0x1010);
    assert_ptr_equal(vg_elf_symbol(&object, "beta"), (void *)0x1020);
    assert_null(vg_elf_symbol(&object, "gamma"));
    assert_null(vg_elf_symbol(&object, "delta"));
    const uint32_t empty[] = { 0, 0 };
    const struct vg_elf_object nothing = { .symbols = symbols,
                                           .strings = strings,
                                           .sysv_hash = empty };
    assert_null(vg_elf_symbol(&nothing, "alpha"));
    const struct vg_elf_object bare = { .symbols = symbols, .strings = strings };
    assert_null(vg_elf_symbol(&bare, "alpha"));
}

/* Made by hand: segments with a hole between them, and a header that is no segment. */
static void what_lies_in_a_hole_is_not_the_objects(void **state)
{
    (void)state;
    const ElfW(Phdr) headers[] = {
        { .p_type = PT_LOAD, .p_vaddr = 0, .p_memsz = 0x1000 },
        { .p_type = PT_NOTE, .p_vaddr = 0x8000, .p_memsz = 0x1000 },
        { .p_type = PT_LOAD, .p_vaddr = 0x10000, .p_memsz = 0x800 },
    };
    const struct dl_phdr_info info = { .dlpi_addr = 0x500000,
                                       .dlpi_phdr = headers,
                                       .dlpi_phnum = 3 };
    assert_false(vg_elf_covers(&info, 0x4fffff));
    assert_true(vg_elf_covers(&info, 0x500000));
    assert_true(vg_elf_covers(&info, 0x500fff));
    assert_false(vg_elf_covers(&info, 0x501000));
    assert_false(vg_elf_covers(&info, 0x508000));
    assert_true(vg_elf_covers(&info, 0x510000));
    assert_true(vg_elf_covers(&info, 0x5107ff));
    assert_false(vg_elf_covers(&info, 0x510800));
    assert_false(vg_elf_covers(&info, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_by_soname_and_address),
        cmocka_unit_test(finds_what_the_loader_finds),
        cmocka_unit_test(finds_nothing_that_is_not_there),
        cmocka_unit_test(leaves_dlerror_alone),
        cmocka_unit_test(reads_the_old_hash_table_too),
        cmocka_unit_test(what_lies_in_a_hole_is_not_the_objects),
    };
    return cmocka_run_group_tests(tests, find_libc, NULL);
}
