/* Arrays of CuPy, numba and JAX: how much they take, of which shapes, and which variables hold
 * them. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_ARRAY_TABLES_H
#define VRAMGUARD_VIEW_ARRAY_TABLES_H

#include <stddef.h>

#include "analyze/run.h"
#include "base/text.h"

/* Appends both tables, of at most `rows` rows each, in lines of at most `columns` (60 to 200), or
 * one line that says why nothing is known where arrays were looked for in vain; nothing where there
 * are none. */
void vg_array_tables_add(struct vg_text *out, const struct vg_run_failure *failure, size_t rows,
                         size_t columns);

/* Is there anything to show? */
bool vg_array_tables_are_known(const struct vg_run_failure *failure);

#endif
