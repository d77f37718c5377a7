/* The slots of a run file's area that a shard may use: those given back, linked through the slots
 * themselves, and new ones in batches. Of the areas whose slots are 64 bytes and begin with the
 * address, 0 when they are not in use (record/format.h). A slot may be given back while it is still
 * in use: whoever sets its address to 0 then ends that, without a lock. Else not thread-safe: the
 * shard's lock guards them. */
#ifndef VRAMGUARD_HEAP_FREE_SLOTS_H
#define VRAMGUARD_HEAP_FREE_SLOTS_H

#include <stdatomic.h>
#include <stddef.h>

#include "heap/address_index.h"
#include "record/recorder.h"

enum { VG_SLOTS_AT_ONCE = 64 };

/* vg_recorder_take_slots or vg_recorder_take_blocks. */
typedef int vg_slot_source(struct vg_recorder *recorder, uint32_t count, uint64_t *out_first);

/* Where slot `number` has the link to the next free one, 1 + its number or 0, `next_offset` bytes
 * behind its beginning. */
static inline uint32_t *vg_free_slot_next(void *slots, uint64_t number, size_t next_offset)
{
    return (void *)((char *)slots + number * VG_ADDRESS_SLOT_BYTES + next_offset);
}

static inline _Atomic uint64_t *vg_free_slot_address(void *slots, uint64_t number)
{
    return (void *)((char *)slots + number * VG_ADDRESS_SLOT_BYTES);
}

/* The rest of vg_free_slots_take, when the first of the list may not be used. */
uint32_t vg_free_slots_take_behind(uint32_t *list, void *slots, size_t next_offset,
                                   struct vg_recorder *recorder, vg_slot_source *more);

/* 1 + the number of a slot that is not in use, which is taken off `*list` (1 + the number of its
 * first; 0 for an empty one); 0 when there is no memory. */
static inline uint32_t vg_free_slots_take(uint32_t *list, void *slots, size_t next_offset,
                                          struct vg_recorder *recorder, vg_slot_source *more)
{
    const uint32_t first = *list;
    if (__builtin_expect(first == 0 || atomic_load_explicit(vg_free_slot_address(slots, first - 1),
                                                            memory_order_acquire) != 0,
                         0))
        return vg_free_slots_take_behind(list, slots, next_offset, recorder, more);
    *list = *vg_free_slot_next(slots, first - 1, next_offset);
    return first;
}

/* Gives slot `number` back, which may stay in use until vg_free_slots_end. */
static inline void vg_free_slots_give(uint32_t *list, void *slots, size_t next_offset,
                                      uint32_t number)
{
    *vg_free_slot_next(slots, number, next_offset) = *list;
    *list = number + 1;
}

/* Ends the use of slot `number`, for readers too. Any thread; no lock is needed. */
static inline void vg_free_slots_end(void *slots, uint32_t number)
{
    atomic_store_explicit(vg_free_slot_address(slots, number), 0, memory_order_release);
}

/* Takes slot `number`, which was given back and is still in use, off the list again. Looks through
 * those that were given back after it. */
void vg_free_slots_keep(uint32_t *list, void *slots, size_t next_offset, uint32_t number);

/* Reports walk slots without a lock while others empty and fill them. */
#define VG_READ_FIELD(slot, field)         __atomic_load_n(&(slot)->field, __ATOMIC_RELAXED)
#define VG_WRITE_FIELD(slot, field, value) __atomic_store_n(&(slot)->field, value, __ATOMIC_RELAXED)

#endif
