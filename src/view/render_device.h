/* The report's block about one device. Internal to the view floor. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_RENDER_DEVICE_H
#define VRAMGUARD_VIEW_RENDER_DEVICE_H

#include <stddef.h>

#include "analyze/run.h"
#include "base/text.h"

enum { VG_PROCESS_NOTE_CAP = 33 }; /* what does not fit is left out: the first says most */

/* What is worth knowing of another process: "guarded, waiting", "same job, rank 3, guarded, 700 MiB
 * unused"; "" nothing. `out` has VG_PROCESS_NOTE_CAP bytes. Returns it. */
const char *vg_render_process_note(char *out, const struct vg_run_other *process);

/* Appends the device's name line and one line with amount, share and bar for each part of its
 * accounting (analyze/account.h). Lines have at most `columns` columns. */
void vg_render_device(struct vg_text *out, const struct vg_run_failure *report, size_t columns);

#endif
