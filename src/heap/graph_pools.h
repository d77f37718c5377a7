/* Memory that PyTorch's allocator takes for CUDA graphs: while one is captured, blocks come from a
 * private pool, whose segments stay as long as a graph needs them (torch.cuda.graph_pool_handle).
 * What the segments hold is in the live index (struct vg_allocation, capture); here is whether
 * captures have used memory that an earlier one took, so that their pool is one. Knows nothing of
 * CUDA calls. */
#ifndef VRAMGUARD_HEAP_GRAPH_POOLS_H
#define VRAMGUARD_HEAP_GRAPH_POOLS_H

#include <stdint.h>

/* Zeroed at first. One capture at a time is followed: of those that overlap, the last. */
struct vg_graph_pools {
    _Atomic uint32_t capture; /* the one that the next two are of */
    _Atomic uint64_t segment_bytes;
    _Atomic uint64_t before_bytes; /* in blocks, before its first; VG_BYTES_UNKNOWN: none yet */
    _Atomic uint32_t last_reuser, reuser_count;
};

/* A segment of `bytes` has been taken for `capture`, not 0. Any thread, no lock. */
void vg_graph_pools_add_segment(struct vg_graph_pools *pools, uint32_t capture, uint64_t bytes);

/* PyTorch has given out a block of `bytes` for `capture`, not 0, and counts `allocated_bytes` in
 * blocks with it. When these have grown by more than the capture's own segments have, there was
 * memory of an earlier one. Any thread, no lock; what two threads do at once may be missed. */
void vg_graph_pools_add_block(struct vg_graph_pools *pools, uint32_t capture, uint64_t bytes,
                              uint64_t allocated_bytes);

#endif
