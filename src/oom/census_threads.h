/* Where the program's other threads are. */
#ifndef VRAMGUARD_OOM_CENSUS_THREADS_H
#define VRAMGUARD_OOM_CENSUS_THREADS_H

#include "analyze/collect.h"

/* Stores the innermost line of the program's own Python code in which the main thread is; `line` 0
 * when that is not known. The calling thread holds the GIL, so that the main thread's frames cannot
 * change. No malloc, no locks. */
void vg_census_main_line(struct vg_program_line *out);

#endif
