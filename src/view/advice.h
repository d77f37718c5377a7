/* Why did the allocation fail, and what helps? One table of causes, the first that applies wins
 * (of those that the program keeps for no use, the largest); each says its cause and its advice in
 * one plain sentence from measured numbers only. Advice has no full stop: it often ends in
 * something to copy. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_ADVICE_H
#define VRAMGUARD_VIEW_ADVICE_H

#include <stdbool.h>

#include "analyze/run.h"
#include "base/text.h"

enum { VG_ADVICE_TEXT_CAP = 640 }; /* enough for any cause and any advice */

struct vg_advice_row {
    const char *name; /* of the cause, one word with dashes */
    bool (*applies)(const struct vg_run_failure *report);
    void (*cause)(const struct vg_run_failure *report, struct vg_text *out);
    void (*advice)(const struct vg_run_failure *report, struct vg_text *out);
};

/* The row that applies to a validated report. Never NULL: the last row always applies. */
const struct vg_advice_row *vg_advice_find(const struct vg_run_failure *report);

#endif
