#include "driver/chain.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "os/startup_order.h"

enum { INTERPOSERS = 8, NAME_CAP = 64 };

/* The interposers behind us. The first `interposer_count` are constant. */
static struct interposer {
    uintptr_t start, end;
    char name[NAME_CAP];
} interposers[INTERPOSERS];
static _Atomic unsigned interposer_count;

static void set_next(enum vg_function_id id, void *address)
{
    void **const place = (void **)&vg_next + id;
    if (__atomic_load_n(place, __ATOMIC_RELAXED) != address) /* another thread may have been here */
        __atomic_store_n(place, address, __ATOMIC_RELAXED);
}

/* What is known while the objects behind us are looked through. */
struct resolution {
    const struct vg_elf_object *driver;
    unsigned count;
    bool driver_seen; /* it was loaded at the start, so it is found by those before it */
    void *linked[VG_FN_COUNT];
    struct interposer list[INTERPOSERS];
};

static void note_interposer(struct resolution *r, const struct vg_elf_object *object)
{
    if (r->count == INTERPOSERS)
        return;
    struct interposer *const new = &r->list[r->count++];
    const char *const slash = strrchr(object->path, '/');
    new->start = object->start;
    new->end = object->end;
    snprintf(new->name, sizeof new->name, "%s", slash ? slash + 1 : object->path);
}

/* What stands behind the driver is never reached. */
static bool look_at(const struct vg_elf_object *object, void *argument)
{
    struct resolution *const r = argument;
    if (object->start == r->driver->start) {
        r->driver_seen = true;
        return true;
    }
    if (vg_startup_is_libc(object))
        return false;
    bool interposes = vg_elf_function(object, "dlsym") != NULL;
    for (int id = 0; id < VG_FN_COUNT; id++) {
        void *const found =
            vg_functions[id].hooked ? vg_elf_function(object, vg_functions[id].symbol) : NULL;
        interposes |= found != NULL;
        if (!r->linked[id])
            r->linked[id] = found;
    }
    if (interposes)
        note_interposer(r, object);
    return false;
}

void vg_chain_resolve(const struct vg_elf_object *driver)
{
    struct resolution r = { .driver = driver };
    vg_startup_each_behind(look_at, &r);
    for (int id = 0; id < VG_FN_COUNT; id++)
        if (r.driver_seen && r.linked[id] && vg_driver_address((enum vg_function_id)id))
            set_next((enum vg_function_id)id, r.linked[id]);
    memcpy(interposers, r.list, r.count * sizeof r.list[0]);
    atomic_store_explicit(&interposer_count, r.count, memory_order_release);
}

/* What the next interposer's dlsym answers. One that names its own function by the name that it
 * exports gets ours, which stands before it. */
static void *ask_next(void *next, void *handle, const char *symbol, const struct vg_elf_object *own)
{
    void *const found = ((void *(*)(void *, const char *))(uintptr_t)next)(handle, symbol);
    if ((uintptr_t)found >= own->start && (uintptr_t)found < own->end)
        return vg_startup_next_function(symbol);
    return found;
}

void vg_chain_ask(void *handle)
{
    struct vg_elf_object own;
    void *const next = vg_startup_next_dlsym();
    if (interposer_count == 0 || next == vg_startup_libc_function("dlsym") ||
        vg_elf_find_address((uintptr_t)&interposer_count, &own) != 0)
        return;
    for (int i = 0; i < VG_FN_COUNT; i++) {
        const enum vg_function_id id = (enum vg_function_id)i;
        if (!vg_functions[id].hooked || !vg_driver_address(id) ||
            vg_chain_address(id) != vg_driver_address(id))
            continue;
        void *const found = ask_next(next, handle, vg_functions[id].symbol, &own);
        if (found)
            set_next(id, found);
    }
}

static const struct interposer *interposer_at(const void *address)
{
    const unsigned count = atomic_load_explicit(&interposer_count, memory_order_acquire);
    for (unsigned i = 0; i < count; i++)
        if ((uintptr_t)address >= interposers[i].start && (uintptr_t)address < interposers[i].end)
            return &interposers[i];
    return NULL;
}

bool vg_chain_is_behind(const void *address)
{
    return interposer_at(address) != NULL;
}

bool vg_chain_adopt(enum vg_function_id id, void *found)
{
    void *expected = vg_driver_address(id);
    if (!expected || !interposer_at(found))
        return false;
    return __atomic_compare_exchange_n((void **)&vg_next + id, &expected, found, false,
                                       __ATOMIC_RELAXED, __ATOMIC_RELAXED) ||
           expected == found;
}

const char *vg_chain_name(enum vg_function_id id)
{
    const struct interposer *const found = interposer_at(vg_chain_address(id));
    return found ? found->name : "";
}
