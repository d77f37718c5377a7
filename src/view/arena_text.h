/* A framework's own pool of GPU memory, in words: it hands out and refuses by itself, so that a
 * program can end for lack of memory without a failed call. */
#ifndef VRAMGUARD_VIEW_ARENA_TEXT_H
#define VRAMGUARD_VIEW_ARENA_TEXT_H

#include <stdbool.h>

#include "analyze/run.h"
#include "base/text.h"

/* Appends "JAX held 3.00 GiB of GPU 0 at the peak in 1 piece, a pool of its own: ...", no newline,
 * where a framework with a pool (framework_table.h) took pieces of an eighth of the GPU or more.
 * Returns false, and appends nothing, where none did. Pure, no malloc. */
bool vg_arena_render(const struct vg_run_device *device, struct vg_text *out);

#endif
