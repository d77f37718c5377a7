#include "os/elf_imports.h"

#include <string.h>

/* The relocation that fills a slot through which a function is called or its address read. */
#if defined(__x86_64__)
enum { SLOT_OF_CALL = R_X86_64_JUMP_SLOT, SLOT_OF_ADDRESS = R_X86_64_GLOB_DAT };
#elif defined(__aarch64__)
enum { SLOT_OF_CALL = R_AARCH64_JUMP_SLOT, SLOT_OF_ADDRESS = R_AARCH64_GLOB_DAT };
#else
#error "vramguard needs the relocation types of this architecture"
#endif

struct tables {
    uintptr_t bias;
    const ElfW(Sym) * symbols;
    const char *strings;
    const ElfW(Rela) * calls; /* DT_JMPREL */
    size_t call_count;
    const ElfW(Rela) * others; /* DT_RELA */
    size_t other_count;
    bool is_rela;
};

static bool read_tables(uintptr_t bias, const ElfW(Dyn) * dynamic, struct tables *out)
{
    *out = (struct tables){ .bias = bias, .is_rela = true };
    for (; dynamic && dynamic->d_tag != DT_NULL; dynamic++) {
        const void *const pointer = vg_elf_dynamic_pointer(bias, dynamic->d_un.d_ptr);
        switch (dynamic->d_tag) {
        case DT_SYMTAB: out->symbols = pointer; break;
        case DT_STRTAB: out->strings = pointer; break;
        case DT_JMPREL: out->calls = pointer; break;
        case DT_PLTRELSZ: out->call_count = dynamic->d_un.d_val / sizeof(ElfW(Rela)); break;
        case DT_PLTREL: out->is_rela = dynamic->d_un.d_val == DT_RELA; break;
        case DT_RELA: out->others = pointer; break;
        case DT_RELASZ: out->other_count = dynamic->d_un.d_val / sizeof(ElfW(Rela)); break;
        default: break;
        }
    }
    return out->symbols && out->strings && out->is_rela;
}

static const void *bound_at(const struct tables *t, const ElfW(Rela) * slot)
{
    return __atomic_load_n((void *const *)(t->bias + slot->r_offset), __ATOMIC_RELAXED);
}

static bool each_slot(const struct tables *t, const ElfW(Rela) * slots, size_t count,
                      bool (*visit)(const char *name, const void *bound, void *argument),
                      void *argument)
{
    for (size_t i = 0; i < count; i++) {
        const unsigned long type = ELF64_R_TYPE(slots[i].r_info);
        if (type != SLOT_OF_CALL && type != SLOT_OF_ADDRESS)
            continue;
        const ElfW(Sym) *const symbol = &t->symbols[ELF64_R_SYM(slots[i].r_info)];
        if (symbol->st_shndx == SHN_UNDEF && ELF64_ST_TYPE(symbol->st_info) != STT_OBJECT &&
            visit(t->strings + symbol->st_name, bound_at(t, &slots[i]), argument))
            return true;
    }
    return false;
}

bool vg_elf_each_import(uintptr_t bias, const ElfW(Dyn) * dynamic,
                        bool (*visit)(const char *name, const void *bound, void *argument),
                        void *argument)
{
    struct tables t;
    return read_tables(bias, dynamic, &t) &&
           (each_slot(&t, t.calls, t.call_count, visit, argument) ||
            each_slot(&t, t.others, t.other_count, visit, argument));
}

bool vg_elf_contains(const struct dl_phdr_info *info, const char *bytes, size_t length)
{
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *const header = &info->dlpi_phdr[i];
        const bool constant = (header->p_flags & PF_R) && !(header->p_flags & PF_W);
        if (header->p_type == PT_LOAD && constant &&
            memmem((const void *)(info->dlpi_addr + header->p_vaddr), header->p_filesz, bytes,
                   length))
            return true;
    }
    return false;
}
