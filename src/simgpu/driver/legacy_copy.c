/* The copies of before CUDA 3.2, whose sizes and device addresses have 32 bits. */
#include "function_table.h"

CUresult sim_cuMemcpyHtoD(CUdeviceptr_v1 to, const void *from, unsigned int bytes)
{
    return sim_cuMemcpyHtoD_v2(to, from, bytes);
}

CUresult sim_cuMemcpyDtoH(void *to, CUdeviceptr_v1 from, unsigned int bytes)
{
    return sim_cuMemcpyDtoH_v2(to, from, bytes);
}

CUresult sim_cuMemcpyDtoD(CUdeviceptr_v1 to, CUdeviceptr_v1 from, unsigned int bytes)
{
    return sim_cuMemcpyDtoD_v2(to, from, bytes);
}

CUresult sim_cuMemcpyHtoDAsync(CUdeviceptr_v1 to, const void *from, unsigned int bytes,
                               CUstream stream)
{
    return sim_cuMemcpyHtoDAsync_v2(to, from, bytes, stream);
}

CUresult sim_cuMemcpyDtoHAsync(void *to, CUdeviceptr_v1 from, unsigned int bytes, CUstream stream)
{
    return sim_cuMemcpyDtoHAsync_v2(to, from, bytes, stream);
}

CUresult sim_cuMemcpyDtoDAsync(CUdeviceptr_v1 to, CUdeviceptr_v1 from, unsigned int bytes,
                               CUstream stream)
{
    return sim_cuMemcpyDtoDAsync_v2(to, from, bytes, stream);
}

static CUDA_MEMCPY2D widen_copy(const CUDA_MEMCPY2D_v1 *copy)
{
    return (CUDA_MEMCPY2D){
        .srcXInBytes = copy->srcXInBytes,
        .srcY = copy->srcY,
        .srcMemoryType = copy->srcMemoryType,
        .srcHost = copy->srcHost,
        .srcDevice = copy->srcDevice,
        .srcArray = copy->srcArray,
        .srcPitch = copy->srcPitch,
        .dstXInBytes = copy->dstXInBytes,
        .dstY = copy->dstY,
        .dstMemoryType = copy->dstMemoryType,
        .dstHost = copy->dstHost,
        .dstDevice = copy->dstDevice,
        .dstArray = copy->dstArray,
        .dstPitch = copy->dstPitch,
        .WidthInBytes = copy->WidthInBytes,
        .Height = copy->Height,
    };
}

