/* CUDA arrays. Their elements lie row by row in device memory. */
#ifndef SIMGPU_ARRAY_H
#define SIMGPU_ARRAY_H

#include <stdbool.h>

#include "../abi.h"
#include "context.h"

struct array {
    CUarray handle;
    struct context *context;
    CUDA_ARRAY3D_DESCRIPTOR descriptor;
    CUdeviceptr data;
    uint64_t row_bytes, rows, slices;
    bool is_level; /* of a mipmapped array, which ends it */
};

struct mipmap;

/* End an object and its handle; the memory comes back. Called with sim_lock held. */
void array_end(struct array *array);
void mipmap_end(struct mipmap *mipmap);

#endif
