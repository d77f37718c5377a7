/* What the driver keeps for this process without need: unused memory of its pools of stream-ordered
 * memory and of finished graphs. Asked and given back from threads of ours, while the program goes
 * on: a pool that the program has made is held meanwhile, so that it is not destroyed
 * (heap/pools.h). No context is needed and none is made (CUDA Driver API, "Stream Ordered Memory
 * Allocator"). */
#ifndef VRAMGUARD_GUARD_IDLE_POOLS_H
#define VRAMGUARD_GUARD_IDLE_POOLS_H

#include <stdint.h>

#include "heap/pools.h"

struct vg_idle_pools {
    uint64_t reserved_bytes; /* of pools and graphs together */
    uint64_t unused_bytes;   /* of those; the driver may give less back: what is in use of a block
                                keeps all of it, and a free that the host has not seen is none */
};

/* Measures those of `device`; `made`: the pools that the program has made. Any thread, no locks. */
void vg_idle_pools_measure(struct vg_pools *made, int device, struct vg_idle_pools *out);

/* Gives back what is unused. Changes no stream capture. Any thread, no locks. */
void vg_idle_pools_trim(struct vg_pools *made, int device);

#endif
