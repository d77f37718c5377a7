/* Names of functions that an object does not export (static ones, those of a program without
 * -rdynamic), from the symbol table that its file may have: section .symtab (elf(5)). Reads the
 * file with pread: one that is cut meanwhile costs a name and nothing more. No malloc. */
#ifndef VRAMGUARD_OS_ELF_SYMTAB_H
#define VRAMGUARD_OS_ELF_SYMTAB_H

#include <stddef.h>
#include <stdint.h>

enum { VG_SYMTAB_NAME_CAP = 160 };

struct vg_symtab_query {
    uint64_t value;                /* address in the file's own numbering: in memory minus bias */
    char name[VG_SYMTAB_NAME_CAP]; /* out: the symbol as it stands there, maybe cut; "" none */
};

/* Names `count` addresses of the object at `path`. A file that has changed since
 * `changed_before_ns` (CLOCK_REALTIME), or that holds more than 64 MiB of symbols, is not looked
 * into. Returns 0, or -errno: -ENODATA without a symbol table, -ESTALE for a file that is newer,
 * -ENOEXEC for one that is no object of this machine's. errno is preserved. Any thread, no locks.
 */
int vg_elf_symtab_name(const char *path, uint64_t changed_before_ns,
                       struct vg_symtab_query *queries, size_t count);

#endif
