/* Devices: versions, attributes, limits, peers. */
#include "cudart_errors.h"
#include "runtime.h"

/* 12.8 is the release of major 12 whose exports and structures are modelled. */
enum { RUNTIME_VERSION = CUDART_MAJOR * 1000 + (CUDART_MAJOR < 13 ? 80 : 0) };

RT_API cudaError_t cudaRuntimeGetVersion(int *version)
{
    if (!version)
        return rt_done(cudaErrorInvalidValue);
    *version = RUNTIME_VERSION;
    return cudaSuccess;
}

/* 0 where no driver is installed, and no error then: "CUDA Runtime API", Version Management. */
RT_API cudaError_t cudaDriverGetVersion(int *version)
{
    if (!version)
        return rt_done(cudaErrorInvalidValue);
    rt_driver_version(version);
    return cudaSuccess;
}

RT_API cudaError_t cudaGetDeviceCount(int *count)
{
    cudaError_t err = count ? rt_need_driver() : cudaErrorInvalidValue;
    if (err != cudaSuccess && count)
        *count = 0;
    return rt_done(err ? err : drv.cuDeviceGetCount(count));
}

RT_API cudaError_t cudaDeviceSynchronize(void)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuCtxSynchronize());
}

RT_API cudaError_t cudaDeviceGetAttribute(int *value, int attribute, int device)
{
    cudaError_t err = value ? rt_need_driver() : cudaErrorInvalidValue;
    return rt_done(err ? err : drv.cuDeviceGetAttribute(value, attribute, device));
}

RT_API cudaError_t cudaDeviceGetPCIBusId(char *id, int len, int device)
{
    cudaError_t err = id ? rt_need_driver() : cudaErrorInvalidValue;
    return rt_done(err ? err : drv.cuDeviceGetPCIBusId(id, len, device));
}

RT_API cudaError_t cudaDeviceGetByPCIBusId(int *device, const char *id)
{
    cudaError_t err = device && id ? rt_need_driver() : cudaErrorInvalidValue;
    return rt_done(err ? err : drv.cuDeviceGetByPCIBusId(device, id));
}

RT_PASS(cudaDeviceGetLimit, cuCtxGetLimit, (size_t * value, int limit), value, limit)
RT_PASS(cudaDeviceSetLimit, cuCtxSetLimit, (int limit, size_t value), limit, value)
RT_PASS(cudaDeviceGetCacheConfig, cuCtxGetCacheConfig, (int *config), config)
RT_PASS(cudaDeviceSetCacheConfig, cuCtxSetCacheConfig, (int config), config)
RT_PASS(cudaDeviceGetSharedMemConfig, cuCtxGetSharedMemConfig, (int *config), config)
RT_PASS(cudaDeviceSetSharedMemConfig, cuCtxSetSharedMemConfig, (int config), config)
RT_PASS(cudaDeviceGetStreamPriorityRange, cuCtxGetStreamPriorityRange, (int *least, int *greatest),
        least, greatest)

RT_API cudaError_t cudaCtxResetPersistingL2Cache(void)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuCtxResetPersistingL2Cache());
}

RT_API cudaError_t cudaDeviceCanAccessPeer(int *can, int device, int peer)
{
    cudaError_t err = can ? rt_need_driver() : cudaErrorInvalidValue;
    return rt_done(err ? err : drv.cuDeviceCanAccessPeer(can, device, peer));
}

RT_API cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned int flags)
{
    CUcontext context = NULL;
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess)
        err = rt_primary_context(peer, &context);
    return rt_done(err ? err : drv.cuCtxEnablePeerAccess(context, flags));
}

RT_API cudaError_t cudaDeviceDisablePeerAccess(int peer)
{
    CUcontext context = NULL;
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess)
        err = rt_primary_context(peer, &context);
    return rt_done(err ? err : drv.cuCtxDisablePeerAccess(context));
}

RT_API cudaError_t cudaDeviceGetP2PAttribute(int *value, int attribute, int from, int to)
{
    cudaError_t err = value ? rt_need_driver() : cudaErrorInvalidValue;
    return rt_done(err ? err : drv.cuDeviceGetP2PAttribute(value, attribute, from, to));
}

RT_API cudaError_t cudaProfilerStart(void)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuProfilerStart());
}

RT_API cudaError_t cudaProfilerStop(void)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuProfilerStop());
}

#if CUDART_MAJOR < 13
/* Older names of functions above, gone in version 13. */
RT_API cudaError_t cudaThreadExit(void)
{
    return cudaDeviceReset();
}

RT_API cudaError_t cudaThreadSynchronize(void)
{
    return cudaDeviceSynchronize();
}

RT_API cudaError_t cudaThreadGetLimit(size_t *value, int limit)
{
    return cudaDeviceGetLimit(value, limit);
}

RT_API cudaError_t cudaThreadSetLimit(int limit, size_t value)
{
    return cudaDeviceSetLimit(limit, value);
}

RT_API cudaError_t cudaThreadGetCacheConfig(int *config)
{
    return cudaDeviceGetCacheConfig(config);
}

RT_API cudaError_t cudaThreadSetCacheConfig(int config)
{
    return cudaDeviceSetCacheConfig(config);
}
#endif
