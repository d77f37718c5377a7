/* ONNX Runtime's arena (core/framework/bfc_arena.cc, BFCArena::Extend): a power of two that holds
 * what is needed, then nine tenths of what failed. */
#include "frameworks.h"
#include "trace.h"

EXPORT size_t onnxruntime_extend(size_t bytes)
{
    CUdeviceptr address;
    size_t region_bytes = MIB;
    while (region_bytes < bytes)
        region_bytes *= 2;
    while (traced_alloc(&address, region_bytes) != CUDA_SUCCESS) {
        region_bytes = region_bytes / 10 * 9 / 256 * 256;
        if (region_bytes < bytes)
            return 0;
    }
    return region_bytes;
}
