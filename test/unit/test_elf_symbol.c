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

/* Hashes of System V as others print them, in a table of many buckets. */
static void old_hashes_are_system_vs(void **state)
{
    (void)state;
    enum { BUCKETS = 101, NAMES = 4 };
    static const char strings[] = "\0printf\0exit\0syscall\0flapenguin.me";
    static const uint32_t hashes[NAMES] = { 0x077905a6, 0x0006cf04, 0x0b09985c, 0x03987915 };
    static const uint32_t offsets[NAMES] = { 1, 8, 13, 21 };
    ElfW(Sym) symbols[1 + NAMES] = { { 0 } };
    uint32_t table[2 + BUCKETS + 1 + NAMES] = { BUCKETS, 1 + NAMES };
    for (uint32_t i = 0; i < NAMES; i++) {
        symbols[1 + i] = (ElfW(Sym)){
            .st_name = offsets[i], .st_info = STT_FUNC, .st_shndx = 5, .st_value = 16 * (i + 1)
        };
        assert_int_equal(table[2 + hashes[i] % BUCKETS], 0); /* each has its own */
        table[2 + hashes[i] % BUCKETS] = 1 + i;
    }
    const struct vg_elf_object object = {
        .bias = 0x1000, .symbols = symbols, .strings = strings, .sysv_hash = table
    };
    for (uint32_t i = 0; i < NAMES; i++)
        assert_ptr_equal(vg_elf_symbol(&object, strings + offsets[i]),
                         (void *)(uintptr_t)(0x1000 + 16 * (i + 1)));
}

static void functions_are_told_from_variables(void **state)
{
    (void)state;
    void *const libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
    assert_ptr_equal(vg_elf_function(&libc_object, "getenv"), dlsym(libc, "getenv"));
    assert_null(vg_elf_function(&libc_object, "environ"));
    assert_null(vg_elf_function(&libc_object, "no_such_function"));
    assert_int_equal(vg_elf_symbol_bytes(&libc_object, "environ"), sizeof(char **));
    assert_int_equal(vg_elf_symbol_bytes(&libc_object, "no_such_function"), 0);
}

static void the_object_that_defines_a_name_is_found(void **state)
{
    (void)state;
    struct vg_elf_object found;
    const uintptr_t inside = (uintptr_t)vg_elf_symbol(&libc_object, "getenv");
    assert_int_equal(vg_elf_find_definition("getenv", &found), 0);
    assert_int_equal(found.start, libc_object.start);
    assert_int_equal(vg_elf_find_definition("no_such_function", &found), -ENOENT);
    /* Another one than the C library there is none; than the program there is. */
    assert_int_equal(vg_elf_find_other_definition("getenv", inside, &found), -ENOENT);
    assert_int_equal(vg_elf_find_other_definition("getenv", (uintptr_t)find_libc, &found), 0);
    assert_int_equal(found.start, libc_object.start);
}

/* Made by hand: segments in no order, the last byte of which is in no file. */
static void an_object_reaches_from_its_first_to_its_last_segment(void **state)
{
    (void)state;
    enum { BIAS = 0x500000 };
    static const ElfW(Sym) symbols[1];
    static const char strings[] = "\0lib.so";
    ElfW(Dyn) dynamic[] = { { .d_tag = DT_SYMTAB, .d_un.d_ptr = (uintptr_t)symbols },
                            { .d_tag = DT_STRTAB, .d_un.d_ptr = (uintptr_t)strings },
                            { .d_tag = DT_SONAME, .d_un.d_val = 1 },
                            { .d_tag = DT_NULL } };
    const ElfW(Phdr) headers[] = {
        { .p_type = PT_LOAD, .p_vaddr = 0x2000, .p_filesz = 0x10, .p_memsz = 0x800 },
        { .p_type = PT_LOAD, .p_vaddr = 0x1000, .p_filesz = 0x100, .p_memsz = 0x100 },
        { .p_type = PT_DYNAMIC, .p_vaddr = (uintptr_t)dynamic - BIAS },
    };
    const struct dl_phdr_info info = { .dlpi_addr = BIAS, .dlpi_phdr = headers, .dlpi_phnum = 3 };
    struct vg_elf_object object;
    assert_true(vg_elf_describe(&info, &object));
    assert_int_equal(object.start, BIAS + 0x1000);
    assert_int_equal(object.end, BIAS + 0x2800);
    assert_string_equal(object.soname, "lib.so");
    assert_string_equal(object.path, "");
    dynamic[1].d_tag = DT_NULL; /* no strings, no object */
    assert_false(vg_elf_describe(&info, &object));
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
        cmocka_unit_test(old_hashes_are_system_vs),
        cmocka_unit_test(functions_are_told_from_variables),
        cmocka_unit_test(the_object_that_defines_a_name_is_found),
        cmocka_unit_test(an_object_reaches_from_its_first_to_its_last_segment),
    };
    return cmocka_run_group_tests(tests, find_libc, NULL);
}
