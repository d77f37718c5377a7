/* What an application advised about managed memory.
 *
 * All functions: called with sim_lock held. */
#ifndef SIMGPU_MANAGED_H
#define SIMGPU_MANAGED_H

struct managed;

/* For a range's detail (RANGE_MANAGED); freed with free. NULL: out of host memory. */
struct managed *managed_create(void);

#endif
