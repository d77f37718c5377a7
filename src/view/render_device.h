/* The report's block about one device. Internal to the report layer. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_RENDER_DEVICE_H
#define VRAMGUARD_VIEW_RENDER_DEVICE_H

#include <stddef.h>

#include "analyze/run.h"
#include "base/text.h"

/* Appends the device's name line and one line with amount, share and bar for each part of its
 * accounting (analyze/account.h). Lines have at most `columns` columns. */
void vg_render_device(struct vg_text *out, const struct vg_run_failure *report, size_t columns);

#endif
