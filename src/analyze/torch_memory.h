/* What PyTorch's caching allocator does with the memory that it has of the driver: how much of it
 * is in blocks, and how the rest is cut up. Pure, no malloc. */
#ifndef VRAMGUARD_ANALYZE_TORCH_MEMORY_H
#define VRAMGUARD_ANALYZE_TORCH_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory of one device that the driver gave: a cudaMalloc, or one mapped piece of an expandable
 * segment, which with its neighbours is one segment. */
struct vg_torch_segment {
    uint64_t address, bytes;
    bool is_piece;  /* of an expandable segment */
    bool is_judged; /* its stack says that it is PyTorch's. If not, it counts when a block is in it
                     */
};

/* A block of the same device (vg_blocks_each, vg_reader_each_block). */
struct vg_torch_block {
    uint64_t address, bytes;
};

struct vg_torch_memory {
    uint64_t reserved_bytes;  /* as torch.cuda.memory_reserved() */
    uint64_t allocated_bytes; /* as torch.cuda.memory_allocated() */
    uint64_t block_count;
    uint64_t unused_bytes;                               /* reserved and in no block */
    uint64_t hole_count, hole_bytes, largest_hole_bytes; /* in segments with blocks */
    uint64_t empty_count, empty_bytes; /* segments without any: what emptying the cache gives back
                                          whole; pieces of expandable segments that hold no part of
                                          a block likewise */
    uint64_t fitting_count, fitting_bytes; /* holes of at least what was asked for */
    uint64_t stray_count, stray_bytes; /* blocks in no segment: of an allocator plugged into PyTorch
                                          that has its memory elsewhere */
};

/* Measures `segments` and `blocks` of one device, which are sorted in place. `asked_bytes`: how
 * large a hole counts as fitting. PyTorch joins unused neighbours (CUDACachingAllocator.cpp,
 * free_block), so what lies between two blocks is one hole; a block that another stream still uses
 * is one until PyTorch has seen that stream's end. */
void vg_torch_memory_measure(struct vg_torch_segment *segments, size_t segment_count,
                             struct vg_torch_block *blocks, size_t block_count,
                             uint64_t asked_bytes, struct vg_torch_memory *out);

#endif
