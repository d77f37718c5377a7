/* A hash table from numbers (handles, addresses) to objects. Entries lie in the table itself, so a
 * look-up touches one cold cache line. Not thread-safe: its owner's lock guards it. */
#ifndef VRAMGUARD_HEAP_NUMBER_MAP_H
#define VRAMGUARD_HEAP_NUMBER_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

struct vg_number_entry {
    void *object; /* NULL: the entry is unused */
    uint64_t number;
    uint64_t amount; /* its owner's */
};

/* Open addressing with linear probing, never more than a quarter full unless memory is short. All
 * zero at first. */
struct vg_number_map {
    struct vg_number_entry *entries;
    uint32_t mask; /* number of entries, a power of two, minus 1; 0 while there are none */
    uint32_t count;
};

/* The entry of `number`, whose hash (vg_hash_u64) is `hash`; NULL when it is not in the map. Valid
 * until the map changes. */
static inline struct vg_number_entry *vg_number_map_find(const struct vg_number_map *map,
                                                         uint64_t hash, uint64_t number)
{
    if (map->count == 0)
        return NULL;
    for (uint32_t at = (uint32_t)hash & map->mask;; at = (at + 1) & map->mask) {
        struct vg_number_entry *const entry = &map->entries[at];
        if (!entry->object)
            return NULL;
        if (entry->number == number)
            return entry;
    }
}

/* The rest of vg_number_map_enter: doubles the table, if there is memory. */
void vg_number_map_grow(struct vg_number_map *map, struct vg_arena *arena);

/* The entry of `number`, made when there is none: its object is NULL then and has to be set. NULL
 * when there is no memory in `arena`. */
static inline struct vg_number_entry *vg_number_map_enter(struct vg_number_map *map,
                                                          struct vg_arena *arena, uint64_t hash,
                                                          uint64_t number)
{
    if (__builtin_expect(map->count * 4 >= map->mask, 0))
        vg_number_map_grow(map, arena);
    if (map->count >= map->mask) /* an unused entry has to be left, or a search would never end */
        return vg_number_map_find(map, hash, number);
    for (uint32_t at = (uint32_t)hash & map->mask;; at = (at + 1) & map->mask) {
        struct vg_number_entry *const entry = &map->entries[at];
        if (entry->object && entry->number != number)
            continue;
        if (!entry->object) {
            *entry = (struct vg_number_entry){ .number = number };
            map->count++;
        }
        return entry;
    }
}

/* The rest of vg_number_map_remove: moves what lies behind the hole at `entry` up into it, unless
 * that would put it before its home. */
void vg_number_map_fill(struct vg_number_map *map, struct vg_number_entry *entry);

/* Takes an entry out. Those behind it may move: one that was after it may now be in its place. */
static inline void vg_number_map_remove(struct vg_number_map *map, struct vg_number_entry *entry)
{
    entry->object = NULL;
    map->count--;
    if (map->entries[(uint32_t)(entry - map->entries + 1) & map->mask].object)
        vg_number_map_fill(map, entry);
}

#endif
