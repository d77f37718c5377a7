/* The part of a report that comes from this process's own tables. */
#ifndef VRAMGUARD_ANALYZE_COLLECT_OWN_H
#define VRAMGUARD_ANALYZE_COLLECT_OWN_H

#include "analyze/collect.h"

/* Stack, live bytes, histogram and sites on the failing device. Same contract as vg_collect. */
void vg_collect_own(const struct vg_failure *failure, struct vg_oom_report *out);

/* The place of the failing call as one label (vg_label_from_frames), "" when another thread is
 * asking right now or nothing is known. */
void vg_collect_where(const struct vg_failure *failure, char *out, size_t cap);

#endif
