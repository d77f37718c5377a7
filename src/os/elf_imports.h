/* What a loaded object imports from others, and what the dynamic linker has bound it to: by the
 * object's own tables, without a call of the dynamic linker's. */
#ifndef VRAMGUARD_OS_ELF_IMPORTS_H
#define VRAMGUARD_OS_ELF_IMPORTS_H

#include <link.h>
#include <stdbool.h>
#include <stddef.h>

#include "os/elf_symbol.h"

/* Finds the imports of the object with the dynamic section `dynamic`, loaded at `bias`, and calls
 * `visit` for each function that it does not define itself: with its name and with the function
 * that its calls reach: code of its own while that is not bound (at the first call). Until `visit`
 * returns true; returns whether it did. Reads the object's
 * tables only; it must stay loaded meanwhile. No malloc, no lock.
 * Source: System V gABI, "Dynamic Section" and "Relocation"; the x86-64 and AArch64 supplements
 * (both with DT_RELA and DT_JMPREL of Elf64_Rela). */
bool vg_elf_each_import(uintptr_t bias, const ElfW(Dyn) * dynamic,
                        bool (*visit)(const char *name, const void *bound, void *argument),
                        void *argument);

/* Does the object that dl_iterate_phdr shows contain these bytes, in what it cannot write? Reads
 * all of its read-only segments, some GB a second. */
bool vg_elf_contains(const struct dl_phdr_info *info, const char *bytes, size_t length);

#endif
