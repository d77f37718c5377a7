/* The sizes of live allocations in one or two lines. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_HISTOGRAM_H
#define VRAMGUARD_VIEW_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "analyze/run.h"
#include "base/text.h"

/* Appends the non-empty classes of `counts` (VG_RUN_SIZE_CLASSES of them; [n] counts sizes of
 * 2^n <= bytes < 2^(n+1)) as "2-4 MiB: 311   16-32 MiB: 84   1-2 GiB: 2". Neighbours with the
 * smallest counts are joined until the text has at most `width` characters. Nothing is appended
 * when all counts are 0. */
void vg_histogram_add(struct vg_text *out, const uint64_t *counts, size_t width);

#endif
