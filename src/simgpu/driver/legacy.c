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

static unsigned int clamp_bytes(size_t bytes)
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
        *free_bytes = clamp_bytes(free_now);
        *total_bytes = clamp_bytes(total);
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
        *bytes = clamp_bytes(wide_bytes);
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

CUresult sim_cuModuleGetGlobal(CUdeviceptr_v1 *address, unsigned int *bytes, CUmodule module,
                               const char *name)
{
    CUdeviceptr wide;
    size_t wide_bytes;
    CUresult result = sim_cuModuleGetGlobal_v2(&wide, &wide_bytes, module, name);
    if (result == CUDA_SUCCESS && address != NULL && wide > UINT32_MAX)
        return CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS && address != NULL)
        *address = (CUdeviceptr_v1)wide;
    if (result == CUDA_SUCCESS && bytes != NULL)
        *bytes = clamp_bytes(wide_bytes);
    return result;
}
