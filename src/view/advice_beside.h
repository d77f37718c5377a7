/* Causes that lie in memory of this process which is not the failing allocator's. Internal to the
 * view floor. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_ADVICE_BESIDE_H
#define VRAMGUARD_VIEW_ADVICE_BESIDE_H

#include "view/advice.h"

extern const struct vg_advice_row vg_advice_other_arena;  /* another framework's pool */
extern const struct vg_advice_row vg_advice_beside_torch; /* memory beside PyTorch's */

#endif
