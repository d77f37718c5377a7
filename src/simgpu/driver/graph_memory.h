/* Memory of graph nodes. A node has its address from the start; memory stands behind it from launch
 * (or upload) on. What all graphs of a device need is reserved per device, stays reserved when it
 * is freed, and goes back to the device when the application trims it.
 *
 * All functions: called with sim_lock held. */
#ifndef SIMGPU_GRAPH_MEMORY_H
#define SIMGPU_GRAPH_MEMORY_H

#include <stdbool.h>

#include "../abi.h"
#include "context.h"

struct range;

struct graph_memory {
    struct graph_memory *next;
    int ordinal;
    uint64_t address, bytes, extent_bytes;
    unsigned int holders; /* nodes */
    struct range *range;  /* while allocated, else NULL */
};

/* An address for `bytes` on the device, held once; NULL: none left. */
struct graph_memory *graph_memory_create(int ordinal, uint64_t bytes);
void graph_memory_hold(struct graph_memory *memory);
void graph_memory_drop(struct graph_memory *memory);

/* The memory at exactly this address, or NULL. */
struct graph_memory *graph_memory_find(uint64_t address);

/* Bytes of allocations that live on the device now. */
uint64_t graph_memory_live(int ordinal);

/* Makes sure that at least `bytes` are reserved. */
CUresult graph_memory_reserve(int ordinal, uint64_t bytes);

/* Tells how many bytes the executable graphs have memory behind, the same bytes counted once; and
 * how often the device was trimmed, which takes that memory from them. */
void graph_memory_set_mapped(int ordinal, uint64_t bytes);
uint64_t graph_memory_trims(int ordinal);

/* Allocates and frees, as the nodes do when a graph runs. */
CUresult graph_memory_begin(struct graph_memory *memory, struct context *context);
void graph_memory_end(struct graph_memory *memory);

/* Ends an allocation by its range (RANGE_GRAPH). */
void graph_memory_end_range(struct range *range);

/* Returns what is reserved and not in use. */
void graph_memory_trim(int ordinal);

#endif
