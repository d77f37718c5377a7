/* Frames of stacks: Python's from the records of their code, and what all of them are asked. No
 * malloc. */
#ifndef VRAMGUARD_ANALYZE_FRAME_H
#define VRAMGUARD_ANALYZE_FRAME_H

#include <stdbool.h>
#include <stddef.h>

#include "analyze/run.h"
#include "base/region.h"
#include "record/format.h"

enum { VG_FRAME_LOCATION_CAP = 48 };

/* The frame of `code` (NULL: not known) at `line` (0 unknown). Its texts are those of the record,
 * or copies in `region` when they are not safe to print. */
struct vg_run_frame vg_frame_of_python(struct vg_region *region, const struct vg_journal_code *code,
                                       uint32_t line);

/* A frame of which nothing but its address is known. */
struct vg_run_frame vg_frame_of_address(uint64_t address);

/* Is `path`, as Python knows it, of Python's library or of an installed package? */
bool vg_frame_is_library_path(const char *path);

static inline bool vg_frame_is_python(const struct vg_run_frame *frame)
{
    return frame->flags & VG_FRAME_PYTHON;
}

static inline bool vg_frame_is_library(const struct vg_run_frame *frame)
{
    return frame->flags & VG_FRAME_LIBRARY;
}

/* Of the program's own Python code? */
static inline bool vg_frame_is_own(const struct vg_run_frame *frame)
{
    return (frame->flags & (VG_FRAME_PYTHON | VG_FRAME_LIBRARY)) == VG_FRAME_PYTHON;
}

/* The end of `path`: its name and as many directories before it. Points into `path`. */
const char *vg_frame_path_end(const char *path, uint32_t directories);

/* Writes "train.py:12", "train.py" without a line, "" without a file. A long name is cut at its
 * front. `out` holds VG_FRAME_LOCATION_CAP bytes. Returns `out`. */
const char *vg_frame_location(char *out, const struct vg_run_frame *frame);

/* The last part of a qualified name: what the function is called in its source. */
const char *vg_frame_short_name(const char *function);

/* Is this native frame inside the Python interpreter or its ctypes module, so that Python frames
 * stand for it where there are any? */
bool vg_frame_is_interpreter(const struct vg_run_frame *frame);

#endif
