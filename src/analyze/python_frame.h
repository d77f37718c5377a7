/* Frames of Python code as the report shows them. Pure functions, no malloc. */
#ifndef VRAMGUARD_ANALYZE_PYTHON_FRAME_H
#define VRAMGUARD_ANALYZE_PYTHON_FRAME_H

#include <stdbool.h>

#include "analyze/oom_report.h"
#include "record/format.h"

/* Does the file `path`, as a code object names it, belong to an installed package or to Python's
 * own library? The rest is the program's. */
bool vg_python_file_is_library(const char *path);

/* Fills `out` for a frame of `code` (NULL: not known) at `line` (0 unknown). */
void vg_python_frame_describe(const struct vg_journal_code *code, uint32_t line,
                              struct vg_oom_frame *out);

/* The last part of a qualified name: what the function is called in its source. */
const char *vg_python_frame_short_name(const struct vg_oom_frame *frame);

/* Is this native frame inside the Python interpreter or its ctypes module, so that Python frames
 * stand for it where there are any? */
bool vg_python_frame_hides(const struct vg_oom_frame *frame);

#endif
