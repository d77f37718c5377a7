/* Runs out of memory in a function that the compiler puts into its caller. */
#include "simgpu/driver/exports.h"

static CUdeviceptr address;

static inline __attribute__((always_inline)) CUresult take_all(size_t bytes)
{
    CUresult result = cuMemAlloc_v2(&address, bytes);
    return result == CUDA_SUCCESS ? result : CUDA_ERROR_OUT_OF_MEMORY;
}

static __attribute__((noinline)) CUresult load_model(size_t bytes)
{
    CUresult result = take_all(bytes);
    address += result; /* no tail call */
    return result;
}

int main(void)
{
    CUcontext context;
    if (cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context))
        return 2;
    return load_model((size_t)1 << 40) == CUDA_ERROR_OUT_OF_MEMORY ? 0 : 1;
}
