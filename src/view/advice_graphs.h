/* Causes that lie in CUDA graphs. Internal to the view floor. */
#ifndef VRAMGUARD_VIEW_ADVICE_GRAPHS_H
#define VRAMGUARD_VIEW_ADVICE_GRAPHS_H

#include "view/advice.h"

extern const struct vg_advice_row vg_advice_graph_pools;  /* PyTorch's private pools */
extern const struct vg_advice_row vg_advice_graph_memory; /* what graphs allocate by themselves */

#endif
