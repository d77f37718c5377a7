/* Which model does the process load? The .safetensors files that it has mapped tell their tensors'
 * types and sizes in a header of JSON (the format: README of huggingface/safetensors). */
#ifndef VRAMGUARD_ANALYZE_CHECKPOINT_H
#define VRAMGUARD_ANALYZE_CHECKPOINT_H

#include <stdint.h>

#include "analyze/run.h"
#include "base/region.h"

/* Adds up the tensors that the header `text` (`length` bytes of any content) describes, into
 * f32_bytes, half_bytes and other_bytes of `out`. `data_bytes`: what follows the header in the
 * file; no tensor reaches beyond it, and all together are no more. Returns 0, or -EBADMSG for
 * what is no such header (`out` is then untouched). Pure. */
int vg_checkpoint_parse(const char *text, uint64_t length, uint64_t data_bytes,
                        struct vg_run_checkpoint *out);

/* Fills `out`, its name in `region`, from the files that this process has mapped: at most 64 of
 * them, headers of at most 1 MiB each and 4 MiB together. A .safetensors file that is too large or
 * cannot be read is counted in `unread`; what lies behind the 64th file is not looked at. Opens and
 * reads them, which the program did just now. errno is preserved. Any thread; no lock of ours may
 * be held. */
void vg_checkpoint_find(struct vg_region *region, struct vg_run_checkpoint *out);

#endif
