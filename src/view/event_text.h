/* Rescues and marks in a line each. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_EVENT_TEXT_H
#define VRAMGUARD_VIEW_EVENT_TEXT_H

#include "analyze/run.h"
#include "base/text.h"

/* Appends "2.00 GiB on GPU 0 after 3.1 s; trim: ...; wait: got it; pid 4711 freed 3.20 GiB": no
 * newline. */
void vg_event_add_rescue(struct vg_text *out, const struct vg_run_rescue *rescue);

/* Appends "epoch 3: 1.20 GiB live on GPU 0, peak 3.40 GiB": no newline. */
void vg_event_add_mark(struct vg_text *out, const struct vg_run_mark *mark);

#endif
