/* Telling the user: the report on stderr and in the recorder file. */
#ifndef VRAMGUARD_OOM_EMIT_H
#define VRAMGUARD_OOM_EMIT_H

#include "analyze/collect.h"
#include "oom/census.h"

/* Reports a failed allocation. The first failure in 30 s is told in full, the following seven by
 * their first line, further ones are only counted, and the next full report says how many. All but
 * the merely counted go to the recorder file in full. Same contract as vg_collect; errno is
 * preserved. `source`: where a census that is still to be taken has its facts from; it may take a
 * second and a half, and where Python was not to be had for one, none is asked for in the rest of
 * these 30 s. NULL: none is to be taken. */
void vg_report_failure(const struct vg_failure *failure, const struct vg_census_source *source);

/* The calling thread has left a report otherwise than by its end (guard/left_call.h): others may
 * make theirs. Nothing when there is none. */
void vg_report_abandon(void);

/* Writes what is live now (totals, sites, sizes) to file descriptor `fd` and records nothing.
 * `failure` tells tables and device. Returns 0, -EBUSY when another report is being made, or -EIO
 * when not all could be written. */
int vg_report_write(const struct vg_failure *failure, int fd);

#endif
