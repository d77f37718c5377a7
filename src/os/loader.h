/* The C library's dynamic loader, asked so that children of fork can ask it too: each of these
 * passes the fork gate (fork_gate.h), since the loader's locks stay locked in a child that was
 * forked meanwhile. Parameters, results and dlerror(3) are those of the functions below them. */
#ifndef VRAMGUARD_OS_LOADER_H
#define VRAMGUARD_OS_LOADER_H

#include <dlfcn.h>
#include <link.h>
#include <stddef.h>

/* dl_iterate_phdr(3). `visit` must neither wait nor call the loader. */
int vg_loader_each_object(int (*visit)(struct dl_phdr_info *info, size_t size, void *argument),
                          void *argument);

/* dlopen(3), for libraries whose constructors are harmless and for those that are open already. */
void *vg_loader_open(const char *path, int flags);

/* dlclose(3) */
int vg_loader_close(void *library);

/* dladdr1(3) for the link map: that of the object which `address` is in, or NULL. */
struct link_map *vg_loader_map_at(const void *address, Dl_info *out);

/* dlinfo(3) for the link map of a library; NULL when the handle is none. */
struct link_map *vg_loader_map_of(void *library);

#endif
