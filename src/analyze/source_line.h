/* The text of a line of the program's source. */
#ifndef VRAMGUARD_ANALYZE_SOURCE_LINE_H
#define VRAMGUARD_ANALYZE_SOURCE_LINE_H

#include "analyze/run.h"
#include "base/region.h"

/* Fills line->text, without its indent and cut to 120 bytes, when line->path is the absolute path
 * of a regular file that can be read, at most 4 MiB before that line, and was last changed before
 * `changed_before_ns` (CLOCK_REALTIME); else leaves it. Opens and reads the file. No malloc; errno
 * is preserved. */
void vg_source_line_read(struct vg_region *region, uint64_t changed_before_ns,
                         struct vg_run_line *line);

#endif
