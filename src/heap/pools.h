/* The memory pools that the program has made, by device: allocations from a pool belong to the
 * pool's device, and a report asks the pools what they keep unused. Knows nothing of CUDA calls. */
#ifndef VRAMGUARD_HEAP_POOLS_H
#define VRAMGUARD_HEAP_POOLS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lock.h"

enum { VG_POOLS_PATIENCE_MS = 1000 };
enum { VG_POOLS_MAX = 64 }; /* further pools are not known: their allocations are still tracked */

struct vg_pools {
    struct vg_lock lock;
    _Atomic size_t count; /* written, as they, under the lock */
    struct {
        _Atomic uint64_t handle;
        _Atomic int device;
        unsigned users; /* who works with it now, other than by the program's own calls */
    } pools[VG_POOLS_MAX];
};

/* Any thread; each takes the lock, vg_pools_device only for a pool that it does not find at once.
 */
void vg_pools_add(struct vg_pools *pools, uint64_t handle, int device);
void vg_pools_remove(struct vg_pools *pools,
                     uint64_t handle); /* waits, for VG_POOLS_PATIENCE_MS at
                                           the most, until nobody holds it */

/* Device of the pool, -1 when it is not known. */
int vg_pools_device(struct vg_pools *pools, uint64_t handle);

/* Keeps the pool from being destroyed until vg_pools_release: other threads of the program may be
 * about to. Returns false when the program has no such pool any more. Each true is paired. */
bool vg_pools_hold(struct vg_pools *pools, uint64_t handle);
void vg_pools_release(struct vg_pools *pools, uint64_t handle);

/* Handles of the pools on `device`, at most `cap`. Returns their number. */
size_t vg_pools_on_device(struct vg_pools *pools, int device, uint64_t *out, size_t cap);

#endif
