#include "heap/vmm.h"

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/hashing.h"

/* Handles and mappings each count as one use, and so does whoever works with it without a lock: who
 * ends the last gives it back to the shard that it is of. */
struct vg_vmm_allocation {
    _Atomic uint64_t uses;
    uint64_t key;
    struct vg_vmm_allocation *next; /* of the free list */
    uint32_t home;                  /* number of its shard */
};

/* A mapping that is being unmapped together with others. */
struct vg_vmm_taken {
    struct vg_number_entry mapping;
    struct vg_vmm_taken *next; /* of the others, or of the free list */
    uint32_t home;             /* number of the shard that the memory is of */
};

void vg_vmm_init(struct vg_vmm *virtual)
{
    for (int i = 0; i < VG_VMM_SHARDS; i++)
        virtual->shards[i].lock.rank = VG_LOCK_HANDLES;
}

/* ---- objects and their uses ---- */

static struct vg_vmm_shard *shard_of(struct vg_vmm *virtual, uint64_t number, uint64_t hash)
{
    return &virtual->shards[vg_shard_of(number, hash)];
}

/* A new object in use once, NULL when memory is short. The shard's lock is held. */
static struct vg_vmm_allocation *make_object(struct vg_vmm_shard *shard, uint32_t home,
                                             uint64_t key)
{
    struct vg_vmm_allocation *object = shard->free_objects;
    if (object)
        shard->free_objects = object->next;
    else if (!(object = vg_arena_alloc(&shard->arena, sizeof *object)))
        return NULL;
    atomic_store_explicit(&object->uses, 1, memory_order_relaxed);
    object->key = key;
    object->home = home;
    return object;
}

/* The object is known to be in use. */
static void begin_use(struct vg_vmm_allocation *object)
{
    atomic_fetch_add_explicit(&object->uses, 1, memory_order_relaxed);
}

/* Returns the key if that was the object's end, else 0. No lock is held. */
static uint64_t end_use(struct vg_vmm *virtual, struct vg_vmm_allocation *object)
{
    if (atomic_fetch_sub_explicit(&object->uses, 1, memory_order_acq_rel) != 1)
        return 0;
    struct vg_vmm_shard *const shard = &virtual->shards[object->home];
    const uint64_t key = object->key;
    vg_lock_take(&shard->lock);
    object->next = shard->free_objects;
    shard->free_objects = object;
    vg_lock_release(&shard->lock);
    return key;
}

/* ---- handles ---- */

/* Makes a use of `object` one by `handle`. The shard's lock is held. */
static int add_handle(struct vg_vmm_shard *shard, uint64_t hash, uint64_t handle,
                      struct vg_vmm_allocation *object)
{
    struct vg_number_entry *const entry =
        vg_number_map_enter(&shard->handles, &shard->arena, hash, handle);
    if (!entry)
        return -ENOMEM;
    entry->object = object;
    entry->amount++;
    return 0;
}

int vg_vmm_create(struct vg_vmm *virtual, uint64_t handle, uint64_t key)
{
    const uint64_t hash = vg_hash_u64(handle);
    struct vg_vmm_shard *const shard = shard_of(virtual, handle, hash);
    int error = -ENOMEM;
    vg_lock_take(&shard->lock);
    struct vg_vmm_allocation *const object =
        make_object(shard, (uint32_t)(shard - virtual->shards), key);
    if (object)
        error = add_handle(shard, hash, handle, object);
    vg_lock_release(&shard->lock);
    if (object && error)
        end_use(virtual, object);
    return error;
}

uint64_t vg_vmm_key(struct vg_vmm *virtual, uint64_t handle)
{
    const uint64_t hash = vg_hash_u64(handle);
    struct vg_vmm_shard *const shard = shard_of(virtual, handle, hash);
    vg_lock_take(&shard->lock);
    const struct vg_number_entry *const entry = vg_number_map_find(&shard->handles, hash, handle);
    const uint64_t key = entry ? ((const struct vg_vmm_allocation *)entry->object)->key : 0;
    vg_lock_release(&shard->lock);
    return key;
}

struct vg_vmm_allocation *vg_vmm_begin_release(struct vg_vmm *virtual, uint64_t handle)
{
    const uint64_t hash = vg_hash_u64(handle);
    struct vg_vmm_shard *const shard = shard_of(virtual, handle, hash);
    struct vg_vmm_allocation *object = NULL;
    vg_lock_take(&shard->lock);
    struct vg_number_entry *const entry = vg_number_map_find(&shard->handles, hash, handle);
    if (entry) {
        object = entry->object;
        if (--entry->amount == 0)
            vg_number_map_remove(&shard->handles, entry);
    }
    vg_lock_release(&shard->lock);
    return object;
}

