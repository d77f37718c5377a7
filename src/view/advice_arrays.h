/* Causes that are seen in arrays of CuPy, numba and JAX and in who holds them, under the conditions
 * that advice_blocks.h has for PyTorch's tensors. Internal to the view floor. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_ADVICE_ARRAYS_H
#define VRAMGUARD_VIEW_ADVICE_ARRAYS_H

#include "view/advice.h"

extern const struct vg_advice_row vg_advice_array_traceback; /* an exception keeps arrays */
extern const struct vg_advice_row vg_advice_kept_arrays;     /* they pile up in a variable */
extern const struct vg_advice_row vg_advice_held_arrays;     /* a variable holds them, as ever */

#endif
