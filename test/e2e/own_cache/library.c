/* A library that keeps a cache of GPU memory, empties it when the driver says no, and asks again.
 * Its file's name is that of a framework that does so, or of none. */
#include "simgpu/driver/exports.h"

#include <stddef.h>

typedef CUresult take_memory(CUdeviceptr *address, size_t size_bytes);
int take_with_a_cache(take_memory *take, size_t cached_bytes, size_t wanted_bytes);

/* `take`: how it gets memory: the driver, or somebody who stands between. */
int take_with_a_cache(take_memory *take, size_t cached_bytes, size_t wanted_bytes)
{
    CUdeviceptr cache, address;
    CUresult result = take(&cache, cached_bytes);
    if (result != CUDA_SUCCESS)
        return 100 + (int)result;
    result = take(&address, wanted_bytes);
    if (result == CUDA_ERROR_OUT_OF_MEMORY) {
        cuMemFree_v2(cache);
        result = take(&address, wanted_bytes);
    }
    return (int)result;
}
