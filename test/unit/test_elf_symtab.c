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
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>

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
    struct stat status;
    const int fd =
        open("/proc/self/exe", O_RDONLY | O_CLOEXEC); /* stat alone may be of an emulator */
    assert_int_equal(fstat(fd, &status), 0);
    close(fd);
    const uint64_t changed_ns =
        (uint64_t)status.st_mtim.tv_sec * 1000000000 + (uint64_t)status.st_mtim.tv_nsec;
    assert_int_equal(vg_elf_symtab_name("/proc/self/exe", changed_ns - 1, &query, 1), -ESTALE);
    assert_int_equal(vg_elf_symtab_name("/proc/self/exe", changed_ns, &query, 1), 0);
    assert_string_equal(query.name, "a_static_function");
}

/* A file with more symbols than are read at a time, 8 bytes each and 16 apart; the last name has no
 * end. */
static void every_symbol_of_a_file_is_looked_at(void **state)
{
    (void)state;
    enum { SYMBOLS = 300, NAME_BYTES = 5 };
    struct {
        ElfW(Ehdr) header;
        ElfW(Shdr) sections[3];
        ElfW(Sym) symbols[SYMBOLS];
        char names[SYMBOLS * NAME_BYTES - 1 + VG_SYMTAB_NAME_CAP];
    } file = { .header = { .e_shoff = sizeof file.header,
                           .e_shentsize = sizeof file.sections[0],
                           .e_shnum = 3 },
               .sections = { { 0 },
                             { .sh_type = SHT_SYMTAB,
                               .sh_offset = offsetof(__typeof__(file), symbols),
                               .sh_size = sizeof file.symbols,
                               .sh_entsize = sizeof file.symbols[0],
                               .sh_link = 2 },
                             { .sh_type = SHT_STRTAB,
                               .sh_offset = offsetof(__typeof__(file), names),
                               .sh_size = SYMBOLS * NAME_BYTES - 1 } } };
    memcpy(file.header.e_ident, ELFMAG, SELFMAG);
    file.header.e_ident[EI_CLASS] = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
    for (unsigned i = 0; i < SYMBOLS; i++) {
        file.symbols[i] = (ElfW(Sym)){ .st_name = i * NAME_BYTES,
                                       .st_info = STT_FUNC,
                                       .st_shndx = 1,
                                       .st_value = 0x1000 + 16 * i,
                                       .st_size = 8 };
        snprintf(file.names + i * NAME_BYTES, NAME_BYTES + 1, "f%03u", i);
    }
    memset(file.names + SYMBOLS * NAME_BYTES - 1, 'x', VG_SYMTAB_NAME_CAP); /* behind the table */
    char path[] = "/tmp/vg-symtab-XXXXXX";
    const int fd = mkstemp(path), next = dup(fd); /* the number that the next descriptor gets */
    assert_int_equal(write(fd, &file, sizeof file), (ssize_t)sizeof file);
    close(next);
    static const unsigned numbers[] = { 0, 127, 128, 255, 256, SYMBOLS - 1 };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        char wanted[16];
        const uint64_t start = 0x1000 + 16 * (uint64_t)numbers[i];
        struct vg_symtab_query queries[3] = { { .value = start },
                                              { .value = start + 7 },
                                              { .value = start + 8 } };
        snprintf(wanted, sizeof wanted, "f%03u", numbers[i]);
        assert_int_equal(vg_elf_symtab_name(path, UINT64_MAX, queries, 3), 0);
        assert_string_equal(queries[0].name, wanted);
        assert_string_equal(queries[1].name, wanted);
        assert_string_equal(queries[2].name, "");
    }
    assert_int_equal(fcntl(next, F_GETFD), -1); /* none is left open */
    close(fd);
    unlink(path);
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
        cmocka_unit_test(every_symbol_of_a_file_is_looked_at),
    };
    (void)a_static_function(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
