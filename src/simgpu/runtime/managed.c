/* Advice, prefetch and range queries for managed memory. Version 13 names places by location only;
 * version 12 has the older form, which names a device or the host by number, beside it. */
#include "cudart_errors.h"
#include "runtime.h"

static cudaError_t advise_range(const void *ptr, size_t bytes, int advice,
                                struct cudaMemLocation location)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuMemAdvise(rt_devptr(ptr), bytes, advice, location));
}

static cudaError_t prefetch_range(enum default_stream mode, const void *ptr, size_t bytes,
                                  struct cudaMemLocation location, unsigned int flags,
                                  cudaStream_t stream)
{
    cudaError_t err = rt_need_context();
    return rt_done(
        err ? err : drv.cuMemPrefetchAsync[mode](rt_devptr(ptr), bytes, location, flags, stream));
}

#if CUDART_MAJOR >= 13
RT_API cudaError_t cudaMemAdvise(const void *ptr, size_t bytes, int advice,
                                 struct cudaMemLocation location)
{
    return advise_range(ptr, bytes, advice, location);
}

RT_PTSZ(cudaMemPrefetchAsync, prefetch_range,
        (const void *ptr, size_t bytes, struct cudaMemLocation location, unsigned int flags,
         cudaStream_t stream),
        ptr, bytes, location, flags, stream)
#else
static struct cudaMemLocation location_of(int device)
{
    if (device == cudaCpuDeviceId)
        return (struct cudaMemLocation){ cudaMemLocationTypeHost, 0 };
    return (struct cudaMemLocation){ cudaMemLocationTypeDevice, device };
}

static cudaError_t prefetch_to_device(enum default_stream mode, const void *ptr, size_t bytes,
                                      int device, cudaStream_t stream)
{
    return prefetch_range(mode, ptr, bytes, location_of(device), 0, stream);
}

RT_API cudaError_t cudaMemAdvise(const void *ptr, size_t bytes, int advice, int device)
{
    return advise_range(ptr, bytes, advice, location_of(device));
}

RT_API cudaError_t cudaMemAdvise_v2(const void *ptr, size_t bytes, int advice,
                                    struct cudaMemLocation location)
{
    return advise_range(ptr, bytes, advice, location);
}

RT_PTSZ(cudaMemPrefetchAsync, prefetch_to_device,
        (const void *ptr, size_t bytes, int device, cudaStream_t stream), ptr, bytes, device,
        stream)
RT_PTSZ(cudaMemPrefetchAsync_v2, prefetch_range,
        (const void *ptr, size_t bytes, struct cudaMemLocation location, unsigned int flags,
         cudaStream_t stream),
        ptr, bytes, location, flags, stream)
#endif

RT_PASS(cudaMemRangeGetAttribute, cuMemRangeGetAttribute,
        (void *data, size_t data_bytes, int attribute, const void *ptr, size_t bytes), data,
        data_bytes, attribute, rt_devptr(ptr), bytes)
RT_PASS(cudaMemRangeGetAttributes, cuMemRangeGetAttributes,
        (void **data, size_t *data_bytes, int *attributes, size_t count, const void *ptr,
         size_t bytes),
        data, data_bytes, attributes, count, rt_devptr(ptr), bytes)
