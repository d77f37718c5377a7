#include "os/startup_order.h"

#include "base/every_process.h"
#include "base/log.h"
#include "base/plain_text.h"
#include "os/loader.h"

/* Objects in the list when our constructors ran: all of the start, since they are mapped before any
 * constructor runs. 0 until then, when there are no others. */
VG_EVERY_PROCESS_DATA static unsigned startup_count;
VG_EVERY_PROCESS_DATA static uint64_t startup_generation; /* vg_elf_generation then */

VG_EVERY_PROCESS static int count_objects(struct dl_phdr_info *info, size_t size, void *argument)
{
    (void)size;
    startup_generation = info->dlpi_adds;
    ++*(unsigned *)argument;
    return 0;
}

__attribute__((constructor)) static void count_at_start(void)
{
    unsigned count = 0;
    vg_loader_each_object(count_objects, &count);
    __atomic_store_n(&startup_count, count, __ATOMIC_RELAXED);
}

VG_EVERY_PROCESS bool vg_startup_is_all(void)
{
    return vg_elf_generation() == startup_generation;
}

struct walk {
    bool (*visit)(const struct vg_elf_object *object, void *argument);
    void *argument;
    unsigned index, limit;
    bool behind;
};

static int visit_behind(struct dl_phdr_info *info, size_t size, void *argument)
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
    return vg_loader_each_object(visit_behind, &walk) != 0;
}

struct function_search {
    const char *name;
    void *found;
};

static bool find_function(const struct vg_elf_object *object, void *argument)
{
    struct function_search *const search = argument;
    search->found = vg_elf_function(object, search->name);
    return search->found != NULL;
}

void *vg_startup_next_function(const char *name)
{
    struct function_search search = { .name = name };
    vg_startup_each_behind(find_function, &search);
    return search.found;
}

static const char *const libc_names[] = { "libc.so.6", "libdl.so.2" }; /* libdl: before 2.34 */

bool vg_startup_is_libc(const struct vg_elf_object *object)
{
    return vg_plain_equal(object->soname, libc_names[0]) ||
           vg_plain_equal(object->soname, libc_names[1]) ||
           vg_plain_starts_with(object->soname, "ld-linux");
}

/* ---- dlsym: nothing of libc is called on the way to it, as a sanitizer may be asking for that
 * ---- */

struct search {
    const char *name, *soname;
    void *found;
    unsigned index, limit;
    bool behind;
};

static bool find_in_libc(const struct vg_elf_object *object, bool is_own, void *argument)
{
    (void)is_own;
    struct search *const search = argument;
    if (vg_plain_equal(object->soname, search->soname))
        search->found = vg_elf_symbol(object, search->name);
    return search->found != NULL;
}

void *vg_startup_libc_function(const char *name)
{
    struct search search = { .name = name };
    for (int i = 0; i < 2 && !search.found; i++) {
        search.soname = libc_names[i];
        vg_elf_each_early(find_in_libc, &search);
    }
    if (!search.found)
        vg_warn_once(VG_FAULT_LIBC, "cannot find %s in the C library", name);
    return search.found;
}

/* The C library's ends the search: what stands behind it is never reached. */
static bool find_other(const struct vg_elf_object *object, bool is_own, void *argument)
{
    struct search *const search = argument;
    const bool was_behind = search->behind;
    search->behind |= is_own;
    if ((search->limit && search->index++ >= search->limit) || !was_behind)
        return false;
    if (vg_startup_is_libc(object))
        return true;
    search->found = vg_elf_function(object, search->name);
    return search->found != NULL;
}

static void *find_next(void **cached, const char *name)
{
    struct search search = { .name = name,
                             .found = __atomic_load_n(cached, __ATOMIC_RELAXED),
                             .limit = __atomic_load_n(&startup_count, __ATOMIC_RELAXED) };
    if (__builtin_expect(search.found != NULL, 1))
        return search.found;
    vg_elf_each_early(find_other, &search);
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
