#include "oom/census_set.h"

#include <errno.h>
#include <sys/mman.h>

enum {
    FIRST_LIST = 1024,
    FIRST_SLOTS = 1024, /* of maps and of the table of chunks */
    CHUNK_BYTES = (1 << VG_CENSUS_CHUNK_SHIFT) >> VG_CENSUS_MARK_SHIFT >> 3,
};

static void *map_memory(size_t bytes)
{
    const int saved_errno = errno;
    void *const memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    errno = saved_errno;
    return memory == MAP_FAILED ? NULL : memory;
}

static void unmap_memory(void *memory, size_t bytes)
{
    const int saved_errno = errno;
    if (memory)
        munmap(memory, bytes);
    errno = saved_errno;
}

bool vg_census_list_grow(struct vg_census_list *list)
{
    const int saved_errno = errno;
    const size_t cap = list->cap ? list->cap * 2 : FIRST_LIST;
    void *const items = list->cap ? mremap(list->items, list->cap * list->item_bytes,
                                           cap * list->item_bytes, MREMAP_MAYMOVE)
                                  : map_memory(cap * list->item_bytes);
    errno = saved_errno;
    if (!items || items == MAP_FAILED) {
        list->failed = true;
        return false;
    }
    list->items = items;
    list->cap = cap;
    return true;
}

void vg_census_list_close(struct vg_census_list *list)
{
    unmap_memory(list->items, list->cap * list->item_bytes);
    list->items = NULL;
    list->count = list->cap = 0;
}

/* ---- sets ---- */

static struct vg_census_chunk *chunk_slot(struct vg_census_chunk *chunks, size_t cap,
                                          uintptr_t number)
{
    size_t i = vg_hash_u64(number) & (cap - 1);
    while (chunks[i].bits && chunks[i].number != number)
        i = (i + 1) & (cap - 1);
    return &chunks[i];
}

static bool grow_chunks(struct vg_census_marks *marks)
{
    const size_t cap = marks->cap ? marks->cap * 2 : FIRST_SLOTS;
    struct vg_census_chunk *const chunks = map_memory(cap * sizeof *chunks);
    if (!chunks)
        return false;
    for (size_t i = 0; i < marks->cap; i++)
        if (marks->chunks[i].bits)
            *chunk_slot(chunks, cap, marks->chunks[i].number) = marks->chunks[i];
    unmap_memory(marks->chunks, marks->cap * sizeof *chunks);
    marks->chunks = chunks;
    marks->cap = cap;
    return true;
}

uint64_t *vg_census_marks_find(struct vg_census_marks *marks, uintptr_t address, bool make)
{
    const uintptr_t number = address >> VG_CENSUS_CHUNK_SHIFT;
    struct vg_census_chunk *slot =
        marks->cap ? chunk_slot(marks->chunks, marks->cap, number) : NULL;
    if (!slot || !slot->bits) {
        if (!make)
            return NULL;
        uint64_t *const bits = map_memory(CHUNK_BYTES);
        if (!bits || (marks->used * 2 >= marks->cap && !grow_chunks(marks))) {
            unmap_memory(bits, CHUNK_BYTES);
            marks->failed = true;
            return NULL;
        }
        slot = chunk_slot(marks->chunks, marks->cap, number);
        *slot = (struct vg_census_chunk){ .number = number, .bits = bits };
        marks->used++;
    }
    marks->last_number = number;
    marks->last_bits = slot->bits;
    return slot->bits;
}

void vg_census_marks_close(struct vg_census_marks *marks)
{
    for (size_t i = 0; i < marks->cap; i++)
        unmap_memory(marks->chunks[i].bits, CHUNK_BYTES);
    unmap_memory(marks->chunks, marks->cap * sizeof *marks->chunks);
    *marks = (struct vg_census_marks){ 0 };
}

/* ---- maps ---- */

static struct vg_census_pair *pair_slot(struct vg_census_pair *pairs, size_t cap, uint64_t key)
{
    size_t i = vg_hash_u64(key) & (cap - 1);
    while (pairs[i].key && pairs[i].key != key)
        i = (i + 1) & (cap - 1);
    return &pairs[i];
}

static bool grow_pairs(struct vg_census_map *map)
{
    const size_t cap = map->cap ? map->cap * 2 : FIRST_SLOTS;
    struct vg_census_pair *const pairs = map_memory(cap * sizeof *pairs);
    if (!pairs)
        return false;
    for (size_t i = 0; i < map->cap; i++)
        if (map->pairs[i].key)
            *pair_slot(pairs, cap, map->pairs[i].key) = map->pairs[i];
    unmap_memory(map->pairs, map->cap * sizeof *pairs);
    map->pairs = pairs;
    map->cap = cap;
    return true;
}

uint64_t *vg_census_map_get(const struct vg_census_map *map, uint64_t key)
{
    struct vg_census_pair *const pair =
        map->cap && key ? pair_slot(map->pairs, map->cap, key) : NULL;
    return pair && pair->key ? &pair->value : NULL;
}

uint64_t *vg_census_map_put(struct vg_census_map *map, uint64_t key, uint64_t value, bool *is_new)
{
    *is_new = false;
    if (map->used * 2 >= map->cap && !grow_pairs(map)) {
        map->failed = true;
        return NULL;
    }
    struct vg_census_pair *const pair = pair_slot(map->pairs, map->cap, key);
    if (!pair->key) {
        *pair = (struct vg_census_pair){ .key = key, .value = value };
        map->used++;
        *is_new = true;
    }
    return &pair->value;
}

void vg_census_map_close(struct vg_census_map *map)
{
    unmap_memory(map->pairs, map->cap * sizeof *map->pairs);
    *map = (struct vg_census_map){ 0 };
}
