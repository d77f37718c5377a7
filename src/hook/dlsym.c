#include "hook/dlsym.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/elf_symbol.h"
#include "base/stderr.h"
#include "guard/process_state.h"
#include "hook/wrappers.h"

typedef void *(*dlsym_function)(void *handle, const char *name);
typedef void *(*dlvsym_function)(void *handle, const char *name, const char *version);

/* The C library's own functions. dlsym itself cannot be asked for them: it is us. */
static void *find_in_libc(const char *name)
{
    static const char *const homes[] = { "libc.so.6", "libdl.so.2" }; /* libdl: before glibc 2.34 */
    struct vg_elf_object object;
    void *found = NULL;
    for (int i = 0; i < 2 && !found; i++)
        if (vg_elf_find_soname(homes[i], &object) == 0)
            found = vg_elf_symbol(&object, name);
    if (!found)
        vg_fault_line(VG_FAULT_LIBC, "cannot find %s in the C library", name);
    return found;
}

static void *real_dlsym(void)
{
    static void *cached;
    void *found = __atomic_load_n(&cached, __ATOMIC_RELAXED);
    if (__builtin_expect(!found, 0)) {
        found = find_in_libc("dlsym");
        __atomic_store_n(&cached, found, __ATOMIC_RELAXED);
    }
    return found;
}

static void *real_dlvsym(void)
{
    static void *cached;
    void *found = __atomic_load_n(&cached, __ATOMIC_RELAXED);
    if (__builtin_expect(!found, 0)) {
        found = find_in_libc("dlvsym");
        __atomic_store_n(&cached, found, __ATOMIC_RELAXED);
    }
    return found;
}

/* The lookup to be made: dlsym, or dlvsym when `version` is not NULL. */
struct lookup {
    const char *name, *version;
};

/* glibc takes the return address for the caller, so made from here this resolves RTLD_NEXT from our
 * place in the search order. Never inlined into a tail call: the return address must be ours. */
static __attribute__((noinline)) void *look_up(void *handle, const struct lookup *lookup)
{
    void *volatile found =
        lookup->version
            ? ((dlvsym_function)(uintptr_t)real_dlvsym())(handle, lookup->name, lookup->version)
            : ((dlsym_function)(uintptr_t)real_dlsym())(handle, lookup->name);
    return found;
}

/* What the caller would find globally if this library were not there: the next definition behind
 * us, or one that only the caller's own dependencies offer. Leaves dlerror's text set when there
 * is none. */
static void *find_without_us(const struct lookup *lookup, const void *caller, const void *wrapper)
{
    Dl_info info;
    struct link_map *map = NULL;
    void *found = NULL;
    if (dladdr1(caller, &info, (void **)&map, RTLD_DL_LINKMAP) != 0 && map)
        found = look_up(map, lookup);
    if (!found || found == wrapper)
        found = look_up(RTLD_NEXT, lookup);
    return found;
}

static struct vg_dlsym_answer filter(void *handle, const struct lookup *lookup, const void *caller,
                                     void *real)
{
    const struct vg_dlsym_answer unchanged = { .continue_at = real };
    if (!lookup->name || lookup->name[0] != 'c' || lookup->name[1] != 'u')
        return unchanged;
    const int id = vg_wrapper_find(lookup->name);
    if (id < 0 || vg_process_switched_off())
        return unchanged;
    if (vg_driver_bind() && vg_driver_owns(caller))
        return unchanged; /* a driver that looks itself up gets itself */
    void *const wrapper = vg_wrapper_address((enum vg_function_id)id);
    if (handle == RTLD_NEXT) {
        /* Only if nothing but this library defines the name would the caller find us alone. */
        const bool only_us =
            look_up(RTLD_DEFAULT, lookup) == wrapper && !look_up(RTLD_NEXT, lookup);
        return only_us ? (struct vg_dlsym_answer){ .value = NULL } : unchanged;
    }
    void *found = look_up(handle, lookup);
    if (found == wrapper)
        found = find_without_us(lookup, caller, wrapper);
    return (struct vg_dlsym_answer){ .value = vg_wrapper_for_symbol(lookup->name, found) };
}

struct vg_dlsym_answer vg_dlsym_filter(void *handle, const char *name, const void *caller)
{
    return filter(handle, &(struct lookup){ .name = name }, caller, real_dlsym());
}

struct vg_dlsym_answer vg_dlvsym_filter(void *handle, const char *name, const char *version,
                                        const void *caller)
{
    return filter(handle, &(struct lookup){ .name = name, .version = version ? version : "" },
                  caller, real_dlvsym());
}
