/* Copies of rectangles and boxes, and to and from arrays ("CUDA Driver API", section "Memory
 * Management"). All of them come down to CUDA_MEMCPY3D. */
#include "array.h"
#include "copy.h"
#include "device_attributes.h"
#include "function_table.h"
#include "object.h"
#include "state.h"
#include "stream.h"

/* What CUDA_MEMCPY3D says about one of its sides. */
struct description {
    CUmemorytype type;
    uint64_t host, device;
    CUarray array;
    size_t pitch, height; /* between rows, and rows between slices; 0: as tight as can be */
    size_t x, y, z, level;
};

struct extent {
    size_t width, height, depth;
};

static CUresult array_side(const struct description *is, const struct extent *extent,
                           struct copy_side *side)
{
    sim_lock_all();
    const struct array *array = OBJECT(OBJECT_ARRAY, is->array);
    if (array == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_HANDLE);
    if (is->x + extent->width > array->row_bytes || is->y + extent->height > array->rows ||
        is->z + extent->depth > array->slices)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    side->row_bytes = array->row_bytes;
    side->slice_bytes = array->row_bytes * array->rows;
    side->first = array->data + is->z * side->slice_bytes + is->y * side->row_bytes + is->x;
    side->device = true;
    return sim_unlock_with(CUDA_SUCCESS);
}

static CUresult make_side(const struct description *is, const struct extent *extent,
                          struct copy_side *side)
{
    if (is->level != 0)
        return CUDA_ERROR_INVALID_VALUE; /* documented: must be 0 */
    if (is->type == CU_MEMORYTYPE_ARRAY)
        return array_side(is, extent, side);
    if (is->type != CU_MEMORYTYPE_HOST && is->type != CU_MEMORYTYPE_DEVICE &&
        is->type != CU_MEMORYTYPE_UNIFIED)
        return CUDA_ERROR_INVALID_VALUE;
    uint64_t base = is->type == CU_MEMORYTYPE_HOST ? is->host : is->device;
    size_t row = is->x + extent->width;
    size_t rows = is->y + extent->height;
    if (base == 0 || is->pitch > MAX_PITCH_BYTES || (is->pitch != 0 && is->pitch < row) ||
        (is->height != 0 && is->height < rows))
        return CUDA_ERROR_INVALID_VALUE;
    side->row_bytes = is->pitch != 0 ? is->pitch : row;
    side->slice_bytes = side->row_bytes * (is->height != 0 ? is->height : rows);
    side->first = base + is->z * side->slice_bytes + is->y * side->row_bytes + is->x;
    side->device = is->type == CU_MEMORYTYPE_DEVICE ||
                   (is->type == CU_MEMORYTYPE_UNIFIED && copy_is_known(base));
    return CUDA_SUCCESS;
}

CUresult copy_now(const CUDA_MEMCPY3D *copy)
{
    struct extent extent = { copy->WidthInBytes, copy->Height, copy->Depth };
    struct description to = { copy->dstMemoryType, (uintptr_t)copy->dstHost,
                              copy->dstDevice,     copy->dstArray,
                              copy->dstPitch,      copy->dstHeight,
                              copy->dstXInBytes,   copy->dstY,
                              copy->dstZ,          copy->dstLOD };
    struct description from = { copy->srcMemoryType, (uintptr_t)copy->srcHost,
                                copy->srcDevice,     copy->srcArray,
                                copy->srcPitch,      copy->srcHeight,
                                copy->srcXInBytes,   copy->srcY,
                                copy->srcZ,          copy->srcLOD };
    struct copy_side to_side, from_side;
    CUresult result = make_side(&to, &extent, &to_side);
    if (result == CUDA_SUCCESS)
        result = make_side(&from, &extent, &from_side);
    if (result == CUDA_SUCCESS)
        result = copy_box(&to_side, &from_side, extent.width, extent.height, extent.depth);
    return result;
}

CUresult sim_cuMemcpy3D_v2(const CUDA_MEMCPY3D *copy)
{
    if (copy == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = stream_check(NULL);
    return result == CUDA_SUCCESS ? copy_now(copy) : result;
}

CUresult sim_cuMemcpy3DAsync_v2(const CUDA_MEMCPY3D *copy, CUstream stream)
{
    return copy != NULL ? copy_async(copy, stream) : CUDA_ERROR_INVALID_VALUE;
}

CUDA_MEMCPY3D copy_from_2d(const CUDA_MEMCPY2D *copy)
{
    return (CUDA_MEMCPY3D){
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
        .Depth = 1,
    };
}

CUresult sim_cuMemcpy2D_v2(const CUDA_MEMCPY2D *copy)
{
    if (copy == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    CUDA_MEMCPY3D box = copy_from_2d(copy);
    return sim_cuMemcpy3D_v2(&box);
}

CUresult sim_cuMemcpy2DUnaligned_v2(const CUDA_MEMCPY2D *copy)
{
    return sim_cuMemcpy2D_v2(copy);
}

CUresult sim_cuMemcpy2DAsync_v2(const CUDA_MEMCPY2D *copy, CUstream stream)
{
    if (copy == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    CUDA_MEMCPY3D box = copy_from_2d(copy);
    return sim_cuMemcpy3DAsync_v2(&box, stream);
}

/* The two structures differ in their contexts, which say nothing that the addresses do not. */
static CUDA_MEMCPY3D from_peer(const CUDA_MEMCPY3D_PEER *copy)
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

CUresult sim_cuMemcpy3DPeer(const CUDA_MEMCPY3D_PEER *copy)
{
    if (copy == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    CUDA_MEMCPY3D box = from_peer(copy);
    return sim_cuMemcpy3D_v2(&box);
}

CUresult sim_cuMemcpy3DPeerAsync(const CUDA_MEMCPY3D_PEER *copy, CUstream stream)
{
    if (copy == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    CUDA_MEMCPY3D box = from_peer(copy);
    return sim_cuMemcpy3DAsync_v2(&box, stream);
}
