/* Does a place in the program keep some of each round? Rounds need no time: they are the site's own
 * allocations, and the survivors tell when they came. Pure, no malloc. */
#ifndef VRAMGUARD_ANALYZE_GROWTH_H
#define VRAMGUARD_ANALYZE_GROWTH_H

#include "analyze/census.h"
#include "analyze/run.h"

/* Fills site->growth from the site's numbers. */
void vg_growth_judge(struct vg_run_site *site);

/* What was given out meanwhile. */
enum vg_growth_pace {
    VG_PACE_AT_ONCE,     /* nothing else, as when a load, or data that is being made, puts there one
                            thing right after the other */
    VG_PACE_WITH_COPIES, /* a copy or two for each, as when a load converts what it puts there */
    VG_PACE_OTHER,
};

/* The same of what a variable holds. */
enum vg_run_growth_kind vg_growth_of_history(const struct vg_census_history *history,
                                             enum vg_growth_pace *out_pace);

/* Did all that the place has live come at once? */
bool vg_growth_came_at_once(const struct vg_run_site *site);

#endif
