#include "hook/dlsym.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "guard/process_state.h"
#include "hook/nvml.h"
#include "hook/wrappers.h"
#include "os/elf_symbol.h"

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
        vg_warn_once(VG_FAULT_LIBC, "cannot find %s in the C library", name);
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

static struct link_map *map_of(const void *address)
{
    Dl_info info;
    struct link_map *map = NULL;
    return dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) != 0 ? map : NULL;
}

/* Does the caller come before this library in the order of the program's start? Libraries that are
 * opened later come after all of those, and never find this one by RTLD_NEXT. */
static bool is_before_us(const void *caller)
{
    const struct link_map *const own = map_of((const void *)(uintptr_t)&is_before_us);
    const struct link_map *map = map_of(caller);
    while (map && map != own)
        map = map->l_next;
    return map != NULL;
}

/* What only the tree of libraries around the caller offers. Opened once more, since the link map of
 * a library that was never opened by name is not fit to be a handle. */
static void *find_near_caller(const struct lookup *lookup, const void *caller)
{
    const struct link_map *const map = map_of(caller);
    if (!map || map->l_name[0] == '\0') /* the program itself: its tree is the global scope */
        return NULL;
    void *const handle = dlopen(map->l_name, RTLD_LAZY | RTLD_NOLOAD);
    if (!handle)
        return NULL;
    void *const found = look_up(handle, lookup);
    dlclose(handle);
    return found;
}

/* What `handle`, through which the caller finds our wrapper, would give if this library were not
 * there. Leaves dlerror's text set when that is nothing. */
static void *find_without_us(void *handle, const struct lookup *lookup, const void *caller,
                             const void *wrapper)
{
    void *found = look_up(RTLD_NEXT, lookup);
    if (found || handle != RTLD_DEFAULT)
        return found;
    found = find_near_caller(lookup, caller);
    return found && found != wrapper ? found : look_up(RTLD_NEXT, lookup);
}

static bool is_nvml(const char *name)
{
    return name[0] == 'n' && name[1] == 'v';
}

/* Our function of the name, NULL when there is none. */
static void *wrapper_named(const char *name)
{
    if (is_nvml(name))
        return vg_nvml_wrapper(name);
    const int id = name[0] == 'c' && name[1] == 'u' ? vg_wrapper_find(name) : -1;
    return id >= 0 ? vg_wrapper_address((enum vg_function_id)id) : NULL;
}

/* Is the caller to get the real function, or what else the program would find without us? A driver
 * that looks itself up gets itself. The wrappers of NVML, which programs without CUDA use too,
 * decide when they are called: nothing of ours is asked for here. */
static bool gets_bare(const char *name, const void *caller)
{
    return !is_nvml(name) &&
           (vg_process_switched_off() || (vg_driver_bind() && vg_driver_owns(caller)));
}

static struct vg_dlsym_answer filter_lookup(void *handle, const struct lookup *lookup,
                                            const void *caller, void *real)
{
    const struct vg_dlsym_answer unchanged = { .continue_at = real };
    void *const wrapper = lookup->name ? wrapper_named(lookup->name) : NULL;
    if (!wrapper)
        return unchanged;
    /* Asked first: binding may clear dlerror's text. */
    const bool bare = gets_bare(lookup->name, caller);
    void *found;
    if (handle == RTLD_NEXT) {
        if (look_up(RTLD_DEFAULT, lookup) != wrapper || !is_before_us(caller))
            return unchanged;
        found = look_up(RTLD_NEXT, lookup);
    } else {
        found = look_up(handle, lookup);
        if (found == wrapper)
            found = find_without_us(handle, lookup, caller, wrapper);
    }
    if (!bare)
        found = is_nvml(lookup->name) ? vg_nvml_wrapper_for_symbol(lookup->name, found)
                                      : vg_wrapper_for_symbol(lookup->name, found);
    return (struct vg_dlsym_answer){ .value = found };
}

struct vg_dlsym_answer vg_dlsym_filter(void *handle, const char *name, const void *caller)
{
    return filter_lookup(handle, &(struct lookup){ .name = name }, caller, real_dlsym());
}

struct vg_dlsym_answer vg_dlvsym_filter(void *handle, const char *name, const char *version,
                                        const void *caller)
{
    return filter_lookup(handle,
                         &(struct lookup){ .name = name, .version = version ? version : "" },
                         caller, real_dlvsym());
}
