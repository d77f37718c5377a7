/* The text of a line of the program's source. */
#ifndef VRAMGUARD_ANALYZE_SOURCE_LINE_H
#define VRAMGUARD_ANALYZE_SOURCE_LINE_H

#include "analyze/run.h"
#include "base/region.h"
#include "record/format.h"

/* Fills line->text, without its indent and cut to 120 bytes, when line->path names a regular file
 * that can be read, has at most 4 MiB before that line, and was not changed since the process that
 * `header` tells of began; else leaves it. A relative path starts where that process did. Opens and
 * reads the file. No malloc; errno is preserved. */
void vg_source_line_read(struct vg_region *region, const struct vg_file_header *header,
                         struct vg_run_line *line);

#endif
