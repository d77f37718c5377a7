/* Labels: a call stack in one line, outermost function first, "main (train.c:12) > libfoo.so.1 load
 * > libcudart.so.13 cudaMalloc". Pure functions, no malloc. */
#ifndef VRAMGUARD_ANALYZE_LABEL_H
#define VRAMGUARD_ANALYZE_LABEL_H

#include <stddef.h>

#include "analyze/run.h"

#define VG_LABEL_SEPARATOR " > "
#define VG_LABEL_TORCH     "PyTorch's allocator"
#define VG_LABEL_BACKWARD  "backward of autograd"

enum { VG_LABEL_CAP = 384, VG_LABEL_FRAMES = 256 /* of a stack; further ones are left out */ };

/* Writes the label of `count` frames, innermost first, to `out` (`cap` >= 1 bytes, VG_LABEL_CAP is
 * enough). What a reader cannot use is left out: start-up code of libc, the CUDA driver's own
 * frames and vramguard's. Consecutive frames of one module become one, the innermost with a name
 * (of the CUDA runtime: the function the program called); frames with a source location are all
 * kept, but for those of the Python interpreter; frames of Python code, "train.py:12 main", too,
 * and then the interpreter's own frames are left out. What native code does below Python until it
 * is in PyTorch's allocator, and all in there, is "PyTorch's allocator". A thread in which
 * PyTorch's engine goes through a backward pass has no Python frames: "backward of autograd
 * (SinBackward0) > PyTorch's allocator", by the operation. Without any named function of the
 * program all its frames are kept as "app+0x1a2b". A label that does not fit is cut in its middle.
 * "" when nothing is left. */
void vg_label_from_frames(const struct vg_run_frame *frames, size_t count, char *out, size_t cap);

/* Writes `label` to `out` (`cap` >= 1 bytes), shortened to at most `width` bytes: whole functions
 * in its middle become "...", both ends stay. */
void vg_label_fit(char *out, size_t cap, const char *label, size_t width);

#endif
