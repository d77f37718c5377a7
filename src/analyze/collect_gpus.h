/* The part of a failure that NVML and the registry tell: the other processes on the GPU, and the
 * machine's other GPUs. */
#ifndef VRAMGUARD_ANALYZE_COLLECT_GPUS_H
#define VRAMGUARD_ANALYZE_COLLECT_GPUS_H

#include "analyze/collect.h"

/* Begins to ask NVML, which is slow, unless it was asked within the last second: to be called as
 * soon as the failing device is known, and followed by vg_collect_gpus for the same failure. */
void vg_collect_gpus_begin(const struct vg_run_gpu *gpu);

/* Fills in who else holds what of the failing device, and the machine's other GPUs. `out` has its
 * device already, named and with its amounts. Same contract as vg_collect. */
void vg_collect_gpus(const struct vg_failure *failure, struct vg_region *region,
                     struct vg_run_failure *out);

#endif