uint64_t vg_vmm_end_release(struct vg_vmm *virtual, struct vg_vmm_allocation *object)
{
    return end_use(virtual, object);
}

/* Without memory for it the use stays: its end will not be seen. */
void vg_vmm_undo_release(struct vg_vmm *virtual, struct vg_vmm_allocation *object, uint64_t handle)
{
    const uint64_t hash = vg_hash_u64(handle);
    struct vg_vmm_shard *const shard = shard_of(virtual, handle, hash);
    vg_lock_take(&shard->lock);
    add_handle(shard, hash, handle, object);
    vg_lock_release(&shard->lock);
}

/* ---- mappings ---- */

/* The object mapped by an entry, with one use more; NULL for NULL. The shard's lock is held. */
static struct vg_vmm_allocation *use_mapped(const struct vg_number_entry *entry)
{
    if (!entry)
        return NULL;
    begin_use(entry->object);
    return entry->object;
}

/* The entry of a shard that contains `address`. Its lock is held. */
static const struct vg_number_entry *entry_around(const struct vg_vmm_shard *shard,
                                                  uint64_t address)
{
    const struct vg_number_map *const mappings = &shard->mappings;
    for (uint32_t i = 0; mappings->count > 0 && i <= mappings->mask; i++) {
        const struct vg_number_entry *const entry = &mappings->entries[i];
        if (entry->object && address - entry->number < entry->amount)
            return entry;
    }
    return NULL;
}

/* The object mapped at `address`, with one use more; NULL when none is known there. Most callers
 * name the beginning of a mapping. */
static struct vg_vmm_allocation *use_at(struct vg_vmm *virtual, uint64_t address)
{
    const uint64_t hash = vg_hash_u64(address);
    struct vg_vmm_shard *const shard = shard_of(virtual, address, hash);
    vg_lock_take(&shard->lock);
    struct vg_vmm_allocation *object =
        use_mapped(vg_number_map_find(&shard->mappings, hash, address));
    vg_lock_release(&shard->lock);
    for (int i = 0; !object && i < VG_VMM_SHARDS; i++) {
        vg_lock_take(&virtual->shards[i].lock);
        object = use_mapped(entry_around(&virtual->shards[i], address));
        vg_lock_release(&virtual->shards[i].lock);
    }
    return object;
}

void vg_vmm_retain(struct vg_vmm *virtual, uint64_t handle, uint64_t address)
{
    const uint64_t hash = vg_hash_u64(handle);
    struct vg_vmm_shard *const shard = shard_of(virtual, handle, hash);
    struct vg_vmm_allocation *const object = use_at(virtual, address);
    if (!object)
        return;
    vg_lock_take(&shard->lock);
    const int error = add_handle(shard, hash, handle, object);
    vg_lock_release(&shard->lock);
    if (error)
        end_use(virtual, object); /* it is still mapped */
}

/* Enters a mapping, to which one use of its object belongs. Returns the object whose use that ends:
 * of a mapping that began there before or, without memory, its own; NULL for none. */
static struct vg_vmm_allocation *add_mapping(struct vg_vmm *virtual, uint64_t address,
                                             uint64_t bytes, struct vg_vmm_allocation *object)
{
    const uint64_t hash = vg_hash_u64(address);
    struct vg_vmm_shard *const shard = shard_of(virtual, address, hash);
    struct vg_vmm_allocation *unused = object;
    vg_lock_take(&shard->lock);
    struct vg_number_entry *const entry =
        vg_number_map_enter(&shard->mappings, &shard->arena, hash, address);
    if (entry) {
        unused = entry->object;
        entry->object = object;
        entry->amount = bytes;
    }
    vg_lock_release(&shard->lock);
    return unused;
}

uint64_t vg_vmm_map(struct vg_vmm *virtual, uint64_t address, uint64_t bytes, uint64_t handle,
                    uint64_t *out_ended)
{
    const uint64_t hash = vg_hash_u64(handle);
    struct vg_vmm_shard *const shard = shard_of(virtual, handle, hash);
    *out_ended = 0;
    vg_lock_take(&shard->lock);
    struct vg_vmm_allocation *const object =
        use_mapped(vg_number_map_find(&shard->handles, hash, handle));
    vg_lock_release(&shard->lock);
    if (!object)
        return 0;
    const uint64_t key = object->key;
    struct vg_vmm_allocation *const unused = add_mapping(virtual, address, bytes, object);
    if (unused)
        *out_ended = end_use(virtual, unused);
    return key;
}

/* Remembers a mapping that is taken out. Without memory for it it stays in. The shard's lock is
 * held. */
