/* A census from a run file. */
#ifndef VRAMGUARD_ANALYZE_CENSUS_READ_H
#define VRAMGUARD_ANALYZE_CENSUS_READ_H

#include <stddef.h>

#include "analyze/census.h"
#include "analyze/run.h"
#include "analyze/stack_names.h"
#include "base/region.h"

/* Makes a census in `region` of `count` bytes that a file has under VG_CENSUS_FORMAT: what an older
 * version did not write is 0, what a newer one has added is left out, counts are such that they can
 * be used, and texts such that they can be printed. NULL: no memory. */
const struct vg_census *vg_census_read(struct vg_region *region, const void *bytes, size_t count);

/* The lines of the program that the census tells by (`lines`), in the region of `names`; NULL: it
 * tells by none, or there is no memory. */
const struct vg_run_line *vg_census_name_lines(struct vg_stack_names *names,
                                               const struct vg_census *census);

#endif
