/* Kernels as objects: handles, attributes, occupancy. */
#include <string.h>

#include "code.h"
#include "cudart_errors.h"
#include "registration.h"
#include "runtime.h"

static cudaError_t get_kernel(cudaKernel_t *kernel, const void *func)
{
    cudaError_t err = kernel ? rt_need_driver() : cudaErrorInvalidValue;
    return err ? err : rt_kernel_of(func, kernel);
}

RT_API cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *func)
{
    return rt_done(get_kernel(kernel, func));
}

RT_API cudaError_t cudaGetKernel(cudaKernel_t *kernel, const void *func)
{
    return rt_done(get_kernel(kernel, func));
}

RT_API cudaError_t cudaGetFuncBySymbol(cudaFunction_t *function, const void *func)
{
    cudaError_t err = function ? rt_need_context() : cudaErrorInvalidValue;
    if (err == cudaSuccess)
        err = rt_function_of(func, function);
    return rt_done(err ? err : rt_remember_function(*function));
}

/* The kernel and the device a call about a kernel is for. */
static cudaError_t kernel_here(const void *func, cudaKernel_t *kernel, int *device)
{
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess)
        err = rt_current_device(device);
    return err ? err : rt_kernel_of(func, kernel);
}

/* Where each CUfunction_attribute goes ("CUDA Driver API", Data types). */
struct attribute {
    int attribute;
    size_t offset, bytes;
};
#define ROW(member, attribute)                                                                     \
    {                                                                                              \
        attribute, offsetof(struct cudaFuncAttributes, member),                                    \
            sizeof((struct cudaFuncAttributes *)0)->member                                         \
    }
static const struct attribute attributes[] = {
    ROW(maxThreadsPerBlock, 0),
    ROW(sharedSizeBytes, 1),
    ROW(constSizeBytes, 2),
    ROW(localSizeBytes, 3),
    ROW(numRegs, 4),
    ROW(ptxVersion, 5),
    ROW(binaryVersion, 6),
    ROW(cacheModeCA, 7),
    ROW(maxDynamicSharedSizeBytes, 8),
    ROW(preferredShmemCarveout, 9),
#if CUDART_MAJOR >= 12
    ROW(clusterDimMustBeSet, 10),
    ROW(requiredClusterWidth, 11),
    ROW(requiredClusterHeight, 12),
    ROW(requiredClusterDepth, 13),
    ROW(nonPortableClusterSizeAllowed, 14),
    ROW(clusterSchedulingPolicyPreference, 15),
#endif
};

RT_API cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *result, const void *func)
{
    cudaKernel_t kernel = NULL;
    int device = 0;
    cudaError_t err = result ? kernel_here(func, &kernel, &device) : cudaErrorInvalidValue;
    if (err != cudaSuccess)
        return rt_done(err);
    memset(result, 0, sizeof *result);
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++) {
        int value = 0;
        char *member = (char *)result + attributes[i].offset;
        if (drv.cuKernelGetAttribute(&value, attributes[i].attribute, kernel, device))
            continue; /* one that the driver is too old for stays 0 */
        if (attributes[i].bytes == sizeof(size_t))
            *(size_t *)(void *)member = (size_t)value;
        else
            *(int *)(void *)member = value;
    }
    return cudaSuccess;
}

RT_API cudaError_t cudaFuncSetAttribute(const void *func, int attribute, int value)
{
    cudaKernel_t kernel = NULL;
    int device = 0;
    cudaError_t err = kernel_here(func, &kernel, &device);
    return rt_done(err ? err : drv.cuKernelSetAttribute(attribute, value, kernel, device));
}

RT_API cudaError_t cudaKernelSetAttributeForDevice(cudaKernel_t kernel, int attribute, int value,
                                                   int device)
{
    cudaError_t err = rt_need_driver();
    return rt_done(err ? err : drv.cuKernelSetAttribute(attribute, value, kernel, device));
}

RT_API cudaError_t cudaFuncSetCacheConfig(const void *func, int config)
{
    cudaKernel_t kernel = NULL;
    int device = 0;
    cudaError_t err = kernel_here(func, &kernel, &device);
    return rt_done(err ? err : drv.cuKernelSetCacheConfig(kernel, config, device));
}

RT_API cudaError_t cudaFuncSetSharedMemConfig(const void *func, int config)
{
    cudaFunction_t function = NULL;
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess)
        err = rt_function_of(func, &function);
    return rt_done(err ? err : drv.cuFuncSetSharedMemConfig(function, config));
}

RT_API cudaError_t cudaFuncGetName(const char **name, const void *func)
{
    cudaKernel_t kernel = NULL;
    cudaError_t err = name ? rt_need_driver() : cudaErrorInvalidValue;
    if (err == cudaSuccess)
        err = rt_kernel_of(func, &kernel);
    return rt_done(err ? err : drv.cuKernelGetName(name, kernel));
}

RT_API cudaError_t cudaFuncGetParamInfo(const void *func, size_t index, size_t *offset,
                                        size_t *bytes)
{
    cudaKernel_t kernel = NULL;
    cudaError_t err = rt_need_driver();
    if (err == cudaSuccess)
        err = rt_kernel_of(func, &kernel);
    return rt_done(err ? err : drv.cuKernelGetParamInfo(kernel, index, offset, bytes));
}

static cudaError_t function_here(const void *func, cudaFunction_t *function)
{
    cudaError_t err = rt_need_context();
    return err ? err : rt_function_of(func, function);
}

RT_API cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    int *blocks, const void *func, int block_threads, size_t shared_bytes, unsigned int flags)
{
    cudaFunction_t function = NULL;
    cudaError_t err = function_here(func, &function);
    return rt_done(err ? err
                       : drv.cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
                             blocks, function, block_threads, shared_bytes, flags));
}

RT_API cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *func,
                                                                 int block_threads,
                                                                 size_t shared_bytes)
{
    return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, func, block_threads,
                                                                  shared_bytes, 0);
}

RT_API cudaError_t cudaOccupancyAvailableDynamicSMemPerBlock(size_t *shared_bytes, const void *func,
                                                             int blocks, int block_threads)
{
    cudaFunction_t function = NULL;
    cudaError_t err = function_here(func, &function);
    return rt_done(err ? err
                       : drv.cuOccupancyAvailableDynamicSMemPerBlock(shared_bytes, function, blocks,
                                                                     block_threads));
}

RT_API cudaError_t cudaOccupancyMaxPotentialClusterSize(int *size, const void *func,
                                                        const cudaLaunchConfig_t *config)
{
    cudaFunction_t function = NULL;
    cudaError_t err = size && config ? function_here(func, &function) : cudaErrorInvalidValue;
    if (err != cudaSuccess)
        return rt_done(err);
    struct driver_launch_config driver_config = rt_driver_launch_config(config);
    return rt_done(drv.cuOccupancyMaxPotentialClusterSize(size, function, &driver_config));
}

RT_API cudaError_t cudaOccupancyMaxActiveClusters(int *count, const void *func,
                                                  const cudaLaunchConfig_t *config)
{
    cudaFunction_t function = NULL;
    cudaError_t err = count && config ? function_here(func, &function) : cudaErrorInvalidValue;
    if (err != cudaSuccess)
        return rt_done(err);
    struct driver_launch_config driver_config = rt_driver_launch_config(config);
    return rt_done(drv.cuOccupancyMaxActiveClusters(count, function, &driver_config));
}
