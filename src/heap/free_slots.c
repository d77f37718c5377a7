#include "heap/free_slots.h"

/* Takes the first slot behind `before` that is not in use off the list. Those that are wait for the
 * driver's answer to their free: there are no more of them than threads. Returns 1 + its number, 0
 * when there is none. */
static uint32_t take_unused(uint32_t before, void *slots, size_t next_offset)
{
    while (before != 0) {
        uint32_t *const link = vg_free_slot_next(slots, before - 1, next_offset);
        const uint32_t at = *link;
        if (at != 0 &&
            atomic_load_explicit(vg_free_slot_address(slots, at - 1), memory_order_acquire) == 0) {
            *link = *vg_free_slot_next(slots, at - 1, next_offset);
            return at;
        }
        before = at;
    }
    return 0;
}

uint32_t vg_free_slots_take_behind(uint32_t *list, void *slots, size_t next_offset,
                                   struct vg_recorder *recorder, vg_slot_source *more)
{
    const uint32_t found = take_unused(*list, slots, next_offset);
    uint64_t first;
    if (found != 0)
        return found;
    if (more(recorder, VG_SLOTS_AT_ONCE, &first) != 0)
        return 0;
    for (uint64_t i = 1; i + 1 < VG_SLOTS_AT_ONCE; i++)
        *vg_free_slot_next(slots, first + i, next_offset) = (uint32_t)(first + i + 2);
    *vg_free_slot_next(slots, first + VG_SLOTS_AT_ONCE - 1, next_offset) = *list;
    *list = (uint32_t)first + 2;
    return (uint32_t)first + 1;
}

void vg_free_slots_keep(uint32_t *list, void *slots, size_t next_offset, uint32_t number)
{
    if (*list == number + 1) {
        *list = *vg_free_slot_next(slots, number, next_offset);
        return;
    }
    for (uint32_t at = *list; at != 0;) {
        uint32_t *const link = vg_free_slot_next(slots, at - 1, next_offset);
        if (*link == number + 1) {
            *link = *vg_free_slot_next(slots, number, next_offset);
            return;
        }
        at = *link;
    }
}
