/* A library that puts itself between a framework and the driver, as a logger does: it has
 * a function of the runtime's name. */
#include "simgpu/driver/exports.h"

#include <stddef.h>

CUresult cudaMalloc(CUdeviceptr *address, size_t size_bytes);

CUresult cudaMalloc(CUdeviceptr *address, size_t size_bytes)
{
    const CUresult result = cuMemAlloc_v2(address, size_bytes);
    if (result != CUDA_SUCCESS && address)
        *address = 0;
    return result;
}
