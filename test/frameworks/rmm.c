/* RMM's pool (mr/device/pool_memory_resource.hpp, try_to_expand): half of what failed, and exactly
 * what is needed as the last try. */
#include "frameworks.h"
#include "trace.h"

EXPORT size_t rmm_expand(size_t wanted_bytes, size_t bytes)
{
    CUdeviceptr address;
    while (wanted_bytes >= bytes) {
        if (traced_alloc(&address, wanted_bytes) == CUDA_SUCCESS)
            return wanted_bytes;
        if (wanted_bytes == bytes)
            return 0;
        wanted_bytes = wanted_bytes / 2 > bytes ? wanted_bytes / 2 : bytes;
    }
    return 0;
}
