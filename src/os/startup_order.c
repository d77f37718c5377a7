#include "os/startup_order.h"

#include <string.h>

#include "base/log.h"

/* Objects in the list when our constructors ran: all of the start, since they are mapped before any
 * constructor runs. 0 until then, when there are no others. */
static unsigned startup_count;

static int count_objects(struct dl_phdr_info *info, size_t size, void *argument)
{
    (void)info;
    (void)size;
    ++*(unsigned *)argument;
    return 0;
}

__attribute__((constructor)) static void count_at_start(void)
{
    unsigned count = 0;
    dl_iterate_phdr(count_objects, &count);
    __atomic_store_n(&startup_count, count, __ATOMIC_RELAXED);
}

struct walk {
    bool (*visit)(const struct vg_elf_object *object, void *argument);
    void *argument;
    unsigned index, limit;
    bool behind;
};

static int step(struct dl_phdr_info *info, size_t size, void *argument)
{
    (void)size;
    struct walk *const walk = argument;
    struct vg_elf_object object;
    if (walk->limit && walk->index >= walk->limit)
        return 0;
    walk->index++;
    if (!walk->behind) {
        walk->behind = vg_elf_covers(info, (uintptr_t)&startup_count);
        return 0;
    }
    return vg_elf_describe(info, &object) && walk->visit(&object, walk->argument);
}

bool vg_startup_each_behind(bool (*visit)(const struct vg_elf_object *object, void *argument),
                            void *argument)
{
    struct walk walk = { .visit = visit,
                         .argument = argument,
                         .limit = __atomic_load_n(&startup_count, __ATOMIC_RELAXED) };
    return dl_iterate_phdr(step, &walk) != 0;
}

static const char *const libc_names[] = { "libc.so.6", "libdl.so.2" }; /* libdl: before 2.34 */

bool vg_startup_is_libc(const struct vg_elf_object *object)
{
    return strcmp(object->soname, libc_names[0]) == 0 ||
           strcmp(object->soname, libc_names[1]) == 0 ||
           strncmp(object->soname, "ld-linux", 8) == 0;
}

void *vg_startup_libc_function(const char *name)
{
    struct vg_elf_object object;
    void *found = NULL;
    for (int i = 0; i < 2 && !found; i++)
        if (vg_elf_find_soname(libc_names[i], &object) == 0)
            found = vg_elf_symbol(&object, name);
    if (!found)
        vg_warn_once(VG_FAULT_LIBC, "cannot find %s in the C library", name);
    return found;
}

struct search {
    const char *name;
    void *found;
};

static bool find_function(const struct vg_elf_object *object, void *argument)
{
    struct search *const search = argument;
    search->found = vg_elf_function(object, search->name);
    return search->found != NULL;
}

void *vg_startup_next_function(const char *name)
{
    struct search search = { .name = name };
    vg_startup_each_behind(find_function, &search);
    return search.found;
}

/* The C library's ends the search: what stands behind it is never reached. */
static bool find_other(const struct vg_elf_object *object, void *argument)
{
    struct search *const search = argument;
    if (vg_startup_is_libc(object))
        return true;
    search->found = vg_elf_function(object, search->name);
    return search->found != NULL;
}

static void *find_next(void **cached, const char *name)
{
    struct search search = { .name = name, .found = __atomic_load_n(cached, __ATOMIC_RELAXED) };
    if (__builtin_expect(search.found != NULL, 1))
        return search.found;
    vg_startup_each_behind(find_other, &search);
    if (!search.found)
        search.found = vg_startup_libc_function(name);
    __atomic_store_n(cached, search.found, __ATOMIC_RELAXED);
    return search.found;
}

void *vg_startup_next_dlsym(void)
{
    static void *cached;
    return find_next(&cached, "dlsym");
}

void *vg_startup_next_dlvsym(void)
{
    static void *cached;
    return find_next(&cached, "dlvsym");
}
