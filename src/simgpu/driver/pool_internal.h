/* The insides of pools, between pool.c (memory) and pool_api.c (the functions of the driver).
 *
 * All functions: called with sim_lock held. */
#ifndef SIMGPU_POOL_INTERNAL_H
#define SIMGPU_POOL_INTERNAL_H

#include <stdbool.h>

#include "object.h"
#include "options.h"
#include "pool.h"
#include "tree.h"

#define REUSE_FLAGS       3
#define ACCESS_READ_WRITE 3
#define CHUNK_BYTES       (32ull << 20) /* what the real pools reserve at least */

/* A piece of a chunk: free and in both trees, or in use and the detail of a range. */
struct piece {
    struct tree_node by_base, by_size;
    uint64_t base, bytes;
    struct chunk *chunk;
    struct pool *pool;
};

struct chunk {
    struct chunk *next;
    uint64_t base, bytes;
    struct piece *whole; /* the free piece that is all of it, or NULL */
};

struct pool {
    struct pool *next;
    CUmemoryPool handle;
    int ordinal, device;
    bool is_default;
    bool destroyed; /* ends with its last allocation */
    struct chunk *chunks;
    struct tree free_by_base, free_by_size;
    int whole_chunks;
    uint64_t max_bytes; /* 0: no limit of its own */
    uint64_t threshold_bytes;
    uint64_t reserved_bytes, reserved_high_bytes;
    uint64_t used_bytes, used_high_bytes;
    int reuse[REUSE_FLAGS];
    int access[MAX_DEVICES]; /* CUmemAccess_flags by ordinal */
};

/* A pool with a handle; NULL: out of host memory. */
struct pool *pool_create(int ordinal, int device);

/* Ends the handle now and the pool with its last allocation. */
void pool_destroy(struct pool *pool);

/* Returns free chunks to the device until no more than `keep_bytes` are reserved, or none is free.
 */
void pool_trim(struct pool *pool, uint64_t keep_bytes);

#endif
