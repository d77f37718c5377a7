/* Copies ("CUDA Driver API", section "Memory Management"). Device addresses are host addresses
 * here, so each copy is a memmove, done when the call returns; the device's side of it must be
 * memory that the driver knows. */
#include "copy.h"

#include <string.h>

#include "device_attributes.h"
#include "function_table.h"
#include "memory.h"
#include "object.h"
#include "range.h"
#include "small.h"
#include "state.h"
#include "stream.h"

static void *at(uint64_t address)
{
    return (void *)(uintptr_t)address;
}

CUresult copy_check_context(void)
{
    sim_lock_all();
    struct context *context;
    return sim_unlock_with(context_current(&context));
}

CUresult copy_check(uint64_t address, uint64_t bytes)
{
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS && !range_covers(address, bytes))
        result = CUDA_ERROR_INVALID_VALUE;
    return sim_unlock_with(result);
}

static CUresult check_side(const struct copy_side *side, size_t width, size_t height, size_t depth)
{
    if (side->first == 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (!side->device)
        return copy_check_context();
    uint64_t span = (depth - 1) * side->slice_bytes + (height - 1) * side->row_bytes + width;
    return copy_check(side->first, span);
}

CUresult copy_box(const struct copy_side *to, const struct copy_side *from, size_t width,
                  size_t height, size_t depth)
{
    if (width == 0 || height == 0 || depth == 0)
        return copy_check_context();
    CUresult result = check_side(to, width, height, depth);
    if (result == CUDA_SUCCESS)
        result = check_side(from, width, height, depth);
    if (result != CUDA_SUCCESS)
        return result;
    for (size_t slice = 0; slice < depth; slice++)
        for (size_t row = 0; row < height; row++)
            memmove(at(to->first + slice * to->slice_bytes + row * to->row_bytes),
                    at(from->first + slice * from->slice_bytes + row * from->row_bytes), width);
    return CUDA_SUCCESS;
}

static CUresult copy_line(uint64_t to, bool to_device, uint64_t from, bool from_device,
                          size_t bytes)
{
    struct copy_side destination = { to, 0, 0, to_device };
    struct copy_side source = { from, 0, 0, from_device };
    return copy_box(&destination, &source, bytes, 1, 1);
}

/* Whether a pointer of unknown origin is one of ours; if not, it is ordinary host memory. */
static bool is_known(uint64_t address)
{
    struct memory_view view;
    sim_lock_all();
    bool known = memory_look(address, &view);
    sim_unlock_all();
    return known;
}

CUresult sim_cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
    return copy_line(to, is_known(to), from, is_known(from), bytes);
}

CUresult sim_cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    CUresult result = stream_check(stream);
    return result == CUDA_SUCCESS ? sim_cuMemcpy(to, from, bytes) : result;
}

CUresult sim_cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes)
{
    return copy_line(to, true, (uint64_t)(uintptr_t)from, false, bytes);
}

CUresult sim_cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes)
{
    return copy_line((uint64_t)(uintptr_t)to, false, from, true, bytes);
}

CUresult sim_cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
    return copy_line(to, true, from, true, bytes);
}

CUresult sim_cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
    CUresult result = stream_check(stream);
    return result == CUDA_SUCCESS ? sim_cuMemcpyHtoD_v2(to, from, bytes) : result;
}

CUresult sim_cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    CUresult result = stream_check(stream);
    return result == CUDA_SUCCESS ? sim_cuMemcpyDtoH_v2(to, from, bytes) : result;
}

CUresult sim_cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    CUresult result = stream_check(stream);
    return result == CUDA_SUCCESS ? sim_cuMemcpyDtoD_v2(to, from, bytes) : result;
}

static CUresult check_contexts(CUcontext one, CUcontext other)
{
    sim_lock_all();
    struct context *context;
    CUresult result = context_named(one, &context);
    if (result == CUDA_SUCCESS)
        result = context_named(other, &context);
    return sim_unlock_with(result);
}

CUresult sim_cuMemcpyPeer(CUdeviceptr to, CUcontext to_context, CUdeviceptr from,
                          CUcontext from_context, size_t bytes)
{
    CUresult result = check_contexts(to_context, from_context);
    return result == CUDA_SUCCESS ? sim_cuMemcpyDtoD_v2(to, from, bytes) : result;
}

CUresult sim_cuMemcpyPeerAsync(CUdeviceptr to, CUcontext to_context, CUdeviceptr from,
                               CUcontext from_context, size_t bytes, CUstream stream)
{
    CUresult result = stream_check(stream);
    return result == CUDA_SUCCESS ? sim_cuMemcpyPeer(to, to_context, from, from_context, bytes)
                                  : result;
}

/* One side of a 2D copy: where it starts and how far apart its rows are. */
static CUresult make_side(struct copy_side *side, CUmemorytype type, const void *host,
                          CUdeviceptr device, size_t pitch, size_t x, size_t y, size_t width)
{
    if (pitch > MAX_PITCH_BYTES || (pitch != 0 && pitch < x + width))
        return CUDA_ERROR_INVALID_VALUE;
    side->row_bytes = pitch != 0 ? pitch : x + width;
    side->slice_bytes = 0;
    uint64_t base;
    switch (type) {
    case CU_MEMORYTYPE_HOST:
        base = (uint64_t)(uintptr_t)host;
        side->device = false;
        break;
    case CU_MEMORYTYPE_DEVICE:
        base = device;
        side->device = true;
        break;
    case CU_MEMORYTYPE_UNIFIED:
        base = device;
        side->device = is_known(device);
        break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    if (base == 0)
        return CUDA_ERROR_INVALID_VALUE;
    side->first = base + y * side->row_bytes + x;
    return CUDA_SUCCESS;
}

CUresult sim_cuMemcpy2D_v2(const CUDA_MEMCPY2D *copy)
{
    if (copy == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    struct copy_side to, from;
    CUresult result = make_side(&to, copy->dstMemoryType, copy->dstHost, copy->dstDevice,
                                copy->dstPitch, copy->dstXInBytes, copy->dstY, copy->WidthInBytes);
    if (result == CUDA_SUCCESS)
        result = make_side(&from, copy->srcMemoryType, copy->srcHost, copy->srcDevice,
                           copy->srcPitch, copy->srcXInBytes, copy->srcY, copy->WidthInBytes);
    return result == CUDA_SUCCESS ? copy_box(&to, &from, copy->WidthInBytes, copy->Height, 1)
                                  : result;
}

CUresult sim_cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *copy)
{
    return sim_cuMemcpy2D_v2(copy);
}

CUresult sim_cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *copy, CUstream stream)
{
    CUresult result = stream_check(stream);
    return result == CUDA_SUCCESS ? sim_cuMemcpy2D_v2(copy) : result;
}
