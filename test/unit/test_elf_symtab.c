/* Names of functions that no dynamic symbol tells. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <errno.h>
#include <link.h>

#include <cmocka.h>

#include "os/elf_symtab.h"

static __attribute__((noinline)) int a_static_function(int value)
{
    __asm__ volatile("");
    return value + 1;
}

static int take_bias(struct dl_phdr_info *info, size_t size, void *argument)
{
    (void)size;
    *(uint64_t *)argument = info->dlpi_addr;
    return 1; /* the first one is the program */
}

static uint64_t value_of(int (*function)(int))
{
    uint64_t bias = 0;
    dl_iterate_phdr(take_bias, &bias);
    return (uint64_t)(uintptr_t)function - bias;
}

static void a_static_function_has_its_name(void **state)
{
    (void)state;
    struct vg_symtab_query queries[2] = { { .value = value_of(a_static_function) + 2 },
                                          { .value = 1 } };
    errno = 77;
    assert_int_equal(vg_elf_symtab_name("/proc/self/exe", UINT64_MAX, queries, 2), 0);
    assert_int_equal(errno, 77);
    assert_string_equal(queries[0].name, "a_static_function");
    assert_string_equal(queries[1].name, "");
}

static void a_newer_file_is_not_trusted(void **state)
{
    (void)state;
    struct vg_symtab_query query = { .value = value_of(a_static_function) };
    assert_int_equal(vg_elf_symtab_name("/proc/self/exe", 1, &query, 1), -ESTALE);
    assert_string_equal(query.name, "");
}

/* Every cut and every flipped byte of the headers ends well. */
static void damaged_files_end_in_an_error_or_a_name(void **state)
{
    (void)state;
    static unsigned char whole[1 << 20];
    char path[] = "/tmp/vg-symtab-XXXXXX";
    FILE *const exe = fopen("/proc/self/exe", "rb");
    assert_non_null(exe);
    const size_t size = fread(whole, 1, sizeof whole, exe);
    fclose(exe);
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    srand(7);
    for (int round = 0; round < 400; round++) {
        struct vg_symtab_query query = { .value = value_of(a_static_function) };
        const size_t length = round < 100 ? size * (size_t)round / 100 : size;
        const size_t at = round < 100 ? 0 : (size_t)rand() % 64;
        const unsigned char before = whole[at];
        whole[at] = round < 100 ? before : (unsigned char)rand();
        assert_int_equal(ftruncate(fd, 0), 0);
        assert_int_equal(pwrite(fd, whole, length, 0), (ssize_t)length);
        whole[at] = before;
        const int error = vg_elf_symtab_name(path, UINT64_MAX, &query, 1);
        assert_true(error <= 0);
        assert_true(memchr(query.name, '\0', sizeof query.name) != NULL);
    }
    close(fd);
    unlink(path);
}

static void what_is_no_object_is_refused(void **state)
{
    (void)state;
    struct vg_symtab_query query = { .value = 4096 };
    assert_int_equal(vg_elf_symtab_name("/etc/passwd", UINT64_MAX, &query, 1), -ENOEXEC);
    assert_int_equal(vg_elf_symtab_name("/dev/null", UINT64_MAX, &query, 1), -ENOEXEC);
    assert_int_equal(vg_elf_symtab_name("/nonexistent", UINT64_MAX, &query, 1), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_static_function_has_its_name),
        cmocka_unit_test(a_newer_file_is_not_trusted),
        cmocka_unit_test(damaged_files_end_in_an_error_or_a_name),
        cmocka_unit_test(what_is_no_object_is_refused),
    };
    (void)a_static_function(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
