/* Of several causes that each are memory which the program keeps for no use, the largest is told,
 * not the one that stands first in the table. Internal to the view floor. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_ADVICE_WASTE_H
#define VRAMGUARD_VIEW_ADVICE_WASTE_H

#include "view/advice.h"

/* The row to tell where `row` is the first that applies: of the causes of that kind which apply to
 * the failure the one with the most bytes, the earlier of two; `row` itself, when it is none. */
const struct vg_advice_row *vg_advice_largest_waste(const struct vg_advice_row *row,
                                                    const struct vg_run_failure *failure);

/* What holds most of PyTorch's memory, for failures whose cause is a limit: the row whose advice
 * makes the program fit into it, NULL for none. */
const struct vg_advice_row *vg_advice_of_tensors(const struct vg_run_failure *failure);

#endif