static bool remember_mapping(struct vg_vmm_shard *shard, uint32_t home,
                             const struct vg_number_entry *mapping, struct vg_vmm_unmapping *out)
{
    if (!out->first.object) {
        out->first = *mapping;
        return true;
    }
    struct vg_vmm_taken *taken = shard->free_taken;
    if (taken)
        shard->free_taken = taken->next;
    else if (!(taken = vg_arena_alloc(&shard->arena, sizeof *taken)))
        return false;
    *taken = (struct vg_vmm_taken){ .mapping = *mapping, .next = out->others, .home = home };
    out->others = taken;
    return true;
}

/* Takes out the mapping that begins at `address`. Returns where the next one may begin, 0 when
 * there is none. */
static uint64_t take_mapping(struct vg_vmm *virtual, uint64_t address, struct vg_vmm_unmapping *out)
{
    const uint64_t hash = vg_hash_u64(address);
    struct vg_vmm_shard *const shard = shard_of(virtual, address, hash);
    uint64_t next = 0;
    vg_lock_take(&shard->lock);
    struct vg_number_entry *const entry = vg_number_map_find(&shard->mappings, hash, address);
    if (entry) {
        next = address + entry->amount;
        if (remember_mapping(shard, (uint32_t)(shard - virtual->shards), entry, out))
            vg_number_map_remove(&shard->mappings, entry);
    }
    vg_lock_release(&shard->lock);
    return next;
}

/* Mappings of unknown handles leave holes that a walk from neighbour to neighbour cannot pass. */
static void take_all_of(struct vg_vmm_shard *shard, uint32_t home, uint64_t address, uint64_t bytes,
                        struct vg_vmm_unmapping *out)
{
    struct vg_number_map *const mappings = &shard->mappings;
    for (uint32_t i = 0; mappings->count > 0 && i <= mappings->mask;) {
        struct vg_number_entry *const entry = &mappings->entries[i];
        if (entry->object && entry->number - address < bytes &&
            remember_mapping(shard, home, entry, out))
            vg_number_map_remove(mappings, entry); /* another may be in its place now */
        else
            i++;
    }
}

bool vg_vmm_begin_unmap(struct vg_vmm *virtual, uint64_t address, uint64_t bytes,
                        struct vg_vmm_unmapping *out)
{
    const uint64_t end = address + bytes;
    uint64_t at = address;
    *out = (struct vg_vmm_unmapping){ .others = NULL };
    while (at != 0 && at < end)
        at = take_mapping(virtual, at, out);
    for (uint32_t i = 0; at == 0 && i < VG_VMM_SHARDS; i++) {
        struct vg_vmm_shard *const shard = &virtual->shards[i];
        vg_lock_take(&shard->lock);
        take_all_of(shard, i, address, bytes, out);
        vg_lock_release(&shard->lock);
    }
    return out->first.object != NULL;
}

/* Gives back the memory of one of the others. Returns the next. */
static struct vg_vmm_taken *give_taken(struct vg_vmm *virtual, struct vg_vmm_taken *taken)
{
    struct vg_vmm_shard *const shard = &virtual->shards[taken->home];
    struct vg_vmm_taken *const next = taken->next;
    vg_lock_take(&shard->lock);
    taken->next = shard->free_taken;
    shard->free_taken = taken;
    vg_lock_release(&shard->lock);
    return next;
}

static void end_mapping(struct vg_vmm *virtual, const struct vg_number_entry *mapping,
                        void (*ended)(uint64_t key, void *argument), void *argument)
{
    const uint64_t key = end_use(virtual, mapping->object);
    if (key)
        ended(key, argument);
}

void vg_vmm_end_unmap(struct vg_vmm *virtual, const struct vg_vmm_unmapping *unmapping,
                      void (*ended)(uint64_t key, void *argument), void *argument)
{
    if (!unmapping->first.object)
        return;
    end_mapping(virtual, &unmapping->first, ended, argument);
    for (struct vg_vmm_taken *taken = unmapping->others; taken;) {
        end_mapping(virtual, &taken->mapping, ended, argument);
        taken = give_taken(virtual, taken);
    }
}

/* Without memory for it the use stays: its end will not be seen. */
static void put_back(struct vg_vmm *virtual, const struct vg_number_entry *mapping)
{
    add_mapping(virtual, mapping->number, mapping->amount, mapping->object);
}

void vg_vmm_undo_unmap(struct vg_vmm *virtual, const struct vg_vmm_unmapping *unmapping)
{
    if (!unmapping->first.object)
        return;
    put_back(virtual, &unmapping->first);
    for (struct vg_vmm_taken *taken = unmapping->others; taken;) {
        put_back(virtual, &taken->mapping);
        taken = give_taken(virtual, taken);
    }
}
