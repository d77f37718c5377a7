/* The report's block about one device. Internal to the report layer. Pure, no malloc. */
#ifndef VRAMGUARD_REPORT_RENDER_DEVICE_H
#define VRAMGUARD_REPORT_RENDER_DEVICE_H

#include <stddef.h>

#include "base/text.h"
#include "report/snapshot.h"

/* Appends the device's name line and one line with amount, share and bar for each part of its
 * accounting (report/account.h). Lines have at most `columns` columns. */
void vg_render_device(struct vg_text *out, const struct vg_snapshot *snapshot, size_t columns);

#endif
