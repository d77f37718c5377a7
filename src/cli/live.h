/* What a run had live on a device, gathered from its recorder file in the form the report layer
 * prints. */
#ifndef VRAMGUARD_CLI_LIVE_H
#define VRAMGUARD_CLI_LIVE_H

#include "analyze/oom_report.h"
#include "cli/symbols.h"
#include "record/reader.h"

/* Fills the live_*, peak, size class and site members of `out` (cleared first) for `device`, an
 * index of header.devices. The reader is loaded. Returns 0 or -ENOMEM. */
int vg_live_collect(struct vg_reader *reader, struct vg_symbols *symbols, uint16_t device,
                    struct vg_oom_report *out);

#endif
