/* What PyTorch's allocator says in this thread of an allocation that lacked memory, or may have: it
 * knows whether a failing call (oom_call.h) was the end of it. */
#ifndef VRAMGUARD_GUARD_TORCH_OOM_H
#define VRAMGUARD_GUARD_TORCH_OOM_H

#include <stdint.h>

#include "oom/census_observer.h"

struct vg_process_state;

/* It has got a block after all. Locks as vg_oom_call_answer. */
void vg_torch_oom_served(struct vg_process_state *state);

/* It gives up: the failure is told now or, where an observer of ours is attached to PyTorch, from
 * there. `bytes`: what its caller asked for. Locks as vg_oom_call_answer; PyTorch's allocator holds
 * its mutex. */
void vg_torch_oom_gave_up(struct vg_process_state *state, uint64_t bytes, int device);

/* PyTorch calls its observers, this thread's failure is to be told with what they saw. `failure`,
 * `census`: see oom/census_observer.h. */
void vg_torch_oom_observed(struct vg_process_state *state, const struct vg_census_failure *failure,
                           const struct vg_census *census);

#endif
