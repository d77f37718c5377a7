/* The life of a block of PyTorch's caching allocator: what hook/torch.c does when PyTorch tells its
 * profiler of one.
 *
 * Facts (c10/cuda/CUDACachingAllocator.cpp, PyTorch 1.13 to 2.14): every block that the allocator
 * gives out and takes back is told, with the allocator's sums after it, under the mutex that the
 * allocator has for the device, by any thread, with or without the GIL. So nothing here calls the
 * driver or Python, waits, or takes a lock that is held across a call of the driver. The
 * cudaMallocAsync backend and allocators plugged into PyTorch tell nothing. */
#ifndef VRAMGUARD_GUARD_TORCH_BLOCKS_H
#define VRAMGUARD_GUARD_TORCH_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "heap/blocks.h"
#include "oom/census.h"

/* `bytes` more are in use at `address` on CUDA device `device`, or, when negative, given back.
 * `allocated_bytes` and `reserved_bytes` are PyTorch's sums for the device afterwards. errno is
 * preserved. */
void vg_guard_torch_memory(uint64_t address, int64_t bytes, uint64_t allocated_bytes,
                           uint64_t reserved_bytes, int device);

/* PyTorch's allocator has given up on a request for `bytes`; its own limits are among the reasons.
 * The failure is reported. errno is preserved. */
void vg_guard_torch_out_of_memory(int64_t bytes, uint64_t allocated_bytes, uint64_t reserved_bytes,
                                  int device);

/* For a census: the live block of `device` that begins at `address`. Returns false when there is
 * none. Takes the device's lock. Any thread. */
bool vg_torch_blocks_find(struct vg_blocks *blocks, uint16_t device, uintptr_t address,
                          struct vg_census_block *out);

#endif
