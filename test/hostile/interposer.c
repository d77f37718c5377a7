/* Another interposer of the driver, to be preloaded before or behind vramguard: it counts
 * allocations and frees, and lets no more than half of the GPU be seen. How it works:
 *   LINKED     it exports the functions, and finds the next by RTLD_NEXT
 *   LOOKED_UP  it also answers dlsym and cuGetProcAddress with them, and finds the driver's by the
 *              C library's dlsym
 *   HIDDEN     it exports dlsym and cuGetProcAddress only; the functions are static
 *   SEARCHING  it exports dlsym only, which looks in the whole program before it looks where it is
 *              told to; it does nothing else */
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))
#if defined(HIDDEN)
#define FUNCTION static
#elif defined(SEARCHING)
#define FUNCTION static __attribute__((unused))
#else
#define FUNCTION EXPORTED
#endif

typedef void *(*dlsym_function)(void *handle, const char *name);
typedef int (*alloc_function)(uint64_t *address, size_t bytes);
typedef int (*free_function)(uint64_t address);
typedef int (*info_function)(size_t *free_bytes, size_t *total_bytes);
typedef int (*proc_function)(const char *name, void **function, int version, uint64_t flags,
                             void *status);

static long allocations, frees;

#ifdef LINKED
static void *next_function(const char *name)
{
    return dlsym(RTLD_NEXT, name);
}
#else
static dlsym_function libc_dlsym(void)
{
    void *found = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
    if (!found)
        found = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
    return (dlsym_function)(uintptr_t)found;
}

static void *next_function(const char *name)
{
    return libc_dlsym()(dlopen("libcuda.so.1", RTLD_NOW), name);
}
#endif

#define NEXT(type, name) ((type)(uintptr_t)next_function(name))

FUNCTION int cuMemAlloc_v2(uint64_t *address, size_t bytes);
FUNCTION int cuMemFree_v2(uint64_t address);
FUNCTION int cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes);

FUNCTION int cuMemAlloc_v2(uint64_t *address, size_t bytes)
{
    allocations++;
    return NEXT(alloc_function, "cuMemAlloc_v2")(address, bytes);
}

FUNCTION int cuMemFree_v2(uint64_t address)
{
    frees++;
    return NEXT(free_function, "cuMemFree_v2")(address);
}

FUNCTION int cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes)
{
    const int result = NEXT(info_function, "cuMemGetInfo_v2")(free_bytes, total_bytes);
    if (result == 0)
        *total_bytes /= 2;
    return result;
}

#ifndef LINKED
EXPORTED void *dlsym(void *handle, const char *name);

#ifdef SEARCHING
EXPORTED void *dlsym(void *handle, const char *name)
{
    void *const found = handle == RTLD_NEXT ? NULL : libc_dlsym()(RTLD_DEFAULT, name);
    return found ? found : libc_dlsym()(handle, name);
}
#else
EXPORTED int cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags,
                                 void *status);

/* By the names of the functions, as interposers do: which are not its own when another library's of
 * the same name stands before it. */
EXPORTED void *dlsym(void *handle, const char *name)
{
    if (handle != RTLD_NEXT && strcmp(name, "cuMemAlloc_v2") == 0)
        return (void *)(uintptr_t)cuMemAlloc_v2;
    if (handle != RTLD_NEXT && strcmp(name, "cuMemFree_v2") == 0)
        return (void *)(uintptr_t)cuMemFree_v2;
    if (handle != RTLD_NEXT && strcmp(name, "cuMemGetInfo_v2") == 0)
        return (void *)(uintptr_t)cuMemGetInfo_v2;
    if (handle != RTLD_NEXT && strcmp(name, "cuGetProcAddress_v2") == 0)
        return (void *)(uintptr_t)cuGetProcAddress_v2;
    return libc_dlsym()(handle, name);
}

EXPORTED int cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags,
                                 void *status)
{
    const int result =
        NEXT(proc_function, "cuGetProcAddress_v2")(name, function, version, flags, status);
    if (result == 0 && strcmp(name, "cuMemAlloc") == 0)
        *function = (void *)(uintptr_t)cuMemAlloc_v2;
    if (result == 0 && strcmp(name, "cuMemFree") == 0)
        *function = (void *)(uintptr_t)cuMemFree_v2;
    if (result == 0 && strcmp(name, "cuMemGetInfo") == 0)
        *function = (void *)(uintptr_t)cuMemGetInfo_v2;
    return result;
}
#endif
#endif

__attribute__((destructor)) static void tell(void)
{
    printf("interposer: %ld allocations, %ld frees\n", allocations, frees);
    fflush(stdout);
}
