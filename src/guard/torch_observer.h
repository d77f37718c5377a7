/* PyTorch's observer of out-of-memory, for this process: what oom/census_observer.h asks us. */
#ifndef VRAMGUARD_GUARD_TORCH_OBSERVER_H
#define VRAMGUARD_GUARD_TORCH_OBSERVER_H

#include "guard/process_state.h"

/* PyTorch has given out a block: sees to it that its failures are observed, and clears
 * `wants_census` when that is settled. Any thread, also under PyTorch's locks; does not wait. */
void vg_torch_observer_want(struct vg_process_state *state);

#endif
