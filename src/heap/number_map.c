#include "heap/number_map.h"

#include "base/hashing.h"

enum { FIRST_ENTRIES = 256 };

static uint32_t home_of(const struct vg_number_entry *entry, uint32_t mask)
{
    return (uint32_t)vg_hash_u64(entry->number) & mask;
}

/* The first unused entry from `at` on. */
static struct vg_number_entry *unused_from(const struct vg_number_map *map, uint32_t at)
{
    while (map->entries[at & map->mask].object)
        at++;
    return &map->entries[at & map->mask];
}

void vg_number_map_grow(struct vg_number_map *map, struct vg_arena *arena)
{
    const uint32_t count = map->entries ? (map->mask + 1) * 2 : FIRST_ENTRIES;
    struct vg_number_map wider = {
        .entries = vg_arena_alloc(arena, count * sizeof *wider.entries),
        .mask = count - 1,
        .count = map->count,
    };
    if (!wider.entries)
        return;
    for (uint32_t i = 0; map->entries && i <= map->mask; i++)
        if (map->entries[i].object)
            *unused_from(&wider, home_of(&map->entries[i], wider.mask)) = map->entries[i];
    if (map->entries)
        vg_arena_free(arena, map->entries, (map->mask + 1) * sizeof *map->entries);
    *map = wider;
}

void vg_number_map_fill(struct vg_number_map *map, struct vg_number_entry *entry)
{
    struct vg_number_entry *const entries = map->entries;
    const uint32_t mask = map->mask;
    uint32_t hole = (uint32_t)(entry - entries);
    for (uint32_t at = (hole + 1) & mask; entries[at].object; at = (at + 1) & mask) {
        const uint32_t distance = (at - home_of(&entries[at], mask)) & mask;
        if (distance >= ((at - hole) & mask)) {
            entries[hole] = entries[at];
            hole = at;
        }
    }
    entries[hole].object = NULL;
}
