/* The tables of a census: lists, sets of objects, maps. Memory comes from the kernel and goes back
 * when the census ends, so the program's malloc is not entered. No locks: one thread. A table that
 * finds no memory keeps what it has and says so once in `failed`. */
#ifndef VRAMGUARD_OOM_CENSUS_SET_H
#define VRAMGUARD_OOM_CENSUS_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/hashing.h"

/* ---- lists ---- */

/* Of items of one size each, which move when it grows. */
struct vg_census_list {
    void *items;
    size_t count, cap, item_bytes; /* `item_bytes`: set by its owner before the first is added */
    bool failed;
};

/* Makes room for one more. Returns false when there is no memory. */
bool vg_census_list_grow(struct vg_census_list *list);

/* A new last item, all zero; NULL: no memory. Valid until the next is added. */
static inline void *vg_census_list_add(struct vg_census_list *list)
{
    if (__builtin_expect(list->count == list->cap, 0) && !vg_census_list_grow(list))
        return NULL;
    void *const item = (char *)list->items + list->count++ * list->item_bytes;
    return memset(item, 0, list->item_bytes);
}

void vg_census_list_close(struct vg_census_list *list);

/* Of objects. */
static inline void vg_census_list_push(struct vg_census_list *list, uintptr_t object)
{
    if (__builtin_expect(list->count == list->cap, 0) && !vg_census_list_grow(list))
        return;
    ((uintptr_t *)list->items)[list->count++] = object;
}

static inline uintptr_t vg_census_list_at(const struct vg_census_list *list, size_t index)
{
    return ((const uintptr_t *)list->items)[index];
}

/* ---- sets of objects ---- */

/* A bit for each 16 bytes, which is how far objects are apart at least (Objects/obmalloc.c,
 * ALIGNMENT): neighbours in memory share a cache line of the set, which a hash table would spread.
 */
enum { VG_CENSUS_MARK_SHIFT = 4, VG_CENSUS_CHUNK_SHIFT = 20 };

struct vg_census_marks {
    struct vg_census_chunk {
        uintptr_t number; /* address >> VG_CENSUS_CHUNK_SHIFT */
        uint64_t *bits;   /* NULL: a free slot */
    } * chunks;
    size_t cap, used; /* a power of two; slots taken */
    uintptr_t last_number;
    uint64_t *last_bits;
    bool failed;
};

/* The bits of the chunk of `address`, made if `make`; NULL: there are none, or no memory. */
uint64_t *vg_census_marks_find(struct vg_census_marks *marks, uintptr_t address, bool make);

static inline uint64_t *vg_census_marks_of(struct vg_census_marks *marks, uintptr_t address,
                                           bool make)
{
    if (__builtin_expect(marks->last_bits && marks->last_number == address >> VG_CENSUS_CHUNK_SHIFT,
                         1))
        return marks->last_bits;
    return vg_census_marks_find(marks, address, make);
}

/* Marks the object. Returns true when it was not marked before; false also without memory. */
static inline bool vg_census_marks_add(struct vg_census_marks *marks, uintptr_t address)
{
    uint64_t *const bits = vg_census_marks_of(marks, address, true);
    if (!bits)
        return false;
    const uintptr_t place =
        (address & ((UINT64_C(1) << VG_CENSUS_CHUNK_SHIFT) - 1)) >> VG_CENSUS_MARK_SHIFT;
    const uint64_t bit = UINT64_C(1) << (place & 63);
    const bool is_new = !(bits[place >> 6] & bit);
    bits[place >> 6] |= bit;
    return is_new;
}

static inline bool vg_census_marks_has(struct vg_census_marks *marks, uintptr_t address)
{
    const uint64_t *const bits = vg_census_marks_of(marks, address, false);
    const uintptr_t place =
        (address & ((UINT64_C(1) << VG_CENSUS_CHUNK_SHIFT) - 1)) >> VG_CENSUS_MARK_SHIFT;
    return bits && (bits[place >> 6] >> (place & 63) & 1);
}

void vg_census_marks_close(struct vg_census_marks *marks);

/* ---- maps from a word that is not 0 to a number ---- */

struct vg_census_map {
    struct vg_census_pair {
        uint64_t key; /* 0: a free slot */
        uint64_t value;
    } * pairs;
    size_t cap, used;
    bool failed;
};

/* The value of `key`, NULL when it has none. Valid until the next vg_census_map_put. */
uint64_t *vg_census_map_get(const struct vg_census_map *map, uint64_t key);

/* The value of `key`, which gets `value` when it had none (`*is_new`). NULL: no memory. Valid until
 * the next call. */
uint64_t *vg_census_map_put(struct vg_census_map *map, uint64_t key, uint64_t value, bool *is_new);

void vg_census_map_close(struct vg_census_map *map);

#endif
