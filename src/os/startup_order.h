/* The libraries of the program's start, in the order in which the dynamic linker searches them.
 *
 * What the dynamic linker finds "behind this library" (RTLD_NEXT) is found here without calling
 * it: it would overwrite the text of the program's next dlerror. */
#ifndef VRAMGUARD_OS_STARTUP_ORDER_H
#define VRAMGUARD_OS_STARTUP_ORDER_H

#include <stdbool.h>
#include <stdint.h>

#include "os/elf_symbol.h"

/* Calls `visit` for each object that was loaded at the program's start and is searched after this
 * library, in that order, until it returns true. Returns whether one did. `visit` runs inside
 * dl_iterate_phdr: it must not open or close libraries. Any thread; no lock of ours is taken.
 * Source: glibc keeps the objects in the order of their loading, which at the start is that of the
 * search (elf/dl-load.c, elf/dl-deps.c); dl_iterate_phdr(3) follows it. */
bool vg_startup_each_behind(bool (*visit)(const struct vg_elf_object *object, void *argument),
                            void *argument);

/* The first function `name` behind this library among the objects of the start, NULL for none. */
void *vg_startup_next_function(const char *name);

/* The C library's own dlsym or dlvsym (`name`), whatever stands in for it; NULL when it cannot be
 * found, which is said once on stderr. dlsym itself cannot be asked for it: it is us. */
void *vg_startup_libc_function(const char *name);

/* The function of the C library's `name`, dlsym or dlvsym, that a program would reach if this
 * library were not there: another interposer's behind us, or the C library's. Remembered after the
 * first call. */
void *vg_startup_next_dlsym(void);
void *vg_startup_next_dlvsym(void);

/* Is what was loaded at the start all that has been loaded in this process? */
bool vg_startup_is_all(void);

/* Is `object` the C library or the dynamic linker (their parts before glibc 2.34, too)? */
bool vg_startup_is_libc(const struct vg_elf_object *object);

#endif
