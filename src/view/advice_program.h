/* Causes that lie with other processes which belong to this program, were left behind, or keep
 * memory that nothing uses. Internal to the report layer. */
#ifndef VRAMGUARD_VIEW_ADVICE_PROGRAM_H
#define VRAMGUARD_VIEW_ADVICE_PROGRAM_H

#include "view/advice.h"

/* Workers of the program have a context each, and for one more there is no room. */
extern const struct vg_advice_row vg_advice_worker_contexts;

/* Other ranks, workers, the parent or children hold what is missing: they do not end before this
 * one. */
extern const struct vg_advice_row vg_advice_own_program;

/* A process that outlived who started it does. */
extern const struct vg_advice_row vg_advice_orphan;

/* What is missing lies unused in the pools of a neighbour that said so. */
extern const struct vg_advice_row vg_advice_idle_neighbour;

#endif
