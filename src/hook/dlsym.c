#include "hook/dlsym.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/plain_text.h"
#include "guard/process_state.h"
#include "hook/bypass.h"
#include "hook/nvml.h"
#include "hook/wrappers.h"
#include "os/elf_symbol.h"
#include "os/loader.h"
#include "os/startup_order.h"

typedef void *(*dlsym_function)(void *handle, const char *name);
typedef void *(*dlvsym_function)(void *handle, const char *name, const char *version);

static void *libc_dlsym(void)
{
    static void *cached;
    void *found = __atomic_load_n(&cached, __ATOMIC_RELAXED);
    if (__builtin_expect(!found, 0)) {
        found = vg_startup_libc_function("dlsym");
        __atomic_store_n(&cached, found, __ATOMIC_RELAXED);
    }
    return found;
}

static void *libc_dlvsym(void)
{
    static void *cached;
    void *found = __atomic_load_n(&cached, __ATOMIC_RELAXED);
    if (__builtin_expect(!found, 0)) {
        found = vg_startup_libc_function("dlvsym");
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
static __attribute__((noinline)) void *call_lookup(void *handle, const struct lookup *lookup,
                                                   void *dlsym_at, void *dlvsym_at)
{
    void *volatile found =
        lookup->version
            ? ((dlvsym_function)(uintptr_t)dlvsym_at)(handle, lookup->name, lookup->version)
            : ((dlsym_function)(uintptr_t)dlsym_at)(handle, lookup->name);
    return found;
}

/* As the C library answers. */
static void *look_up(void *handle, const struct lookup *lookup)
{
    return call_lookup(handle, lookup, libc_dlsym(), libc_dlvsym());
}

/* As the next interposer answers, if there is one. Where that has no place in the search order, it
 * has its own. */
static void *look_up_next(void *handle, const struct lookup *lookup)
{
    return call_lookup(handle, lookup, vg_startup_next_dlsym(), vg_startup_next_dlvsym());
}

static struct link_map *map_of(const void *address)
{
    Dl_info info;
    return vg_loader_map_at(address, &info);
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

/* Does RTLD_NEXT lead such a caller to this library? Another interposer between them may have the
 * name, too. RTLD_DEFAULT cannot be asked: from here it finds our own functions first, since the
 * library is linked with -Bsymbolic. */
static bool finds_us_next(const void *caller, const char *name)
{
    const struct link_map *const own = map_of((const void *)(uintptr_t)&finds_us_next);
    const struct link_map *map = map_of(caller);
    struct vg_elf_object object;
    if (map == own)
        return true;
    while (map && (map = map->l_next) != own)
        if (map && vg_elf_find_address((uintptr_t)map->l_ld, &object) == 0 &&
            vg_elf_symbol(&object, name))
            return false;
    return map != NULL;
}

/* What only the tree of libraries around the caller offers. Opened once more, since the link map of
 * a library that was never opened by name is not fit to be a handle. */
static void *find_near_caller(const struct lookup *lookup, const void *caller)
{
    const struct link_map *const map = map_of(caller);
    if (!map || map->l_name[0] == '\0') /* the program itself: its tree is the global scope */
        return NULL;
    void *const handle = vg_loader_open(map->l_name, RTLD_LAZY | RTLD_NOLOAD);
    if (!handle)
        return NULL;
    void *const found = look_up(handle, lookup);
    vg_loader_close(handle);
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
 * that looks itself up gets itself, an interposer behind us what is behind itself. The wrappers of
 * NVML, which programs without CUDA use too, decide when they are called: nothing of ours is asked
 * for here. */
static bool gets_bare(const char *name, const void *caller)
{
    return !is_nvml(name) &&
           (vg_process_switched_off() ||
            (vg_driver_bind() && (vg_driver_owns(caller) || vg_chain_is_behind(caller))));
}

/* An interposer before us that asks the C library for the next dlsym of a certain version would go
 * past us, since ours has no version: it gets ours, which stands for that one. */
static void *own_lookup(const struct lookup *lookup, void *handle, const void *caller)
{
    if (handle != RTLD_NEXT || !lookup->version || lookup->name[0] != 'd' ||
        lookup->name[1] != 'l' || !is_before_us(caller))
        return NULL;
    if (vg_plain_equal(lookup->name, "dlsym") && look_up(handle, lookup) == vg_startup_next_dlsym())
        return (void *)(uintptr_t)dlsym;
    if (vg_plain_equal(lookup->name, "dlvsym") &&
        look_up(handle, lookup) == vg_startup_next_dlvsym())
        return (void *)(uintptr_t)dlvsym;
    return NULL;
}

static struct vg_dlsym_answer filter_lookup(void *handle, const struct lookup *lookup,
                                            const void *caller, void *next)
{
    const struct vg_dlsym_answer unchanged = { .continue_at = next };
    void *const wrapper = lookup->name ? wrapper_named(lookup->name) : NULL;
    if (handle != RTLD_DEFAULT && handle != RTLD_NEXT)
        vg_bypass_note_handle(handle);
    if (!wrapper)
        return unchanged;
    /* Asked first: binding may clear dlerror's text. */
    const bool bare = gets_bare(lookup->name, caller);
    bool in_order = true; /* found by the order of search or another's dlsym, not in one library */
    void *found;
    if (handle == RTLD_NEXT) {
        if (!finds_us_next(caller, lookup->name))
            return unchanged;
        found = look_up(RTLD_NEXT, lookup);
    } else {
        const bool has_next = next != (lookup->version ? libc_dlvsym() : libc_dlsym());
        found = look_up_next(handle, lookup);
        in_order = found == wrapper || has_next;
        if (found == wrapper) {
            found = find_without_us(handle, lookup, caller, wrapper);
            /* Another's dlsym may look in the whole program first, and found us there. */
            if (!found && has_next)
                found = look_up(handle, lookup);
            if (found == wrapper)
                found = NULL;
        }
    }
    if (!bare)
        found = is_nvml(lookup->name) ? vg_nvml_wrapper_for_symbol(lookup->name, found)
                                      : vg_wrapper_for_symbol(lookup->name, found, in_order);
    return (struct vg_dlsym_answer){ .value = found };
}

struct vg_dlsym_answer vg_dlsym_filter(void *handle, const char *name, const void *caller)
{
    return filter_lookup(handle, &(struct lookup){ .name = name }, caller, vg_startup_next_dlsym());
}

struct vg_dlsym_answer vg_dlvsym_filter(void *handle, const char *name, const char *version,
                                        const void *caller)
{
    const struct lookup lookup = { .name = name, .version = version ? version : "" };
    void *const own = name ? own_lookup(&lookup, handle, caller) : NULL;
    if (own)
        return (struct vg_dlsym_answer){ .value = own };
    return filter_lookup(handle, &lookup, caller, vg_startup_next_dlvsym());
}
