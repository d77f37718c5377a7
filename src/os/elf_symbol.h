/* Looking names up in one loaded object without the dynamic loader's lookup functions.
 *
 * The library exports dlsym itself, so it cannot ask dlsym for the real one; and a failing dlsym of
 * ours would overwrite the text that the program's next dlerror returns. Reading the object's own
 * symbol table has neither problem and takes no lock but the short one of dl_iterate_phdr. */
#ifndef VRAMGUARD_OS_ELF_SYMBOL_H
#define VRAMGUARD_OS_ELF_SYMBOL_H

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vg_elf_object {
    uintptr_t bias;       /* address in memory minus address in the file */
    uintptr_t start, end; /* of the first and of the last segment; others may lie between two */
    const ElfW(Sym) * symbols;
    const char *strings;
    const uint32_t *gnu_hash;  /* DT_GNU_HASH, or NULL */
    const uint32_t *sysv_hash; /* DT_HASH, or NULL */
    const char *soname;        /* "" when it has none; lives as long as the object is loaded */
    const char *path;          /* likewise */
};

/* Describes the object that dl_iterate_phdr shows. Returns false when it has no symbols. */
bool vg_elf_describe(const struct dl_phdr_info *info, struct vg_elf_object *out);

/* Where the object's first segment begins and its last one ends; others may lie between two. Both
 * are 0 where it has none. */
void vg_elf_span(const struct dl_phdr_info *info, uintptr_t *out_start, uintptr_t *out_end);

/* What a pointer in a dynamic section points to: glibc relocates them in place on most
 * architectures, and leaves file addresses on some and in the vdso. */
const void *vg_elf_dynamic_pointer(uintptr_t bias, uintptr_t value);

/* Is the address in a segment of that object? Where pages may be larger than here, there are holes
 * between segments, and the kernel puts other mappings into those of what it loads itself. */
bool vg_elf_covers(const struct dl_phdr_info *info, uintptr_t address);

/* Finds the loaded object whose DT_SONAME is `soname`, in the caller's link namespace. Returns 0 or
 * -ENOENT. The answer is valid while the object stays loaded. */
int vg_elf_find_soname(const char *soname, struct vg_elf_object *out);

/* Calls `visit` for each loaded object until it returns true, and returns whether it did, without a
 * call of libc's: sanitizers put themselves before dl_iterate_phdr too, and need dlsym, which is
 * ours, to find the real one. It walks the loader's list for debuggers (link.h, _r_debug). `start`
 * and `end` are 0. To be used for what the program was started with, and seldom: no lock keeps the
 * list from changing behind that. */
typedef bool vg_elf_early_visit(const struct vg_elf_object *object, bool is_own, void *argument);
bool vg_elf_each_early(vg_elf_early_visit *visit, void *argument);

/* Finds the loaded object that contains `address`. Returns 0 or -ENOENT. */
int vg_elf_find_address(uintptr_t address, struct vg_elf_object *out);

/* Finds the first loaded object that defines `symbol` as vg_elf_symbol sees it. Returns 0 or
 * -ENOENT. */
int vg_elf_find_definition(const char *symbol, struct vg_elf_object *out);

/* The same, but passing over the object that contains `address`: finds what `symbol` would be
 * without a definition of ours that stands before it. */
int vg_elf_find_other_definition(const char *symbol, uintptr_t address, struct vg_elf_object *out);

/* How many objects have been loaded so far: when it has not changed, no object is new. */
uint64_t vg_elf_generation(void);

/* Size of what vg_elf_symbol finds, as its symbol says; 0 when there is none. */
size_t vg_elf_symbol_bytes(const struct vg_elf_object *object, const char *name);

/* Address of the function or object `name` that `object` itself defines, whatever its version;
 * NULL when there is none. IFUNC symbols are not resolved and count as absent.
 * Source: System V gABI, "Hash Table"; GNU hash as in binutils' elflink.c. */
void *vg_elf_symbol(const struct vg_elf_object *object, const char *name);

/* The same, but only of a function: programs keep pointers to one under its name, too. */
void *vg_elf_function(const struct vg_elf_object *object, const char *name);

#endif
