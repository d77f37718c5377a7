/* Of several causes that each are memory which the program keeps for no use, the largest is told,
 * not the one that stands first in the table. Internal to the view floor. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_ADVICE_WASTE_H
#define VRAMGUARD_VIEW_ADVICE_WASTE_H

#include "view/advice.h"

/* The row to tell where `row` is the first that applies: of the causes of that kind which apply to
 * the failure the one with the most bytes, the earlier of two; `row` itself, when it is none. */
const struct vg_advice_row *vg_advice_largest_waste(const struct vg_advice_row *row,
                                                    const struct vg_run_failure *failure);

/* For failures whose cause is a limit: appends `before` and the advice of the row that says what
 * holds most of PyTorch's memory, which makes the program fit into it. Returns false, and nothing
 * is appended, where there is none. */
bool vg_advice_add_of_tensors(const struct vg_run_failure *failure, const char *before,
                              struct vg_text *out);

#endif
