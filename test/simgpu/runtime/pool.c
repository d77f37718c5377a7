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

static cudaError_t free_async(enum default_stream mode, void *ptr, cudaStream_t stream)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuMemFreeAsync[mode](rt_devptr(ptr), stream));
}

RT_PTSZ(cudaMallocAsync, malloc_async, (void **ptr, size_t bytes, cudaStream_t stream), ptr, bytes,
        stream)
RT_PTSZ(cudaMallocFromPoolAsync, malloc_from_pool,
        (void **ptr, size_t bytes, cudaMemPool_t pool, cudaStream_t stream), ptr, bytes, pool,
        stream)
RT_PTSZ(cudaFreeAsync, free_async, (void *ptr, cudaStream_t stream), ptr, stream)

RT_API cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *pool, int device)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuDeviceGetDefaultMemPool(pool, device));
}

RT_API cudaError_t cudaDeviceGetMemPool(cudaMemPool_t *pool, int device)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuDeviceGetMemPool(pool, device));
}

RT_API cudaError_t cudaDeviceSetMemPool(int device, cudaMemPool_t pool)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuDeviceSetMemPool(device, pool));
}

RT_API cudaError_t cudaMemPoolCreate(cudaMemPool_t *pool, const struct cudaMemPoolProps *props)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuMemPoolCreate(pool, props));
}

RT_API cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuMemPoolDestroy(pool));
}

RT_API cudaError_t cudaMemPoolTrimTo(cudaMemPool_t pool, size_t keep_bytes)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuMemPoolTrimTo(pool, keep_bytes));
}

RT_API cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t pool, int attribute, void *value)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuMemPoolGetAttribute(pool, attribute, value));
}

RT_API cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, int attribute, void *value)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuMemPoolSetAttribute(pool, attribute, value));
}

RT_API cudaError_t cudaMemPoolSetAccess(cudaMemPool_t pool, const struct cudaMemAccessDesc *list,
                                        size_t count)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuMemPoolSetAccess(pool, list, count));
}

RT_API cudaError_t cudaMemPoolGetAccess(int *flags, cudaMemPool_t pool,
                                        struct cudaMemLocation *location)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuMemPoolGetAccess(flags, pool, location));
}

RT_API cudaError_t cudaMemPoolExportToShareableHandle(void *handle, cudaMemPool_t pool, int type,
                                                      unsigned int flags)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuMemPoolExportToShareableHandle(handle, pool, type, flags));
}

RT_API cudaError_t cudaMemPoolImportFromShareableHandle(cudaMemPool_t *pool, void *handle, int type,
                                                        unsigned int flags)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuMemPoolImportFromShareableHandle(pool, handle, type, flags));
}

RT_API cudaError_t cudaMemPoolExportPointer(struct cudaMemPoolPtrExportData *data, void *ptr)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuMemPoolExportPointer(data, rt_devptr(ptr)));
}

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
