/* vramguard's interface for programs, in C (C99) and C++ (C++11). All of it is optional: nothing
 * has to be linked, and in a program that runs without the library preloaded each call does nothing
 * and says so.
 *
 * From Python:
 *
 *     import ctypes
 *     guard = ctypes.CDLL(None)
 *     TRIM = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_int, ctypes.c_uint64, ctypes.c_uint64,
 *                             ctypes.c_void_p)
 *
 *     @TRIM
 *     def free_cache(device, wanted_bytes, freed_bytes, argument):
 *         return cache.clear()                  # bytes
 *
 *     if hasattr(guard, "vramguard_add_trim_hook"):
 *         guard.vramguard_add_trim_hook(b"cache", 0, free_cache, None)
 *
 *     if hasattr(guard, "vramguard_mark"):
 *         guard.vramguard_mark(b"epoch 3")
 *
 * Keep `free_cache` alive as long as it is registered. */
#ifndef VRAMGUARD_H
#define VRAMGUARD_H

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a trim hook is: a function that gives back GPU memory that the program can do without, as a
 * cache. It is called when an allocation on GPU `device` (the program's own numbering) would fail
 * and VRAMGUARD_POLICY has "trim" in it. `wanted_bytes` is what the failing call asks for, 0 when
 * it names no amount; `freed_bytes` is what has come free so far; `argument` is what was
 * registered. Returns how many bytes it believes it has freed.
 *
 * It runs in a thread of vramguard's with the failing call's context current, while the failing
 * call waits, at most VRAMGUARD_TRIM_TIMEOUT: it must not wait for what the failing thread holds (a
 * lock of the allocator, Python's GIL). It may allocate and free; an allocation that fails in it is
 * not rescued. An exception ends at its caller.
 *
 * A library that VRAMGUARD_TRIM_LIB names defines such a function, `vramguard_trim`, with C linkage
 * and default visibility; its `argument` is null. */
typedef uint64_t (*vramguard_trim_fn)(int device, uint64_t wanted_bytes, uint64_t freed_bytes,
                                      void *argument);

#ifdef VRAMGUARD_BUILDING

const char *vramguard_version(void);
int vramguard_write_report(int fd);
int vramguard_mark(const char *text);
int vramguard_add_trim_hook(const char *name, int priority, vramguard_trim_fn function,
                            void *argument);
int vramguard_remove_trim_hook(vramguard_trim_fn function, void *argument);

#else

/* Each looks its function up (0: RTLD_DEFAULT, which has a name only with _GNU_SOURCE). It is no
 * weak symbol: in an executable that is not position-independent the linker makes those null for
 * good. */

/* Version of the preloaded library, "0.1.0", a static string; NULL without it. */
static inline const char *vramguard_version(void)
{
    union {
        void *object;
        const char *(*call)(void);
    } found;
    found.object = dlsym(0, "vramguard_version");
    return found.object ? found.call() : 0;
}

/* Writes what this process has live on its current GPU to the file descriptor `fd`: totals, the
 * largest sites, sizes. Takes milliseconds. Returns 0, or a negative errno: -EBUSY while another
 * thread's report is being made, -ENODEV when the library is switched off, the program has not
 * loaded the CUDA driver yet, or there is no current GPU, -EIO when not all could be written,
 * -ENOSYS without the library. */
static inline int vramguard_write_report(int fd)
{
    union {
        void *object;
        int (*call)(int fd);
    } found;
    found.object = dlsym(0, "vramguard_write_report");
    return found.object ? found.call(fd) : -ENOSYS;
}

/* Sets a mark: "epoch 3". `vramguard report` shows it with its time and what was live and the peak
 * then. Cheap: no system call as a rule and no memory. `text` is made safe to print; one of more
 * than 127 bytes is cut, "..." included. Of a run 10000 marks are kept. Any thread. Returns 0, or a
 * negative errno: -EINVAL (no text), -ENODEV when the library is switched off or the program has
 * not loaded the CUDA driver yet, -ENOSPC (there are 10000), -ENOMEM, -ENOSYS without the library.
 */
static inline int vramguard_mark(const char *text)
{
    union {
        void *object;
        int (*call)(const char *text);
    } found;
    found.object = dlsym(0, "vramguard_mark");
    return found.object ? found.call(text) : -ENOSYS;
}

/* Registers a trim hook. Hooks of higher `priority` are called first, those of the same in the
 * order of their registration, until enough is free. `name` (at most 31 bytes are kept) is what
 * reports call it. Any thread, any time; also before the first use of CUDA. Forked children have
 * the hook, too. Returns 0, or a negative errno: -EINVAL (no name or no function), -EEXIST
 * (`function` is registered with `argument`), -ENOSPC (64 are registered), -ENOSYS without the
 * library. */
static inline int vramguard_add_trim_hook(const char *name, int priority,
                                          vramguard_trim_fn function, void *argument)
{
    union {
        void *object;
        int (*call)(const char *name, int priority, vramguard_trim_fn function, void *argument);
    } found;
    found.object = dlsym(0, "vramguard_add_trim_hook");
    return found.object ? found.call(name, priority, function, argument) : -ENOSYS;
}

/* Removes a trim hook: it is not called any more. Waits for a call of it that is running, at most
 * until its VRAMGUARD_TRIM_TIMEOUT is over. Returns 0; then `argument` is not used any more, unless
 * the hook has removed itself and is still running. Or a negative errno: -ENOENT (not registered),
 * -EBUSY (its call has not returned: keep what it uses, and call this again), -ENOSYS without the
 * library. */
static inline int vramguard_remove_trim_hook(vramguard_trim_fn function, void *argument)
{
    union {
        void *object;
        int (*call)(vramguard_trim_fn function, void *argument);
    } found;
    found.object = dlsym(0, "vramguard_remove_trim_hook");
    return found.object ? found.call(function, argument) : -ENOSYS;
}

#endif

#ifdef __cplusplus
}
#endif

#endif
