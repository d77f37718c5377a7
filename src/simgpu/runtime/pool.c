/* Stream-ordered allocation and memory pools. */
#include "cudart_errors.h"
#include "runtime.h"

static cudaError_t malloc_async(enum default_stream mode, void **ptr, size_t bytes,
                                cudaStream_t stream)
{
    devptr address = 0;
    cudaError_t err = ptr ? rt_need_context() : cudaErrorInvalidValue;
    if (err == cudaSuccess)
        err = drv.cuMemAllocAsync[mode](&address, bytes, stream);
    if (err == cudaSuccess)
        *ptr = rt_pointer(address);
    return rt_done(err);
}

static cudaError_t malloc_from_pool(enum default_stream mode, void **ptr, size_t bytes,
                                    cudaMemPool_t pool, cudaStream_t stream)
{
    devptr address = 0;
    cudaError_t err = ptr ? rt_need_context() : cudaErrorInvalidValue;
    if (err == cudaSuccess)
        err = drv.cuMemAllocFromPoolAsync[mode](&address, bytes, pool, stream);
    if (err == cudaSuccess)
        *ptr = rt_pointer(address);
    return rt_done(err);
}

RT_PTSZ(cudaMallocAsync, malloc_async, (void **ptr, size_t bytes, cudaStream_t stream), ptr, bytes,
        stream)
RT_PTSZ(cudaMallocFromPoolAsync, malloc_from_pool,
        (void **ptr, size_t bytes, cudaMemPool_t pool, cudaStream_t stream), ptr, bytes, pool,
        stream)
RT_PASS_PTSZ(cudaFreeAsync, cuMemFreeAsync, (void *ptr, cudaStream_t stream), rt_devptr(ptr),
             stream)

RT_PASS(cudaDeviceGetDefaultMemPool, cuDeviceGetDefaultMemPool, (cudaMemPool_t * pool, int device),
        pool, device)
RT_PASS(cudaDeviceGetMemPool, cuDeviceGetMemPool, (cudaMemPool_t * pool, int device), pool, device)
RT_PASS(cudaDeviceSetMemPool, cuDeviceSetMemPool, (int device, cudaMemPool_t pool), device, pool)
RT_PASS(cudaMemPoolCreate, cuMemPoolCreate,
        (cudaMemPool_t * pool, const struct cudaMemPoolProps *props), pool, props)
RT_PASS(cudaMemPoolDestroy, cuMemPoolDestroy, (cudaMemPool_t pool), pool)
RT_PASS(cudaMemPoolTrimTo, cuMemPoolTrimTo, (cudaMemPool_t pool, size_t keep_bytes), pool,
        keep_bytes)
RT_PASS(cudaMemPoolGetAttribute, cuMemPoolGetAttribute,
        (cudaMemPool_t pool, int attribute, void *value), pool, attribute, value)
RT_PASS(cudaMemPoolSetAttribute, cuMemPoolSetAttribute,
        (cudaMemPool_t pool, int attribute, void *value), pool, attribute, value)
RT_PASS(cudaMemPoolSetAccess, cuMemPoolSetAccess,
        (cudaMemPool_t pool, const struct cudaMemAccessDesc *list, size_t count), pool, list, count)
RT_PASS(cudaMemPoolGetAccess, cuMemPoolGetAccess,
        (int *flags, cudaMemPool_t pool, struct cudaMemLocation *location), flags, pool, location)
RT_PASS(cudaMemPoolExportToShareableHandle, cuMemPoolExportToShareableHandle,
        (void *handle, cudaMemPool_t pool, int type, unsigned int flags), handle, pool, type, flags)
RT_PASS(cudaMemPoolImportFromShareableHandle, cuMemPoolImportFromShareableHandle,
        (cudaMemPool_t * pool, void *handle, int type, unsigned int flags), pool, handle, type,
        flags)
RT_PASS(cudaMemPoolExportPointer, cuMemPoolExportPointer,
        (struct cudaMemPoolPtrExportData * data, void *ptr), data, rt_devptr(ptr))
#if CUDART_MAJOR >= 13
RT_PASS(cudaMemGetDefaultMemPool, cuMemGetDefaultMemPool,
        (cudaMemPool_t * pool, struct cudaMemLocation *location, int type), pool, location, type)
RT_PASS(cudaMemGetMemPool, cuMemGetMemPool,
        (cudaMemPool_t * pool, struct cudaMemLocation *location, int type), pool, location, type)
RT_PASS(cudaMemSetMemPool, cuMemSetMemPool,
        (struct cudaMemLocation * location, int type, cudaMemPool_t pool), location, type, pool)
#endif

RT_API cudaError_t cudaMemPoolImportPointer(void **ptr, cudaMemPool_t pool,
                                            struct cudaMemPoolPtrExportData *data)
{
    devptr address = 0;
    cudaError_t err = ptr ? rt_need_context() : cudaErrorInvalidValue;
    if (err == cudaSuccess)
        err = drv.cuMemPoolImportPointer(&address, pool, data);
    if (err == cudaSuccess)
        *ptr = rt_pointer(address);
    return rt_done(err);
}
