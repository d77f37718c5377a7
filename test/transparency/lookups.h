/* Looking names up with every kind of handle. Included into each object that is to be the caller:
 * what RTLD_NEXT and RTLD_DEFAULT mean depends on where the call stands. */
#ifndef TRANSPARENCY_LOOKUPS_H
#define TRANSPARENCY_LOOKUPS_H

#include <dlfcn.h>
#include <stdio.h>

#include "observe.h"

static const char *const looked_up[] = {
    "cuMemAlloc",
    "cuMemAlloc_v2",
    "cuMemFree",
    "cuMemFree_v2",
    "cuMemAllocManaged",
    "cuGetProcAddress",
    "cuGetProcAddress_v2",
    "cuInit",
    "cuMemcpy",
    "cuCtxGetCurrent",
    "cuNoSuchFunction",
    "cudaMalloc",
    "nvmlDeviceGetMemoryInfo",
    "nvmlInit_v2",
    "cuMemAlloc_x",
    "cu",
    "c",
    "",
    "dlsym",
    "dlvsym",
    "malloc",
    "pthread_create",
};

static const char *const symbol_versions[] = { "GLIBC_2.2.5", "GLIBC_2.17", "GLIBC_2.34", "NONE" };

enum {
    LOOKED_UP = sizeof looked_up / sizeof looked_up[0],
    SYMBOL_VERSIONS = sizeof symbol_versions / sizeof symbol_versions[0]
};

/* Prints what the object that this is compiled into finds through `handle`. */
static inline void look_through(const char *who, const char *how, void *handle)
{
    for (int i = 0; i < LOOKED_UP; i++) {
        char what[200];
        dlerror();
        void *volatile found = dlsym(handle, looked_up[i]);
        snprintf(what, sizeof what, "%s dlsym %s \"%s\"", who, how, looked_up[i]);
        print_lookup(what, found);
        for (int j = 0; j < SYMBOL_VERSIONS; j++) {
            found = dlvsym(handle, looked_up[i], symbol_versions[j]);
            snprintf(what, sizeof what, "%s dlvsym %s \"%s\" %s", who, how, looked_up[i],
                     symbol_versions[j]);
            print_lookup(what, found);
        }
    }
}

/* The same with every handle there is: `driver`, `other` (another library) and the program's. */
static inline void look_everywhere(const char *who, void *driver, void *other)
{
    void *const program = dlopen(NULL, RTLD_LAZY);
    void *const libc = dlopen("libc.so.6", RTLD_LAZY);
    look_through(who, "default", RTLD_DEFAULT);
    look_through(who, "next", RTLD_NEXT);
    look_through(who, "program", program);
    look_through(who, "libc", libc);
    if (driver)
        look_through(who, "driver", driver);
    if (other)
        look_through(who, "other", other);
}

#endif
