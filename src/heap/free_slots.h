/* The slots of a run file's area that a shard may use: those given back, linked through the slots
 * themselves, and new ones in batches. Of the areas whose slots are 64 bytes and begin with the
 * address, 0 when they are not in use (record/format.h). Not thread-safe: the shard's lock guards
 * them. */
#ifndef VRAMGUARD_HEAP_FREE_SLOTS_H
#define VRAMGUARD_HEAP_FREE_SLOTS_H

#include <stddef.h>

#include "heap/address_index.h"
#include "record/recorder.h"

enum { VG_SLOTS_AT_ONCE = 64 };

/* vg_recorder_take_slots or vg_recorder_take_blocks. */
typedef int vg_slot_source(struct vg_recorder *recorder, uint32_t count, uint64_t *out_first);

/* Where slot `number` has the link to the next free one, 1 + its number or 0, `next_offset` bytes
 * behind its beginning. */
static inline uint64_t *vg_free_slot_next(void *slots, uint64_t number, size_t next_offset)
{
    return (void *)((char *)slots + number * VG_ADDRESS_SLOT_BYTES + next_offset);
}

/* Reports walk slots without a lock, and may be at this one still: they take nothing from it that
 * was read after its address had become 0. */
static inline void vg_free_slot_link(void *slots, uint64_t number, size_t next_offset,
                                     uint64_t link)
{
    __atomic_store_n(vg_free_slot_next(slots, number, next_offset), link, __ATOMIC_RELAXED);
}

/* 1 + the number of a slot that is not in use, which is taken off `*list` (1 + the number of its
 * first; 0 for an empty one); 0 when there is no memory. */
static inline uint32_t vg_free_slots_take(uint32_t *list, void *slots, size_t next_offset,
                                          struct vg_recorder *recorder, vg_slot_source *more)
{
    if (*list == 0) {
        uint64_t first;
        if (more(recorder, VG_SLOTS_AT_ONCE, &first) != 0)
            return 0;
        for (uint64_t i = 0; i + 1 < VG_SLOTS_AT_ONCE; i++)
            vg_free_slot_link(slots, first + i, next_offset, first + i + 2);
        vg_free_slot_link(slots, first + VG_SLOTS_AT_ONCE - 1, next_offset, 0);
        *list = (uint32_t)first + 1;
    }
    const uint32_t taken = *list;
    *list = (uint32_t)*vg_free_slot_next(slots, taken - 1, next_offset);
    return taken;
}

/* Ends the use of slot `number`, for readers too. */
static inline void vg_free_slots_give(uint32_t *list, void *slots, size_t next_offset,
                                      uint32_t number)
{
    _Atomic uint64_t *const address =
        (void *)((char *)slots + (uint64_t)number * VG_ADDRESS_SLOT_BYTES);
    atomic_store_explicit(address, 0, memory_order_release);
    vg_free_slot_link(slots, number, next_offset, *list);
    *list = number + 1;
}

/* Reports walk slots without a lock while others empty and fill them. */
#define VG_READ_FIELD(slot, field)         __atomic_load_n(&(slot)->field, __ATOMIC_RELAXED)
#define VG_WRITE_FIELD(slot, field, value) __atomic_store_n(&(slot)->field, value, __ATOMIC_RELAXED)

#endif
