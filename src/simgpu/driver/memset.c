/* cuMemset ("CUDA Driver API", section "Memory Management"). */
#include <string.h>

#include "capture.h"
#include "copy.h"
#include "function_table.h"
#include "state.h"
#include "stream.h"

CUresult memset_now(CUdeviceptr address, size_t pitch, unsigned int value, size_t element_bytes,
                    size_t width, size_t height)
{
    if (address % element_bytes != 0 || (height > 1 && pitch % element_bytes != 0))
        return CUDA_ERROR_INVALID_VALUE;
    if (width == 0 || height == 0)
        return copy_check_context();
    size_t row_bytes = width * element_bytes;
    if (width > SIZE_MAX / element_bytes || (height > 1 && pitch < row_bytes))
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = copy_check(address, (height - 1) * pitch + row_bytes);
    if (result != CUDA_SUCCESS)
        return result;

    for (size_t row = 0; row < height; row++) {
        unsigned char *bytes = (unsigned char *)(uintptr_t)(address + row * pitch);
        if (element_bytes == 1)
            memset(bytes, (int)(value & 0xff), row_bytes);
        else
            for (size_t i = 0; i < row_bytes; i += element_bytes)
                memcpy(bytes + i, &value, element_bytes); /* little endian, as all CUDA hosts are */
    }
    return CUDA_SUCCESS;
}

/* Synchronous calls are work of the default stream. */
static CUresult set_memory(CUdeviceptr address, size_t pitch, unsigned int value,
                           size_t element_bytes, size_t width, size_t height)
{
    CUresult result = stream_check(NULL);
    return result == CUDA_SUCCESS ? memset_now(address, pitch, value, element_bytes, width, height)
                                  : result;
}

CUresult sim_cuMemsetD8_v2(CUdeviceptr address, unsigned char value, size_t count)
{
    return set_memory(address, 0, value, 1, count, 1);
}

CUresult sim_cuMemsetD16_v2(CUdeviceptr address, unsigned short value, size_t count)
{
    return set_memory(address, 0, value, 2, count, 1);
}

CUresult sim_cuMemsetD32_v2(CUdeviceptr address, unsigned int value, size_t count)
{
    return set_memory(address, 0, value, 4, count, 1);
}

CUresult sim_cuMemsetD2D8_v2(CUdeviceptr address, size_t pitch, unsigned char value, size_t width,
                             size_t height)
{
    return set_memory(address, pitch, value, 1, width, height);
}

CUresult sim_cuMemsetD2D16_v2(CUdeviceptr address, size_t pitch, unsigned short value, size_t width,
                              size_t height)
{
    return set_memory(address, pitch, value, 2, width, height);
}

CUresult sim_cuMemsetD2D32_v2(CUdeviceptr address, size_t pitch, unsigned int value, size_t width,
                              size_t height)
{
    return set_memory(address, pitch, value, 4, width, height);
}

static CUresult set_async(CUdeviceptr address, size_t pitch, unsigned int value,
                          size_t element_bytes, size_t width, size_t height, CUstream stream)
{
    sim_lock_all();
    struct stream *used;
    struct context *context;
    CUresult result = stream_use(stream, &used, &context);
    bool capturing = result == CUDA_SUCCESS && stream_capture(used) != NULL;
    CUDA_MEMSET_NODE_PARAMS node = {
        address, pitch, value, (unsigned)element_bytes, width, height
    };
    if (capturing)
        result = capture_set(used, &node);
    sim_unlock_all();
    return result == CUDA_SUCCESS && !capturing
               ? memset_now(address, pitch, value, element_bytes, width, height)
               : result;
}

CUresult sim_cuMemsetD8Async(CUdeviceptr address, unsigned char value, size_t count,
                             CUstream stream)
{
    return set_async(address, 0, value, 1, count, 1, stream);
}

CUresult sim_cuMemsetD16Async(CUdeviceptr address, unsigned short value, size_t count,
                              CUstream stream)
{
    return set_async(address, 0, value, 2, count, 1, stream);
}

CUresult sim_cuMemsetD32Async(CUdeviceptr address, unsigned int value, size_t count,
                              CUstream stream)
{
    return set_async(address, 0, value, 4, count, 1, stream);
}

CUresult sim_cuMemsetD2D8Async(CUdeviceptr address, size_t pitch, unsigned char value, size_t width,
                               size_t height, CUstream stream)
{
    return set_async(address, pitch, value, 1, width, height, stream);
}

CUresult sim_cuMemsetD2D16Async(CUdeviceptr address, size_t pitch, unsigned short value,
                                size_t width, size_t height, CUstream stream)
{
    return set_async(address, pitch, value, 2, width, height, stream);
}

CUresult sim_cuMemsetD2D32Async(CUdeviceptr address, size_t pitch, unsigned int value, size_t width,
                                size_t height, CUstream stream)
{
    return set_async(address, pitch, value, 4, width, height, stream);
}
