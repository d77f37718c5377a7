/* Which slot is in use for an address: a hash table of its own, made for few cold cache lines. An
 * entry is eight bytes, so a look-up touches one line of the table, and then the slot that it needs
 * anyway.
 *
 * Slots are an array of 64-byte structures that begin with the address. Not thread-safe: its
 * owner's lock guards it. */
#ifndef VRAMGUARD_HEAP_ADDRESS_INDEX_H
#define VRAMGUARD_HEAP_ADDRESS_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"

/* Open addressing with linear probing, never more than half full. */
struct vg_address_index {
    uint64_t *entries; /* half the address's hash above, 1 + the slot's number below; 0 unused */
    uint32_t mask;     /* number of entries, a power of two, minus 1 */
    uint32_t count;
};

enum { VG_ADDRESS_SLOT_BYTES = 64 };

#define VG_ADDRESS_NONE UINT32_MAX

/* Makes room for the first entries, in `arena`. Returns 0 or -ENOMEM. */
int vg_address_index_init(struct vg_address_index *index, struct vg_arena *arena);

/* The rest of vg_address_index_reserve: doubles the table, if there is memory. Returns as that. */
int vg_address_index_grow(struct vg_address_index *index, struct vg_arena *arena);

/* Makes room for one more entry. Returns 0, or -ENOMEM when the table is full and there is no
 * memory. */
static inline int vg_address_index_reserve(struct vg_address_index *index, struct vg_arena *arena)
{
    return __builtin_expect(index->count * 2 > index->mask, 0) ? vg_address_index_grow(index, arena)
                                                               : 0;
}

/* Looks for `address`, whose hash (vg_hash_u64) is `hash`, among slots that begin at `slots`.
 * Returns whether it is in the index. `*out_entry` is then its entry, else the unused one where it
 * is to be entered; valid until the index changes. */
static inline bool vg_address_index_seek(const struct vg_address_index *index, const void *slots,
                                         uint64_t hash, uint64_t address, uint32_t *out_entry)
{
    const uint64_t *const entries = index->entries;
    const uint32_t mask = index->mask;
    uint64_t entry;
    uint32_t at = (uint32_t)hash & mask;
    for (; (entry = entries[at]) != 0; at = (at + 1) & mask) {
        if ((uint32_t)(entry >> 32) != (uint32_t)hash)
            continue;
        const char *const slot =
            (const char *)slots + (uint64_t)((uint32_t)entry - 1) * VG_ADDRESS_SLOT_BYTES;
        if (*(const uint64_t *)(const void *)slot == address)
            break;
    }
    *out_entry = at;
    return entry != 0;
}

/* The entry of `address`; VG_ADDRESS_NONE when it is not in the index. Valid until the index
 * changes. */
static inline uint32_t vg_address_index_find(const struct vg_address_index *index,
                                             const void *slots, uint64_t hash, uint64_t address)
{
    uint32_t entry;
    return vg_address_index_seek(index, slots, hash, address, &entry) ? entry : VG_ADDRESS_NONE;
}

/* Enters slot number `slot` for an address with this hash at `entry`, where vg_address_index_seek
 * has not found it; there is room for it. */
static inline void vg_address_index_enter(struct vg_address_index *index, uint32_t entry,
                                          uint64_t hash, uint32_t slot)
{
    index->entries[entry] = hash << 32 | (slot + 1);
    index->count++;
}

/* Enters an address that is not in the index, making room for it. Returns 0 or -ENOMEM. */
int vg_address_index_add(struct vg_address_index *index, struct vg_arena *arena, uint64_t hash,
                         uint32_t slot);

/* The number of the slot that an entry names. */
static inline uint32_t vg_address_index_slot(const struct vg_address_index *index, uint32_t entry)
{
    return (uint32_t)index->entries[entry] - 1;
}

/* The rest of vg_address_index_remove: moves what lies behind the hole at `entry` up into it,
 * unless that would put it before its home. */
void vg_address_index_fill(struct vg_address_index *index, uint32_t entry);

/* Takes an entry out. Touches no slots. */
static inline void vg_address_index_remove(struct vg_address_index *index, uint32_t entry)
{
    index->count--;
    index->entries[entry] = 0;
    if (index->entries[(entry + 1) & index->mask])
        vg_address_index_fill(index, entry);
}

#endif
