#include "heap/address_index.h"

#include <errno.h>

enum { FIRST_ENTRIES = 2048 };

static uint32_t home_of(uint64_t entry, uint32_t mask)
{
    return (uint32_t)(entry >> 32) & mask;
}

/* Enters it at the first place that is free. */
static void place_entry(uint64_t *entries, uint32_t mask, uint64_t entry)
{
    uint32_t at = home_of(entry, mask);
    while (entries[at])
        at = (at + 1) & mask;
    entries[at] = entry;
}

static int resize_table(struct vg_address_index *index, struct vg_arena *arena, uint32_t count)
{
    uint64_t *const entries = vg_arena_alloc(arena, count * sizeof *entries);
    if (!entries)
        return -ENOMEM;
    if (index->entries) {
        for (uint32_t i = 0; i <= index->mask; i++)
            if (index->entries[i])
                place_entry(entries, count - 1, index->entries[i]);
        vg_arena_free(arena, index->entries, (index->mask + 1) * sizeof *entries);
    }
    index->entries = entries;
    index->mask = count - 1;
    return 0;
}

int vg_address_index_init(struct vg_address_index *index, struct vg_arena *arena)
{
    *index = (struct vg_address_index){ 0 };
    return resize_table(index, arena, FIRST_ENTRIES);
}

int vg_address_index_grow(struct vg_address_index *index, struct vg_arena *arena)
{
    if ((index->mask > UINT32_MAX / 4 || resize_table(index, arena, (index->mask + 1) * 2) != 0) &&
        index->count >= index->mask - index->mask / 8)
        return -ENOMEM; /* an unused entry has to be left, or a search would never end */
    return 0;
}

int vg_address_index_add(struct vg_address_index *index, struct vg_arena *arena, uint64_t hash,
                         uint32_t slot)
{
    if (vg_address_index_reserve(index, arena) != 0)
        return -ENOMEM;
    place_entry(index->entries, index->mask, hash << 32 | (slot + 1));
    index->count++;
    return 0;
}

void vg_address_index_fill(struct vg_address_index *index, uint32_t entry)
{
    uint64_t *const entries = index->entries;
    const uint32_t mask = index->mask;
    uint32_t hole = entry;
    for (uint32_t at = (hole + 1) & mask; entries[at]; at = (at + 1) & mask) {
        const uint32_t distance = (at - home_of(entries[at], mask)) & mask;
        if (distance >= ((at - hole) & mask)) {
            entries[hole] = entries[at];
            hole = at;
        }
    }
    entries[hole] = 0;
}
