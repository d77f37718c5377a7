/* Putting functions of ours in the place of those that one loaded object imports.
 *
 * For libraries that we opened ourselves and whose use of a function would touch what is the
 * program's. Nothing but that object's own calls changes: not the program's, not libc's. */
#ifndef VRAMGUARD_OS_ELF_IMPORT_H
#define VRAMGUARD_OS_ELF_IMPORT_H

/* Makes the object that `inside` (an address in one of its segments) is in call `function` instead
 * of the imported `symbol`. Returns how many of its references there were, 0 when it does not
 * import the symbol, or -errno: -ENOENT no such object, -ENOTSUP on an architecture whose
 * relocations are not known here, or the error of mprotect(2) on a page that the loader has made
 * read-only. Each reference is one aligned word, so other threads may call through it meanwhile.
 * The object must stay loaded. Takes the short lock of dl_iterate_phdr. Source: System V gABI,
 * "Relocation"; the types of the psABIs of x86-64 and AArch64. */
int vg_elf_replace_import(const void *inside, const char *symbol, void *function);

#endif
