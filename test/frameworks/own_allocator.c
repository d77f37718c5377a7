/* What people plug into PyTorch: an allocator of their own that asks the driver for each tensor. */
#include "frameworks.h"
#include "trace.h"

EXPORT CUresult own_malloc(CUdeviceptr *address, size_t bytes)
{
    return traced_alloc(address, bytes);
}

EXPORT CUresult own_free(CUdeviceptr address)
{
    return traced_free(address);
}
