/* What a device held at its peak, by the place in the program. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_PEAK_TABLE_H
#define VRAMGUARD_VIEW_PEAK_TABLE_H

#include <stddef.h>

#include "analyze/run.h"
#include "base/text.h"

/* Appends a title and the `rows` places that held most when the device was at its peak, in lines of
 * at most `columns`: of PyTorch's tensors where its blocks are recorded, else of the driver's
 * allocations. Nothing where peaks are not recorded. */
void vg_peak_table_add(struct vg_text *out, const struct vg_run_device *device, size_t rows,
                       size_t columns);

#endif
