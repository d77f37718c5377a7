/* The report's line about PyTorch's allocator. Pure, no malloc. */
#ifndef VRAMGUARD_REPORT_RENDER_TORCH_H
#define VRAMGUARD_REPORT_RENDER_TORCH_H

#include <stddef.h>

#include "base/text.h"
#include "report/snapshot.h"

/* Appends "  PyTorch   reserved 6.10 GiB in 41 segments (...); ..." in lines of at most `columns`;
 * nothing when PyTorch's allocator holds nothing of the device of a validated snapshot. */
void vg_render_torch(struct vg_text *out, const struct vg_snapshot *snapshot, size_t indent,
                     size_t columns);

#endif
