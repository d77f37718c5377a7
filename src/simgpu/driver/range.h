/* Every address range that the driver knows, except small allocations: where it is, what it is,
 * whom it belongs to. Found by any address inside it.
 *
 * All functions: called with sim_lock held. */
#ifndef SIMGPU_RANGE_H
#define SIMGPU_RANGE_H

#include <stdbool.h>

#include "tree.h"

enum range_kind {
    RANGE_DEVICE,     /* cuMemAlloc and pitch: blocks of the arena */
    RANGE_MANAGED,    /* cuMemAllocManaged */
    RANGE_HOST,       /* cuMemHostAlloc, cuMemAllocHost */
    RANGE_REGISTERED, /* cuMemHostRegister */
    RANGE_POOL,       /* cuMemAllocAsync: a piece of a pool */
    RANGE_GRAPH,      /* a graph's memory node */
    RANGE_MAPPED,     /* cuMemMap: a piece of a physical handle */
    RANGE_IMPORTED,   /* cuIpcOpenMemHandle */
};

struct context;

struct range {
    struct tree_node node;
    struct range *previous, *next; /* in the owner's list */
    enum range_kind kind;
    uint64_t base;
    uint64_t bytes;        /* as requested */
    uint64_t extent_bytes; /* as taken; at least `bytes` */
    uint64_t serial;       /* CU_POINTER_ATTRIBUTE_BUFFER_ID */
    struct context *context;
    unsigned int flags; /* of the call that made it */
    bool sync_memops;   /* CU_POINTER_ATTRIBUTE_SYNC_MEMOPS was set */
    void *detail;       /* by kind: the pool, the physical handle, the graph */
};

/* Adds a range, whose fields up to `detail` are set, to the map and its context's list (if it has a
 * context). It must not overlap another. Ownership passes to the map until range_remove. */
void range_add(struct range *range);
void range_remove(struct range *range);

/* The range that contains `address`, or NULL. */
struct range *range_find(uint64_t address);

/* The range that begins at `base` and is of `kind`, or NULL. */
struct range *range_find_base(uint64_t base, enum range_kind kind);

/* The first range that begins at or after `address`, or NULL. */
struct range *range_next(uint64_t address);

/* True if any range touches the `bytes` at `base`. */
bool range_overlaps(uint64_t base, uint64_t bytes);

/* True if each of the `bytes` at `address` lies in a range or a small allocation and may be
 * accessed.
 */
bool range_covers(uint64_t address, uint64_t bytes);

/* A number no other allocation of this process has. */
uint64_t range_new_serial(void);

#endif
