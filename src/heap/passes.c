#include "heap/passes.h"

void vg_passes_note_change(struct vg_passes *passes, uint64_t number, enum vg_block_maker maker)
{
    passes->under_way = maker == VG_MADE_BY_BACKWARD;
    if (passes->under_way)
        passes->starts[passes->count++ % VG_PASSES_KEPT] = number;
}

uint64_t vg_passes_before(const struct vg_passes *passes, uint64_t number)
{
    const uint64_t oldest = passes->count > VG_PASSES_KEPT ? passes->count - VG_PASSES_KEPT : 0;
    uint64_t low = oldest, high = passes->count;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (passes->starts[middle % VG_PASSES_KEPT] <= number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}
