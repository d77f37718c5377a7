/* Memory pools: device memory that is held in reserve between allocations.
 *
 * All functions: called with sim_lock held. */
#ifndef SIMGPU_POOL_H
#define SIMGPU_POOL_H

#include "../abi.h"
#include "context.h"

struct pool;
struct range;

/* Takes `bytes` from the pool that is current on the context's device. */
CUresult pool_take_current(struct context *context, uint64_t bytes, CUdeviceptr *address);

/* Takes `bytes` from a pool. */
CUresult pool_take(struct pool *pool, struct context *context, uint64_t bytes,
                   CUdeviceptr *address);

/* Gives an allocation (RANGE_POOL) back to its pool, not to the device. */
void pool_end_range(struct range *range);

/* The pool an allocation is from. */
CUmemoryPool pool_of_range(const struct range *range);

/* The host has observed that all work is done: pools that hold more than their release threshold
 * return what they can. */
void pool_synchronised(void);

/* The last context of a device may have ended: its pools return what they can. */
void pool_context_ended(const struct context *context);

#endif
