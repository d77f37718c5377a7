/* The part of a failure that NVML and the registry tell: the other processes on the GPU, and the
 * machine's other GPUs. */
#ifndef VRAMGUARD_ANALYZE_COLLECT_GPUS_H
#define VRAMGUARD_ANALYZE_COLLECT_GPUS_H

#include "analyze/collect.h"

/* Fills in who else holds what of the failing device, and the machine's other GPUs. `out` has its
 * device already, named and with its amounts. Same contract as vg_collect. */
void vg_collect_gpus(const struct vg_failure *failure, struct vg_region *region,
                     struct vg_run_failure *out);

#endif
