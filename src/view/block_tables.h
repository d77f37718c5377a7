/* What PyTorch's tensors are and which lines made them: two tables, side by side where the terminal
 * is wide enough. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_BLOCK_TABLES_H
#define VRAMGUARD_VIEW_BLOCK_TABLES_H

#include <stddef.h>

#include "analyze/run.h"
#include "base/text.h"

/* Appends both tables, of at most `rows` rows each, in lines of at most `columns` (60 to 200);
 * nothing when PyTorch's blocks are not known. A table whose facts are missing is left out. */
void vg_block_tables_add(struct vg_text *out, const struct vg_run_failure *failure, size_t rows,
                         size_t columns);

/* Is there anything to show? */
bool vg_block_tables_are_known(const struct vg_run_failure *failure);

#endif
