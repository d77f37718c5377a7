/* Device memory: taking it for a context, and finding out what an address is. */
#ifndef SIMGPU_MEMORY_H
#define SIMGPU_MEMORY_H

#include <stdbool.h>

#include "../abi.h"
#include "context.h"
#include "range.h"

/* What is at an address, wherever it came from. */
struct memory_view {
    uint64_t base, bytes;
    uint64_t extent_bytes; /* with the rounding */
    uint64_t serial;
    struct context *context; /* NULL for memory that belongs to no context */
    int ordinal;             /* the device whose memory it is; -1: the host's */
    enum range_kind kind;
    struct range *range; /* NULL for a small allocation */
    bool sync_memops;
};

/* Takes `bytes` (not 0) of device memory for the context. Called with sim_lock held. Returns
 * CUDA_SUCCESS and the address, or CUDA_ERROR_OUT_OF_MEMORY. */
CUresult memory_take(struct context *context, uint64_t bytes, CUdeviceptr *address);

/* The same below 4 GiB. */
CUresult memory_take_low(struct context *context, uint64_t bytes, CUdeviceptr *address);

/* Frees what memory_take, cuMemAllocManaged or a pool gave; `address` is its first byte. Called
 * with sim_lock held. Returns CUDA_ERROR_INVALID_VALUE if nothing of the kind begins there. */
CUresult memory_give(CUdeviceptr address);

/* Ends a range of device, managed or imported memory, whatever its context. Called with sim_lock
 * held. */
void memory_end_range(struct range *range);

/* Called with sim_lock held. */
bool memory_look(uint64_t address, struct memory_view *view);

/* bytes rounded up to whole blocks; 0 if that overflows. */
uint64_t memory_round_up(uint64_t bytes);

/* Lazily touched pages of host memory: managed memory's. NULL: none left. */
void *memory_map_pages(uint64_t bytes);
void memory_unmap_pages(void *pages, uint64_t bytes);

#endif
