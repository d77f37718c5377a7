/* The report's line about PyTorch's allocator. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_RENDER_TORCH_H
#define VRAMGUARD_VIEW_RENDER_TORCH_H

#include <stddef.h>

#include "analyze/run.h"
#include "base/text.h"

/* Appends "  PyTorch   reserved 6.10 GiB in 41 segments (...); ..." in lines of at most `columns`;
 * nothing when PyTorch's allocator holds nothing of the device of a validated report. */
void vg_render_torch(struct vg_text *out, const struct vg_run_failure *report, size_t indent,
                     size_t columns);

#endif
