/* Copies ("CUDA Driver API", section "Memory Management"). Device addresses are host addresses
 * here, so each copy is a memmove, done when the call returns; the device's side of it must be
 * memory that the driver knows. */
#include "copy.h"

#include <string.h>

#include "capture.h"
#include "function_table.h"
#include "memory.h"
#include "object.h"
#include "range.h"
#include "small.h"
#include "state.h"
#include "stream.h"

static void *pointer_at(uint64_t address)
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
            memmove(pointer_at(to->first + slice * to->slice_bytes + row * to->row_bytes),
                    pointer_at(from->first + slice * from->slice_bytes + row * from->row_bytes),
                    width);
    return CUDA_SUCCESS;
}

static CUresult copy_line(uint64_t to, bool to_device, uint64_t from, bool from_device,
                          size_t bytes)
{
    struct copy_side destination = { to, 0, 0, to_device };
    struct copy_side source = { from, 0, 0, from_device };
    return copy_box(&destination, &source, bytes, 1, 1);
}

bool copy_is_known(uint64_t address)
{
    struct memory_view view;
    sim_lock_all();
    bool known = memory_look(address, &view);
    sim_unlock_all();
    return known;
}

/* A copy of a run of bytes as a 3D copy. */
static CUDA_MEMCPY3D line_box(CUdeviceptr to, CUmemorytype to_type, CUdeviceptr from,
                              CUmemorytype from_type, size_t bytes)
{
    return (CUDA_MEMCPY3D){
        .srcMemoryType = from_type,
        .srcHost = pointer_at(from),
        .srcDevice = from,
        .dstMemoryType = to_type,
        .dstHost = pointer_at(to),
        .dstDevice = to,
        .WidthInBytes = bytes,
        .Height = 1,
        .Depth = 1,
    };
}

CUresult copy_async(const CUDA_MEMCPY3D *box, CUstream handle)
{
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_use(handle, &stream, &context);
    bool capturing = result == CUDA_SUCCESS && stream_capture(stream) != NULL;
    if (capturing)
        result = capture_copy(stream, box);
    sim_unlock_all();
    return result == CUDA_SUCCESS && !capturing ? copy_now(box) : result;
}

/* Synchronous copies are work of the default stream. */
CUresult sim_cuMemcpy(CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
    CUresult result = stream_check(NULL);
    return result == CUDA_SUCCESS
               ? copy_line(to, copy_is_known(to), from, copy_is_known(from), bytes)
               : result;
}

CUresult sim_cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    CUDA_MEMCPY3D box = line_box(to, CU_MEMORYTYPE_UNIFIED, from, CU_MEMORYTYPE_UNIFIED, bytes);
    return copy_async(&box, stream);
}

CUresult sim_cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes)
{
    CUresult result = stream_check(NULL);
    return result == CUDA_SUCCESS ? copy_line(to, true, (uintptr_t)from, false, bytes) : result;
}

CUresult sim_cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes)
{
    CUresult result = stream_check(NULL);
    return result == CUDA_SUCCESS ? copy_line((uintptr_t)to, false, from, true, bytes) : result;
}

CUresult sim_cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes)
{
    CUresult result = stream_check(NULL);
    return result == CUDA_SUCCESS ? copy_line(to, true, from, true, bytes) : result;
}

CUresult sim_cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream)
{
    CUDA_MEMCPY3D box =
        line_box(to, CU_MEMORYTYPE_DEVICE, (uintptr_t)from, CU_MEMORYTYPE_HOST, bytes);
    return copy_async(&box, stream);
}

CUresult sim_cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    CUDA_MEMCPY3D box =
        line_box((uintptr_t)to, CU_MEMORYTYPE_HOST, from, CU_MEMORYTYPE_DEVICE, bytes);
    return copy_async(&box, stream);
}

CUresult sim_cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream)
{
    CUDA_MEMCPY3D box = line_box(to, CU_MEMORYTYPE_DEVICE, from, CU_MEMORYTYPE_DEVICE, bytes);
    return copy_async(&box, stream);
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
    CUresult result = check_contexts(to_context, from_context);
    return result == CUDA_SUCCESS ? sim_cuMemcpyDtoDAsync_v2(to, from, bytes, stream) : result;
}
