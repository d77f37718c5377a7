/* Which slot is in use for an address: a hash table of its own, made for few cold cache lines. An
 * entry is eight bytes, so a look-up touches one line of the table, and then the slot that it needs
 * anyway.
 *
 * Slots are an array of 64-byte structures that begin with the address. Not thread-safe: its
 * owner's lock guards it. */
#ifndef VRAMGUARD_HEAP_ADDRESS_INDEX_H
#define VRAMGUARD_HEAP_ADDRESS_INDEX_H

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

/* Enters slot number `slot` for an address with this hash (vg_hash_u64), which is not in the index.
 * Doubles the table when it is half full. Returns 0, or -ENOMEM when it is full and there is no
 * memory. */
int vg_address_index_add(struct vg_address_index *index, struct vg_arena *arena, uint64_t hash,
                         uint32_t slot);

/* The entry of `address`, whose hash is `hash`, among slots that begin at `slots`; VG_ADDRESS_NONE
 * when it is not in the index. Valid until the index changes. */
uint32_t vg_address_index_find(const struct vg_address_index *index, const void *slots,
                               uint64_t hash, uint64_t address);

/* The number of the slot that an entry names. */
static inline uint32_t vg_address_index_slot(const struct vg_address_index *index, uint32_t entry)
{
    return (uint32_t)index->entries[entry] - 1;
}

/* Takes an entry out. Touches no slots. */
void vg_address_index_remove(struct vg_address_index *index, uint32_t entry);

#endif
