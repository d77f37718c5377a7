/* Structures of the driver API that the runtime fills in, under our own names ("CUDA Driver API",
 * section "Data types used by CUDA driver"; the comment names the original). */
#ifndef SIMGPU_CUDART_DRIVER_TYPES_H
#define SIMGPU_CUDART_DRIVER_TYPES_H

#include "cudart_types.h"
#include "driver/cuda_abi.h"

typedef CUdeviceptr devptr;

struct driver_copy_2d { /* CUDA_MEMCPY2D_v2 */
    size_t srcXInBytes, srcY;
    int srcMemoryType;
    const void *srcHost;
    devptr srcDevice;
    cudaArray_const_t srcArray;
    size_t srcPitch;
    size_t dstXInBytes, dstY;
    int dstMemoryType;
    void *dstHost;
    devptr dstDevice;
    cudaArray_t dstArray;
    size_t dstPitch;
    size_t WidthInBytes, Height;
};

struct driver_copy_3d { /* CUDA_MEMCPY3D_v2 */
    size_t srcXInBytes, srcY, srcZ, srcLOD;
    int srcMemoryType;
    const void *srcHost;
    devptr srcDevice;
    cudaArray_const_t srcArray;
    void *reserved0;
    size_t srcPitch, srcHeight;
    size_t dstXInBytes, dstY, dstZ, dstLOD;
    int dstMemoryType;
    void *dstHost;
    devptr dstDevice;
    cudaArray_t dstArray;
    void *reserved1;
    size_t dstPitch, dstHeight;
    size_t WidthInBytes, Height, Depth;
};

struct driver_array_3d { /* CUDA_ARRAY3D_DESCRIPTOR_v2 */
    size_t Width, Height, Depth;
    int Format;
    unsigned int NumChannels, Flags;
};

struct driver_memset_node { /* CUDA_MEMSET_NODE_PARAMS_v1 */
    devptr dst;
    size_t pitch;
    unsigned int value, elementSize;
    size_t width, height;
};

struct driver_kernel_node { /* CUDA_KERNEL_NODE_PARAMS_v2 */
    cudaFunction_t func;
    unsigned int gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
    void **kernelParams, **extra;
    cudaKernel_t kern;
    CUcontext ctx;
};

enum {
    DRIVER_MEMORY_HOST = 1,
    DRIVER_MEMORY_DEVICE = 2,
    DRIVER_MEMORY_ARRAY = 3,
    DRIVER_MEMORY_UNIFIED = 4
};

struct driver_launch_config { /* CUlaunchConfig */
    unsigned int gridDimX, gridDimY, gridDimZ, blockDimX, blockDimY, blockDimZ, sharedMemBytes;
    cudaStream_t hStream;
    cudaLaunchAttribute *attrs;
    unsigned int numAttrs;
};

#endif
