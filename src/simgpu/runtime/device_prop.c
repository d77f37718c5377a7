/* cudaGetDeviceProperties: one row per integer member that is a device attribute. */
#include <string.h>

#include "cudart_errors.h"
#include "runtime.h"

struct property {
    size_t offset; /* of an int, or of a size_t */
    size_t bytes;  /* its size */
    int attribute; /* CUdevice_attribute ("CUDA Driver API", Data types) */
};

#define ROW(member, attribute)                                                                     \
    {                                                                                              \
        offsetof(struct cudaDeviceProp, member), sizeof((struct cudaDeviceProp *)0)->member,       \
            attribute                                                                              \
    }

static const struct property properties[] = {
    ROW(sharedMemPerBlock, 8),
    ROW(regsPerBlock, 12),
    ROW(warpSize, 10),
    ROW(memPitch, 11),
    ROW(maxThreadsPerBlock, 1),
    ROW(maxThreadsDim[0], 2),
    ROW(maxThreadsDim[1], 3),
    ROW(maxThreadsDim[2], 4),
    ROW(maxGridSize[0], 5),
    ROW(maxGridSize[1], 6),
    ROW(maxGridSize[2], 7),
    ROW(totalConstMem, 9),
    ROW(major, 75),
    ROW(minor, 76),
    ROW(textureAlignment, 14),
    ROW(texturePitchAlignment, 51),
    ROW(multiProcessorCount, 16),
    ROW(integrated, 18),
    ROW(canMapHostMemory, 19),
    ROW(maxTexture1D, 21),
    ROW(maxTexture1DMipmap, 77),
    ROW(maxTexture2D[0], 22),
    ROW(maxTexture2D[1], 23),
    ROW(maxTexture2DMipmap[0], 73),
    ROW(maxTexture2DMipmap[1], 74),
    ROW(maxTexture2DLinear[0], 70),
    ROW(maxTexture2DLinear[1], 71),
    ROW(maxTexture2DLinear[2], 72),
    ROW(maxTexture2DGather[0], 45),
    ROW(maxTexture2DGather[1], 46),
    ROW(maxTexture3D[0], 24),
    ROW(maxTexture3D[1], 25),
    ROW(maxTexture3D[2], 26),
    ROW(maxTexture3DAlt[0], 47),
    ROW(maxTexture3DAlt[1], 48),
    ROW(maxTexture3DAlt[2], 49),
    ROW(maxTextureCubemap, 52),
    ROW(maxTexture1DLayered[0], 42),
    ROW(maxTexture1DLayered[1], 43),
    ROW(maxTexture2DLayered[0], 27),
    ROW(maxTexture2DLayered[1], 28),
    ROW(maxTexture2DLayered[2], 29),
    ROW(maxTextureCubemapLayered[0], 53),
    ROW(maxTextureCubemapLayered[1], 54),
    ROW(maxSurface1D, 55),
    ROW(maxSurface2D[0], 56),
    ROW(maxSurface2D[1], 57),
    ROW(maxSurface3D[0], 58),
    ROW(maxSurface3D[1], 59),
    ROW(maxSurface3D[2], 60),
    ROW(maxSurface1DLayered[0], 61),
    ROW(maxSurface1DLayered[1], 62),
    ROW(maxSurface2DLayered[0], 63),
    ROW(maxSurface2DLayered[1], 64),
    ROW(maxSurface2DLayered[2], 65),
    ROW(maxSurfaceCubemap, 66),
    ROW(maxSurfaceCubemapLayered[0], 67),
    ROW(maxSurfaceCubemapLayered[1], 68),
    ROW(surfaceAlignment, 30),
    ROW(concurrentKernels, 31),
    ROW(ECCEnabled, 32),
    ROW(pciBusID, 33),
    ROW(pciDeviceID, 34),
    ROW(pciDomainID, 50),
    ROW(tccDriver, 35),
    ROW(asyncEngineCount, 40),
    ROW(unifiedAddressing, 41),
    ROW(memoryBusWidth, 37),
    ROW(l2CacheSize, 38),
    ROW(persistingL2CacheMaxSize, 108),
    ROW(maxThreadsPerMultiProcessor, 39),
    ROW(streamPrioritiesSupported, 78),
    ROW(globalL1CacheSupported, 79),
    ROW(localL1CacheSupported, 80),
    ROW(sharedMemPerMultiprocessor, 81),
    ROW(regsPerMultiprocessor, 82),
    ROW(managedMemory, 83),
    ROW(isMultiGpuBoard, 84),
    ROW(multiGpuBoardGroupID, 85),
    ROW(hostNativeAtomicSupported, 86),
    ROW(pageableMemoryAccess, 88),
    ROW(concurrentManagedAccess, 89),
    ROW(computePreemptionSupported, 90),
    ROW(canUseHostPointerForRegisteredMem, 91),
    ROW(cooperativeLaunch, 95),
    ROW(sharedMemPerBlockOptin, 97),
    ROW(pageableMemoryAccessUsesHostPageTables, 100),
    ROW(directManagedMemAccessFromHost, 101),
    ROW(maxBlocksPerMultiProcessor, 106),
    ROW(accessPolicyMaxWindowSize, 109),
    ROW(reservedSharedMemPerBlock, 111),
#if CUDART_MAJOR >= 12
    ROW(hostRegisterSupported, 99),
    ROW(sparseCudaArraySupported, 112),
    ROW(hostRegisterReadOnlySupported, 113),
    ROW(timelineSemaphoreInteropSupported, 114),
    ROW(memoryPoolsSupported, 115),
    ROW(gpuDirectRDMASupported, 116),
    ROW(gpuDirectRDMAFlushWritesOptions, 117),
    ROW(gpuDirectRDMAWritesOrdering, 118),
    ROW(memoryPoolSupportedHandleTypes, 119),
    ROW(deferredMappingCudaArraySupported, 121),
    ROW(ipcEventSupported, 125),
    ROW(clusterLaunch, 120),
    ROW(unifiedFunctionPointers, 129),
#endif
#if CUDART_MAJOR < 13
    ROW(clockRate, 13),
    ROW(deviceOverlap, 15),
    ROW(kernelExecTimeoutEnabled, 17),
    ROW(computeMode, 20),
    ROW(maxTexture1DLinear, 69),
    ROW(memoryClockRate, 36),
    ROW(singleToDoublePrecisionPerfRatio, 87),
    ROW(cooperativeMultiDeviceLaunch, 96),
#else
    ROW(deviceNumaConfig, 130),
    ROW(deviceNumaId, 131),
    ROW(mpsEnabled, 133),
    ROW(hostNumaId, 134),
    ROW(gpuPciDeviceID, 139),
    ROW(gpuPciSubsystemID, 140),
    ROW(hostNumaMultinodeIpcSupported, 143),
#endif
};

