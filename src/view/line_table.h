/* What a device holds, or held at its peak, by the place in the program. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_LINE_TABLE_H
#define VRAMGUARD_VIEW_LINE_TABLE_H

#include <stddef.h>

#include "analyze/run.h"
#include "base/text.h"

/* Appends a title and the `rows` places whose PyTorch tensors hold most, in lines of at most
 * `columns`. `moment` ends the title: "at its exit". Nothing where no block is live or none is
 * recorded. */
void vg_line_table_add_live(struct vg_text *out, const struct vg_run_device *device,
                            const char *moment, size_t rows, size_t columns);

/* The same for what they held when the device was at its peak; of the driver's allocations where
 * PyTorch's blocks are not recorded, nothing where peaks are not. Only a title where it is what
 * `told` has as live, which stands above; NULL: nothing does. */
void vg_line_table_add_peak(struct vg_text *out, const struct vg_run_device *device,
                            const struct vg_run_device *told, size_t rows, size_t columns);

#endif
