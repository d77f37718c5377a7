/* What PyTorch's allocator holds of a device, to the byte, from its own blocks. */
#ifndef VRAMGUARD_ANALYZE_TORCH_BLOCKS_H
#define VRAMGUARD_ANALYZE_TORCH_BLOCKS_H

#include "analyze/run_source.h"

/* Fills in what `torch` tells of blocks (from tells_blocks on) for device `index`, whose sites are
 * built. Leaves it when blocks are not recorded. Memory comes from `region`. */
void vg_torch_blocks_measure(const struct vg_run_source *source, struct vg_region *region,
                             uint32_t index, const struct vg_run_device *device,
                             struct vg_run_torch *torch);

#endif
