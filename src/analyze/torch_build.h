/* What PyTorch's allocator does with its memory of one device, from a run's source: the driver's
 * allocations and the blocks that lie in them. No malloc; one thread at a time. */
#ifndef VRAMGUARD_ANALYZE_TORCH_BUILD_H
#define VRAMGUARD_ANALYZE_TORCH_BUILD_H

#include "analyze/run_source.h"

/* Fills the numbers of `out` that come from PyTorch's own calls, those from `tells_blocks` on, for
 * device `index` of the header; nothing when it has told of no block there. Where the source cannot
 * tell whose an allocation is, `reserved_bytes` is what PyTorch said last, and segments without a
 * block are what is left of it. Memory comes from `region`; without any, holes are unknown. */
void vg_torch_build(const struct vg_run_source *source, struct vg_region *region, uint32_t index,
                    struct vg_run_torch *out);

#endif
