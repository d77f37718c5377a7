/* Outcomes of actions in words: one row of analyze/outcome_table.h each. Nothing here allocates. */
#ifndef VRAMGUARD_VIEW_OUTCOME_TEXT_H
#define VRAMGUARD_VIEW_OUTCOME_TEXT_H

#include "analyze/outcome.h"
#include "base/text.h"

/* Appends the sentence of `outcome`; `subject` is its {text} and the command in its {who}, "" for
 * none. A code that this version does not know becomes "outcome 123". */
void vg_outcome_text(struct vg_text *out, const struct vg_outcome *outcome, const char *subject);

/* Appends the sentences of all outcomes of `action`, with ", " in between. */
void vg_outcome_text_all(struct vg_text *out, const struct vg_oom_action *action);

/* The name for programs (JSON) of a code; NULL for an unknown one. Static. */
const char *vg_outcome_json_name(uint16_t code);

#endif