CUresult sim_cuMemcpy2D(const CUDA_MEMCPY2D_v1 *copy)
{
    if (copy == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    CUDA_MEMCPY2D wide = widen_copy(copy);
    return sim_cuMemcpy2D_v2(&wide);
}

CUresult sim_cuMemcpy2DUnaligned(const CUDA_MEMCPY2D_v1 *copy)
{
    return sim_cuMemcpy2D(copy);
}

CUresult sim_cuMemcpy2DAsync(const CUDA_MEMCPY2D_v1 *copy, CUstream stream)
{
    if (copy == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    CUDA_MEMCPY2D wide = widen_copy(copy);
    return sim_cuMemcpy2DAsync_v2(&wide, stream);
}

CUresult sim_cuMemsetD8(CUdeviceptr_v1 address, unsigned char value, unsigned int count)
{
    return sim_cuMemsetD8_v2(address, value, count);
}

CUresult sim_cuMemsetD16(CUdeviceptr_v1 address, unsigned short value, unsigned int count)
{
    return sim_cuMemsetD16_v2(address, value, count);
}

CUresult sim_cuMemsetD32(CUdeviceptr_v1 address, unsigned int value, unsigned int count)
{
    return sim_cuMemsetD32_v2(address, value, count);
}

CUresult sim_cuMemsetD2D8(CUdeviceptr_v1 address, unsigned int pitch, unsigned char value,
                          unsigned int width, unsigned int height)
{
    return sim_cuMemsetD2D8_v2(address, pitch, value, width, height);
}

CUresult sim_cuMemsetD2D16(CUdeviceptr_v1 address, unsigned int pitch, unsigned short value,
                           unsigned int width, unsigned int height)
{
    return sim_cuMemsetD2D16_v2(address, pitch, value, width, height);
}

CUresult sim_cuMemsetD2D32(CUdeviceptr_v1 address, unsigned int pitch, unsigned int value,
                           unsigned int width, unsigned int height)
{
    return sim_cuMemsetD2D32_v2(address, pitch, value, width, height);
}

static CUDA_MEMCPY3D widen_box(const CUDA_MEMCPY3D_v1 *copy)
{
    return (CUDA_MEMCPY3D){
        .srcXInBytes = copy->srcXInBytes,
        .srcY = copy->srcY,
        .srcZ = copy->srcZ,
        .srcLOD = copy->srcLOD,
        .srcMemoryType = copy->srcMemoryType,
        .srcHost = copy->srcHost,
        .srcDevice = copy->srcDevice,
        .srcArray = copy->srcArray,
        .srcPitch = copy->srcPitch,
        .srcHeight = copy->srcHeight,
        .dstXInBytes = copy->dstXInBytes,
        .dstY = copy->dstY,
        .dstZ = copy->dstZ,
        .dstLOD = copy->dstLOD,
        .dstMemoryType = copy->dstMemoryType,
        .dstHost = copy->dstHost,
        .dstDevice = copy->dstDevice,
        .dstArray = copy->dstArray,
        .dstPitch = copy->dstPitch,
        .dstHeight = copy->dstHeight,
        .WidthInBytes = copy->WidthInBytes,
        .Height = copy->Height,
        .Depth = copy->Depth,
    };
}

CUresult sim_cuMemcpy3D(const CUDA_MEMCPY3D_v1 *copy)
{
    if (copy == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    CUDA_MEMCPY3D wide = widen_box(copy);
    return sim_cuMemcpy3D_v2(&wide);
}

CUresult sim_cuMemcpy3DAsync(const CUDA_MEMCPY3D_v1 *copy, CUstream stream)
{
    if (copy == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    CUDA_MEMCPY3D wide = widen_box(copy);
    return sim_cuMemcpy3DAsync_v2(&wide, stream);
}

CUresult sim_cuMemcpyDtoA(CUarray to, unsigned int offset, CUdeviceptr_v1 from, unsigned int bytes)
{
    return sim_cuMemcpyDtoA_v2(to, offset, from, bytes);
}

CUresult sim_cuMemcpyAtoD(CUdeviceptr_v1 to, CUarray from, unsigned int offset, unsigned int bytes)
{
    return sim_cuMemcpyAtoD_v2(to, from, offset, bytes);
}

CUresult sim_cuMemcpyHtoA(CUarray to, unsigned int offset, const void *from, unsigned int bytes)
{
    return sim_cuMemcpyHtoA_v2(to, offset, from, bytes);
}

CUresult sim_cuMemcpyAtoH(void *to, CUarray from, unsigned int offset, unsigned int bytes)
{
    return sim_cuMemcpyAtoH_v2(to, from, offset, bytes);
}

CUresult sim_cuMemcpyAtoA(CUarray to, unsigned int to_offset, CUarray from,
                          unsigned int from_offset, unsigned int bytes)
{
    return sim_cuMemcpyAtoA_v2(to, to_offset, from, from_offset, bytes);
}

CUresult sim_cuMemcpyHtoAAsync(CUarray to, unsigned int offset, const void *from,
                               unsigned int bytes, CUstream stream)
{
    return sim_cuMemcpyHtoAAsync_v2(to, offset, from, bytes, stream);
}

CUresult sim_cuMemcpyAtoHAsync(void *to, CUarray from, unsigned int offset, unsigned int bytes,
                               CUstream stream)
{
    return sim_cuMemcpyAtoHAsync_v2(to, from, offset, bytes, stream);
}
