/* The functions of before CUDA 3.2, whose sizes and device addresses have 32 bits. Memory from them
 * lies below 4 GiB; each allocation takes whole blocks. */
#include "context.h"
#include "function_table.h"
#include "memory.h"
#include "state.h"

CUresult sim_cuMemAlloc(CUdeviceptr_v1 *address, unsigned int bytes)
{
    if (address == NULL || bytes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUdeviceptr low;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS)
        result = memory_take_low(context, bytes, &low);
    if (result == CUDA_SUCCESS)
        *address = (CUdeviceptr_v1)low;
    return sim_unlock_with(result);
}

CUresult sim_cuMemAllocPitch(CUdeviceptr_v1 *address, unsigned int *pitch, unsigned int width,
                             unsigned int height, unsigned int element_bytes)
{
    if (address == NULL || pitch == NULL || width == 0 || height == 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (element_bytes != 4 && element_bytes != 8 && element_bytes != 16)
        return CUDA_ERROR_INVALID_VALUE;
    uint64_t row = ((uint64_t)width + 511) / 512 * 512;
    if (row * height > UINT32_MAX)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = sim_cuMemAlloc(address, (unsigned int)(row * height));
    if (result == CUDA_SUCCESS)
        *pitch = (unsigned int)row;
    return result;
}

CUresult sim_cuMemFree(CUdeviceptr_v1 address)
{
    return sim_cuMemFree_v2(address);
}

static unsigned int clamp(size_t bytes)
{
    return bytes > UINT32_MAX ? UINT32_MAX : (unsigned int)bytes;
}

CUresult sim_cuMemGetInfo(unsigned int *free_bytes, unsigned int *total_bytes)
{
    size_t free_now, total;
    if (free_bytes == NULL || total_bytes == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = sim_cuMemGetInfo_v2(&free_now, &total);
    if (result == CUDA_SUCCESS) {
        *free_bytes = clamp(free_now);
        *total_bytes = clamp(total);
    }
    return result;
}

CUresult sim_cuMemGetAddressRange(CUdeviceptr_v1 *base, unsigned int *bytes, CUdeviceptr_v1 address)
{
    CUdeviceptr wide_base;
    size_t wide_bytes;
    CUresult result = sim_cuMemGetAddressRange_v2(&wide_base, &wide_bytes, address);
    if (result == CUDA_SUCCESS && base != NULL)
        *base = (CUdeviceptr_v1)wide_base;
    if (result == CUDA_SUCCESS && bytes != NULL)
        *bytes = clamp(wide_bytes);
    return result;
}

CUresult sim_cuMemAllocHost(void **base, unsigned int bytes)
{
    return sim_cuMemAllocHost_v2(base, bytes);
}

/* Host memory is rarely below 4 GiB, and then it has no address that fits. */
CUresult sim_cuMemHostGetDevicePointer(CUdeviceptr_v1 *device, void *address, unsigned int flags)
{
    CUdeviceptr wide;
    CUresult result = device != NULL ? sim_cuMemHostGetDevicePointer_v2(&wide, address, flags)
                                     : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS && wide > UINT32_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        *device = (CUdeviceptr_v1)wide;
    return result;
}

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

static CUDA_MEMCPY2D widen(const CUDA_MEMCPY2D_v1 *copy)
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
    CUDA_MEMCPY2D wide = widen(copy);
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
    CUDA_MEMCPY2D wide = widen(copy);
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
