#include "heap/vmm.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>

#define VG_HASH_ARENA (&virtual->arena)
#include "base/hashing.h"

struct vg_vmm_allocation {
    uint64_t key;
    uint64_t references, mappings;
    struct vg_vmm_allocation *next; /* of the free list */
};

struct vg_vmm_handle {
    uint64_t handle;
    uint64_t references; /* by this value; others may name the same object */
    struct vg_vmm_allocation *object;
    struct vg_vmm_handle *next; /* of the free list */
    UT_hash_handle hh;
};

struct vg_vmm_mapping {
    uint64_t address, bytes;
    struct vg_vmm_allocation *object;
    struct vg_vmm_mapping *next; /* of the free list, or of a chain being unmapped */
    UT_hash_handle hh;
};

/* Takes an element from `free_list`, or a new one from the arena; NULL when memory is short. */
#define TAKE_ELEMENT(free_list, element)                                                           \
    do {                                                                                           \
        (element) = (free_list);                                                                   \
        if (element)                                                                               \
            (free_list) = (element)->next;                                                         \
        else                                                                                       \
            (element) = vg_arena_alloc(&virtual->arena, sizeof *(element));                        \
    } while (0)

#define GIVE_ELEMENT(free_list, element)                                                           \
    do {                                                                                           \
        (element)->next = (free_list);                                                             \
        (free_list) = (element);                                                                   \
    } while (0)

static struct vg_vmm_handle *find_handle(struct vg_vmm *virtual, uint64_t handle)
{
    struct vg_vmm_handle *found = NULL;
    HASH_FIND(hh, virtual->handles, &handle, sizeof handle, found);
    return found;
}

/* Adds `references` by `handle` to `object`. */
static int add_handle(struct vg_vmm *virtual, uint64_t handle, uint64_t references,
                      struct vg_vmm_allocation *object)
{
    struct vg_vmm_handle *entry = find_handle(virtual, handle);
    if (!entry) {
        TAKE_ELEMENT(virtual->free_handles, entry);
        if (!entry)
            return -ENOMEM;
        entry->handle = handle;
        entry->references = 0;
        HASH_ADD(hh, virtual->handles, handle, sizeof entry->handle, entry);
        if (!entry->hh.tbl)
            return -ENOMEM;
    }
    entry->object = object;
    entry->references += references;
    object->references += references;
    return 0;
}

int vg_vmm_create(struct vg_vmm *virtual, uint64_t handle, uint64_t key)
{
    struct vg_vmm_allocation *object;
    int error = -ENOMEM;
    vg_lock_take(&virtual->lock);
    TAKE_ELEMENT(virtual->free_objects, object);
    if (object) {
        *object = (struct vg_vmm_allocation){ .key = key };
        error = add_handle(virtual, handle, 1, object);
    }
    vg_lock_release(&virtual->lock);
    return error;
}

uint64_t vg_vmm_key(struct vg_vmm *virtual, uint64_t handle)
{
    vg_lock_take(&virtual->lock);
    const struct vg_vmm_handle *const entry = find_handle(virtual, handle);
    const uint64_t key = entry ? entry->object->key : 0;
    vg_lock_release(&virtual->lock);
    return key;
}

struct vg_vmm_allocation *vg_vmm_begin_release(struct vg_vmm *virtual, uint64_t handle)
{
    struct vg_vmm_allocation *object = NULL;
    vg_lock_take(&virtual->lock);
    struct vg_vmm_handle *const entry = find_handle(virtual, handle);
    if (entry) {
        object = entry->object;
        if (--entry->references == 0) {
            HASH_DELETE(hh, virtual->handles, entry);
            GIVE_ELEMENT(virtual->free_handles, entry);
        }
    }
    vg_lock_release(&virtual->lock);
    return object;
}

/* The key of an object that has neither references nor mappings left, which is then freed; else 0.
 */
static uint64_t end_if_unused(struct vg_vmm *virtual, struct vg_vmm_allocation *object)
{
    if (object->references > 0 || object->mappings > 0)
        return 0;
    GIVE_ELEMENT(virtual->free_objects, object);
    return object->key;
}

uint64_t vg_vmm_end_release(struct vg_vmm *virtual, struct vg_vmm_allocation *object)
{
    vg_lock_take(&virtual->lock);
    object->references--;
    const uint64_t key = end_if_unused(virtual, object);
    vg_lock_release(&virtual->lock);
    return key;
}

void vg_vmm_undo_release(struct vg_vmm *virtual, struct vg_vmm_allocation *object, uint64_t handle)
{
    vg_lock_take(&virtual->lock);
    object->references--; /* add_handle counts it again */
    add_handle(virtual, handle, 1, object);
    vg_lock_release(&virtual->lock);
}

