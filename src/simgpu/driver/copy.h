/* The one engine behind all copies and the check behind all accesses. */
#ifndef SIMGPU_COPY_H
#define SIMGPU_COPY_H

#include <stdbool.h>

#include "../abi.h"
#include "context.h"

/* One side of a copy of boxes: where its first byte is and how far apart rows and slices are. */
struct copy_side {
    uint64_t first;
    uint64_t row_bytes, slice_bytes;
    bool device; /* every byte must be memory the driver knows */
};

/* Copies width bytes x height rows x depth slices. Checks the device sides under the lock and
 * copies outside it. Returns CUDA_ERROR_INVALID_VALUE for memory that is not there. */
CUresult copy_box(const struct copy_side *to, const struct copy_side *from, size_t width,
                  size_t height, size_t depth);

/* CUDA_SUCCESS if all `bytes` at `address` are memory the driver knows and a context is current. */
CUresult copy_check(uint64_t address, uint64_t bytes);

/* The current context's state for copies: CUDA_SUCCESS, or what context_current returns. */
CUresult copy_check_context(void);

/* Whether a pointer of unknown origin is one of ours; if not, it is ordinary host memory. Takes
 * sim_lock. */
bool copy_is_known(uint64_t address);

/* Does a copy, or has it captured if the stream captures. */
CUresult copy_async(const CUDA_MEMCPY3D *box, CUstream stream);

/* Does a copy. */
CUresult copy_now(const CUDA_MEMCPY3D *box);

/* Sets `height` rows, `pitch` bytes apart, of `width` elements of 1, 2 or 4 bytes. */
CUresult memset_now(CUdeviceptr address, size_t pitch, unsigned int value, size_t element_bytes,
                    size_t width, size_t height);

/* A 2D copy as a 3D copy of depth 1. */
CUDA_MEMCPY3D copy_from_2d(const CUDA_MEMCPY2D *copy);

#endif
