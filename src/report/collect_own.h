/* The part of a snapshot that comes from this process's own tables. */
#ifndef VRAMGUARD_REPORT_COLLECT_OWN_H
#define VRAMGUARD_REPORT_COLLECT_OWN_H

#include "report/collect.h"

/* Stack, live bytes, histogram and sites on the failing device. Same contract as vg_collect. */
void vg_collect_own(const struct vg_failure *failure, struct vg_snapshot *out);

#endif
