/* The batch that a program works on: how many of it would fit, and what it takes. Internal to the
 * view floor. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_BATCH_TEXT_H
#define VRAMGUARD_VIEW_BATCH_TEXT_H

#include <stddef.h>

#include "analyze/run.h"
#include "base/text.h"

/* Appends "a smaller batch (with gradient accumulation)", and how many of it fit at most where that
 * can be told; of a batch of one, what to do instead. */
void vg_batch_text_add_smaller(const struct vg_run_failure *failure, struct vg_text *out);

/* Appends what is known of the batch, under its key; nothing when nothing is. */
void vg_batch_text_render(struct vg_text *out, const struct vg_run_failure *failure, size_t indent,
                          size_t columns);

#endif