/* The mapping that contains `address`; most callers name its beginning. */
static struct vg_vmm_mapping *find_mapping(struct vg_vmm *virtual, uint64_t address)
{
    struct vg_vmm_mapping *found = NULL, *next = NULL;
    HASH_FIND(hh, virtual->mappings, &address, sizeof address, found);
    if (found)
        return found;
    HASH_ITER(hh, virtual->mappings, found, next)
    {
        if (address - found->address < found->bytes)
            return found;
    }
    return NULL;
}

void vg_vmm_retain(struct vg_vmm *virtual, uint64_t handle, uint64_t address)
{
    vg_lock_take(&virtual->lock);
    struct vg_vmm_mapping *const mapping = find_mapping(virtual, address);
    if (mapping)
        add_handle(virtual, handle, 1, mapping->object);
    vg_lock_release(&virtual->lock);
}

static void add_mapping(struct vg_vmm *virtual, struct vg_vmm_mapping *mapping)
{
    HASH_ADD(hh, virtual->mappings, address, sizeof mapping->address, mapping);
    if (mapping->hh.tbl)
        mapping->object->mappings++;
    else
        GIVE_ELEMENT(virtual->free_mappings, mapping);
}

uint64_t vg_vmm_map(struct vg_vmm *virtual, uint64_t address, uint64_t bytes, uint64_t handle)
{
    struct vg_vmm_mapping *mapping;
    uint64_t key = 0;
    vg_lock_take(&virtual->lock);
    struct vg_vmm_handle *const entry = find_handle(virtual, handle);
    if (entry) {
        key = entry->object->key;
        TAKE_ELEMENT(virtual->free_mappings, mapping);
        if (mapping) {
            mapping->address = address;
            mapping->bytes = bytes;
            mapping->object = entry->object;
            add_mapping(virtual, mapping);
        }
    }
    vg_lock_release(&virtual->lock);
    return key;
}

/* Moves the mapping at `address` to `*chain`. Returns where the next one may begin. */
static uint64_t take_mapping(struct vg_vmm *virtual, uint64_t address,
                             struct vg_vmm_mapping **chain)
{
    struct vg_vmm_mapping *mapping = NULL;
    HASH_FIND(hh, virtual->mappings, &address, sizeof address, mapping);
    if (!mapping)
        return 0;
    HASH_DELETE(hh, virtual->mappings, mapping);
    GIVE_ELEMENT(*chain, mapping);
    return address + mapping->bytes;
}

/* Mappings of unknown handles leave holes that a walk from neighbour to neighbour cannot pass. */
static void take_all_mappings(struct vg_vmm *virtual, uint64_t address, uint64_t bytes,
                              struct vg_vmm_mapping **chain)
{
    struct vg_vmm_mapping *mapping, *next;
    HASH_ITER(hh, virtual->mappings, mapping, next)
    {
        if (mapping->address - address < bytes)
            take_mapping(virtual, mapping->address, chain);
    }
}

struct vg_vmm_mapping *vg_vmm_begin_unmap(struct vg_vmm *virtual, uint64_t address, uint64_t bytes)
{
    struct vg_vmm_mapping *chain = NULL;
    const uint64_t end = address + bytes;
    vg_lock_take(&virtual->lock);
    uint64_t at = address;
    while (at != 0 && at < end)
        at = take_mapping(virtual, at, &chain);
    if (at == 0)
        take_all_mappings(virtual, address, bytes, &chain);
    vg_lock_release(&virtual->lock);
    return chain;
}

void vg_vmm_end_unmap(struct vg_vmm *virtual, struct vg_vmm_mapping *chain,
                      void (*ended)(uint64_t key, void *argument), void *argument)
{
    while (chain) {
        struct vg_vmm_mapping *const mapping = chain;
        chain = mapping->next;
        vg_lock_take(&virtual->lock);
        mapping->object->mappings--;
        const uint64_t key = end_if_unused(virtual, mapping->object);
        GIVE_ELEMENT(virtual->free_mappings, mapping);
        vg_lock_release(&virtual->lock);
        if (key)
            ended(key, argument);
    }
}

void vg_vmm_undo_unmap(struct vg_vmm *virtual, struct vg_vmm_mapping *chain)
{
    vg_lock_take(&virtual->lock);
    while (chain) {
        struct vg_vmm_mapping *const mapping = chain;
        chain = mapping->next;
        mapping->object->mappings--; /* add_mapping counts it again */
        add_mapping(virtual, mapping);
    }
    vg_lock_release(&virtual->lock);
}