/* An attribute the driver does not know leaves its member 0. */
static void fill_attributes(struct cudaDeviceProp *prop, int device)
{
    for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++) {
        int value = 0;
        char *member = (char *)prop + properties[i].offset;
        if (drv.cuDeviceGetAttribute(&value, properties[i].attribute, device) != CUDA_SUCCESS)
            continue;
        if (properties[i].bytes == sizeof(size_t))
            *(size_t *)(void *)member = (size_t)value;
        else
            *(int *)(void *)member = value;
    }
}

static cudaError_t get_properties(struct cudaDeviceProp *prop, int device)
{
    cudaError_t err = prop ? rt_need_driver() : cudaErrorInvalidValue;
    if (err != cudaSuccess)
        return err;
    memset(prop, 0, sizeof *prop);
    err = drv.cuDeviceGetName(prop->name, sizeof prop->name, device);
    if (err == cudaSuccess)
        err = drv.cuDeviceTotalMem(&prop->totalGlobalMem, device);
    if (err == cudaSuccess)
        err = drv.cuDeviceGetUuid(&prop->uuid, device);
    if (err == cudaSuccess)
        fill_attributes(prop, device);
    return err;
}

#if CUDART_MAJOR != 12
RT_API cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device)
{
    return rt_done(get_properties(prop, device));
}
#else
RT_API cudaError_t cudaGetDeviceProperties_v2(struct cudaDeviceProp *prop, int device)
{
    return rt_done(get_properties(prop, device));
}

/* The form for programs built with CUDA 11 headers, whose struct is a prefix of this one. */
RT_API cudaError_t cudaGetDeviceProperties(void *prop, int device)
{
    struct cudaDeviceProp whole;
    cudaError_t err = prop ? get_properties(&whole, device) : cudaErrorInvalidValue;
    if (err == cudaSuccess)
        memcpy(prop, &whole, offsetof(struct cudaDeviceProp, hostRegisterSupported));
    return rt_done(err);
}
#endif
