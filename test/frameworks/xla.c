/* The arena of XLA, JAX and TensorFlow (tsl/framework/bfc_allocator.cc, BFCAllocator::Extend): asks
 * for nine tenths of what failed until it is less than what is needed. */
#include "frameworks.h"
#include "trace.h"

EXPORT size_t xla_extend(size_t wanted_bytes, size_t bytes)
{
    CUdeviceptr address;
    while (traced_alloc(&address, wanted_bytes) != CUDA_SUCCESS) {
        wanted_bytes = wanted_bytes / 10 * 9 / 256 * 256;
        if (wanted_bytes < bytes)
            return 0;
    }
    return wanted_bytes;
}
