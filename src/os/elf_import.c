#include "os/elf_import.h"

#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/elf_symbol.h"
#include "os/loader.h"

/* Relocations that fill in the address of an imported function: a slot that calls go through, and a
 * slot that the address is loaded from. */
static bool names_function(uint64_t info)
{
#if defined(__x86_64__)
    return ELF64_R_TYPE(info) == R_X86_64_JUMP_SLOT || ELF64_R_TYPE(info) == R_X86_64_GLOB_DAT;
#elif defined(__aarch64__)
    return ELF64_R_TYPE(info) == R_AARCH64_JUMP_SLOT || ELF64_R_TYPE(info) == R_AARCH64_GLOB_DAT;
#else
    (void)info;
    return false;
#endif
}

struct replacement {
    uintptr_t inside;
    const char *symbol;
    uintptr_t function;
    uintptr_t read_only_start, read_only_end; /* what the loader protects: PT_GNU_RELRO */
    int result;
};

static int store_function(const struct replacement *wanted, uintptr_t *slot)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)slot & ~(page - 1);
    const bool is_read_only = start >= (wanted->read_only_start & ~(page - 1)) &&
                              (uintptr_t)slot < (wanted->read_only_end & ~(page - 1));
    if (is_read_only && mprotect((void *)start, page, PROT_READ | PROT_WRITE) != 0)
        return -errno;
    __atomic_store_n(slot, wanted->function, __ATOMIC_RELEASE);
    if (is_read_only && mprotect((void *)start, page, PROT_READ) != 0)
        return -errno;
    return 0;
}

static void replace_in_table(const struct vg_elf_object *object, const ElfW(Rela) * table,
                             size_t bytes, struct replacement *wanted)
{
    for (size_t i = 0; table && i < bytes / sizeof *table && wanted->result >= 0; i++) {
        const ElfW(Sym) *const symbol = &object->symbols[ELF64_R_SYM(table[i].r_info)];
        if (!names_function(table[i].r_info) || symbol->st_shndx != SHN_UNDEF ||
            strcmp(object->strings + symbol->st_name, wanted->symbol) != 0)
            continue;
        const int error = store_function(wanted, (uintptr_t *)(object->bias + table[i].r_offset));
        wanted->result = error ? error : wanted->result + 1;
    }
}

static void replace_in_object(const struct vg_elf_object *object, const ElfW(Dyn) * dynamic,
                              struct replacement *wanted)
{
    const ElfW(Rela) *plain = NULL, *calls = NULL;
    size_t plain_bytes = 0, calls_bytes = 0;
    for (; dynamic->d_tag != DT_NULL; dynamic++) {
        const uintptr_t value = dynamic->d_un.d_ptr;
        switch (dynamic->d_tag) {
        case DT_RELA: plain = vg_elf_dynamic_pointer(object->bias, value); break;
        case DT_JMPREL: calls = vg_elf_dynamic_pointer(object->bias, value); break;
        case DT_RELASZ: plain_bytes = dynamic->d_un.d_val; break;
        case DT_PLTRELSZ: calls_bytes = dynamic->d_un.d_val; break;
        default: break;
        }
    }
    wanted->result = 0;
    replace_in_table(object, plain, plain_bytes, wanted);
    replace_in_table(object, calls, calls_bytes, wanted);
}

static int try_object(struct dl_phdr_info *info, size_t size, void *argument)
{
    (void)size;
    struct replacement *const wanted = argument;
    struct vg_elf_object object;
    const ElfW(Dyn) *dynamic = NULL;
    if (!vg_elf_covers(info, wanted->inside) || !vg_elf_describe(info, &object))
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *const header = &info->dlpi_phdr[i];
        const uintptr_t at = info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_DYNAMIC)
            dynamic = (const void *)at;
        if (header->p_type == PT_GNU_RELRO) {
            wanted->read_only_start = at;
            wanted->read_only_end = at + header->p_memsz;
        }
    }
    if (dynamic)
        replace_in_object(&object, dynamic, wanted);
    return 1;
}

int vg_elf_replace_import(const void *inside, const char *symbol, void *function)
{
    struct replacement wanted = { .inside = (uintptr_t)inside,
                                  .symbol = symbol,
                                  .function = (uintptr_t)function,
                                  .result = -ENOENT };
#if !defined(__x86_64__) && !defined(__aarch64__)
    return -ENOTSUP;
#endif
    vg_loader_each_object(try_object, &wanted);
    return wanted.result;
}
