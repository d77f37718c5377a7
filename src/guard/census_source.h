/* What a census asks of the guard: which blocks of PyTorch's are live on a device. */
#ifndef VRAMGUARD_GUARD_CENSUS_SOURCE_H
#define VRAMGUARD_GUARD_CENSUS_SOURCE_H

#include <stdint.h>

#include "oom/census.h"

/* Fills `out` for `device`, 0 to VG_FILE_HOST - 1. The thread that takes the census may be late, or
 * in a forked child: it is given nothing that could end, and each question goes to the state that
 * this process has by then. */
void vg_census_source_init(struct vg_census_source *out, int32_t device);

#endif
