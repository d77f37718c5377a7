/* Makes a report from a file safe to use. */
#ifndef VRAMGUARD_ANALYZE_VALIDATE_H
#define VRAMGUARD_ANALYZE_VALIDATE_H

#include <stddef.h>

#include "analyze/oom_report.h"
#include "base/text.h"

/* Repairs `report` in place: counts above their arrays are lowered, texts are NUL terminated and
 * cleared of control characters, impossible amounts become VG_BYTES_UNKNOWN. Afterwards every
 * function of the report layer accepts it, whatever it held before.
 *
 * Returns 0 when nothing had to be repaired, a positive number of repairs, or -EPROTO when it was
 * written by another version of this structure (then it is unchanged and must not be used). */
int vg_oom_report_validate(struct vg_oom_report *report);

#endif
