/* Does a place in the program keep some of each round? Rounds need no time: they are the site's own
 * allocations, and the survivors tell when they came. Pure, no malloc. */
#ifndef VRAMGUARD_ANALYZE_GROWTH_H
#define VRAMGUARD_ANALYZE_GROWTH_H

#include "analyze/run.h"

/* Fills site->growth from the site's numbers. */
void vg_growth_judge(struct vg_run_site *site);

#endif
