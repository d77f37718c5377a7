/* What of the memory that PyTorch's allocator has reserved is in no block: its holes, and segments
 * that are empty. Pure, no malloc. */
#ifndef VRAMGUARD_ANALYZE_HOLES_H
#define VRAMGUARD_ANALYZE_HOLES_H

#include <stdbool.h>
#include <stdint.h>

struct vg_memory_range {
    uint64_t address, bytes;
};

struct vg_holes {
    bool known; /* false: there are blocks outside all segments, whose holes are not known */
    uint64_t hole_count; /* gaps in segments that are partly used */
    uint64_t largest_bytes, hole_bytes;
    uint64_t empty_count, empty_bytes; /* segments without a block */
};

/* Sorts both lists and looks for the gaps between the `block_count` blocks that lie in the
 * `segment_count` segments. Blocks that overlap, which can be seen when they come and go meanwhile,
 * count once. */
void vg_holes_find(struct vg_memory_range *segments, uint32_t segment_count,
                   struct vg_memory_range *blocks, uint32_t block_count, struct vg_holes *out);

#endif
