/* Arrays and mipmapped arrays ("CUDA Driver API", section "Memory Management"). */
#include "array.h"

#include <stdlib.h>

#include "function_table.h"
#include "memory.h"
#include "object.h"
#include "state.h"

#define FLAG_LAYERED  0x01u
#define FLAG_CUBEMAP  0x04u
#define KNOWN_FLAGS   0x2fu  /* layered, surface, cubemap, gather, colour attachment */
#define SPECIAL_FLAGS 0x1d0u /* depth texture, sparse, deferred, video: not simulated */
#define CUBE_FACES    6
#define MAX_LEVELS    16
#define MAX_EXTENT    (1u << 17)

struct mipmap {
    CUmipmappedArray handle;
    unsigned int level_count;
    struct array *levels[MAX_LEVELS];
};

/* Bytes of one channel; 0 for the compressed and planar formats, which are not simulated. */
static unsigned int channel_bytes(CUarray_format format)
{
    switch (format) {
    case 0x01:
    case 0x08: return 1; /* 8-bit integers */
    case 0x02:
    case 0x09:
    case 0x10: return 2; /* 16-bit integers and floats */
    case 0x03:
    case 0x0a:
    case 0x20: return 4; /* 32-bit integers and floats */
    default: return 0;
    }
}

static CUresult check_descriptor(const CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
    unsigned int channels = descriptor->NumChannels;
    if ((descriptor->Flags & SPECIAL_FLAGS) != 0)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (channel_bytes(descriptor->Format) == 0 || (channels != 1 && channels != 2 && channels != 4))
        return CUDA_ERROR_INVALID_VALUE;
    if (descriptor->Width == 0 || descriptor->Width > MAX_EXTENT ||
        descriptor->Height > MAX_EXTENT || descriptor->Depth > MAX_EXTENT ||
        (descriptor->Flags & ~KNOWN_FLAGS) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if ((descriptor->Flags & FLAG_LAYERED) == 0 && descriptor->Height == 0 &&
        descriptor->Depth != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if ((descriptor->Flags & FLAG_CUBEMAP) != 0 &&
        (descriptor->Width != descriptor->Height || descriptor->Depth == 0 ||
         descriptor->Depth % CUBE_FACES != 0))
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

/* Called with sim_lock held; the descriptor is checked. */
static CUresult create_array(struct context *context, const CUDA_ARRAY3D_DESCRIPTOR *descriptor,
                             struct array **out)
{
    struct array *array = calloc(1, sizeof(*array));
    if (array == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    array->context = context;
    array->descriptor = *descriptor;
    array->row_bytes =
        descriptor->Width * channel_bytes(descriptor->Format) * descriptor->NumChannels;
    array->rows = descriptor->Height > 0 ? descriptor->Height : 1;
    array->slices = descriptor->Depth > 0 ? descriptor->Depth : 1;
    CUresult result =
        memory_take(context, array->row_bytes * array->rows * array->slices, &array->data);
    if (result == CUDA_SUCCESS) {
        array->handle = (CUarray)(uintptr_t)object_add(OBJECT_ARRAY, array, context);
        if (array->handle == NULL) {
            memory_give(array->data);
            result = CUDA_ERROR_OUT_OF_MEMORY;
        }
    }
    if (result == CUDA_SUCCESS)
        *out = array;
    else
        free(array);
    return result;
}

void array_end(struct array *array)
{
    object_remove((uint64_t)(uintptr_t)array->handle);
    memory_give(array->data);
    free(array);
}

void mipmap_end(struct mipmap *mipmap)
{
    object_remove((uint64_t)(uintptr_t)mipmap->handle);
    for (unsigned int i = 0; i < mipmap->level_count; i++)
        array_end(mipmap->levels[i]);
    free(mipmap);
}

CUresult sim_cuArray3DCreate_v2(CUarray *handle, const CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
    if (handle == NULL || descriptor == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = check_descriptor(descriptor);
    if (result != CUDA_SUCCESS)
        return result;
    sim_lock_all();
    struct context *context;
    struct array *array;
    result = context_current(&context);
    if (result == CUDA_SUCCESS)
        result = create_array(context, descriptor, &array);
    if (result == CUDA_SUCCESS)
        *handle = array->handle;
    return sim_unlock_with(result);
}

CUresult sim_cuArrayCreate_v2(CUarray *handle, const CUDA_ARRAY_DESCRIPTOR *descriptor)
{
    if (descriptor == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    CUDA_ARRAY3D_DESCRIPTOR full = { .Width = descriptor->Width,
                                     .Height = descriptor->Height,
                                     .Format = descriptor->Format,
                                     .NumChannels = descriptor->NumChannels };
    return sim_cuArray3DCreate_v2(handle, &full);
}

CUresult sim_cuArray3DCreate(CUarray *handle, const CUDA_ARRAY3D_DESCRIPTOR_v1 *descriptor)
{
    if (descriptor == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    CUDA_ARRAY3D_DESCRIPTOR full = {
        descriptor->Width,  descriptor->Height,      descriptor->Depth,
        descriptor->Format, descriptor->NumChannels, descriptor->Flags
    };
    return sim_cuArray3DCreate_v2(handle, &full);
}

CUresult sim_cuArrayCreate(CUarray *handle, const CUDA_ARRAY_DESCRIPTOR_v1 *descriptor)
{
    if (descriptor == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    CUDA_ARRAY_DESCRIPTOR wide = { descriptor->Width, descriptor->Height, descriptor->Format,
                                   descriptor->NumChannels };
    return sim_cuArrayCreate_v2(handle, &wide);
}

CUresult sim_cuArrayDestroy(CUarray handle)
{
    sim_lock_all();
    struct array *array = OBJECT(OBJECT_ARRAY, handle);
    if (array == NULL || array->is_level)
        return sim_unlock_with(CUDA_ERROR_INVALID_HANDLE);
    array_end(array);
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuArray3DGetDescriptor_v2(CUDA_ARRAY3D_DESCRIPTOR *descriptor, CUarray handle)
{
    if (descriptor == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct array *array = OBJECT(OBJECT_ARRAY, handle);
    if (array != NULL)
        *descriptor = array->descriptor;
    return sim_unlock_with(array != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE);
}

CUresult sim_cuArrayGetDescriptor_v2(CUDA_ARRAY_DESCRIPTOR *descriptor, CUarray handle)
{
    CUDA_ARRAY3D_DESCRIPTOR full;
    CUresult result = descriptor != NULL ? sim_cuArray3DGetDescriptor_v2(&full, handle)
                                         : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        *descriptor =
            (CUDA_ARRAY_DESCRIPTOR){ full.Width, full.Height, full.Format, full.NumChannels };
    return result;
}

CUresult sim_cuArray3DGetDescriptor(CUDA_ARRAY3D_DESCRIPTOR_v1 *descriptor, CUarray handle)
{
    CUDA_ARRAY3D_DESCRIPTOR full;
    CUresult result = descriptor != NULL ? sim_cuArray3DGetDescriptor_v2(&full, handle)
                                         : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        *descriptor = (CUDA_ARRAY3D_DESCRIPTOR_v1){ (unsigned)full.Width, (unsigned)full.Height,
                                                    (unsigned)full.Depth, full.Format,
                                                    full.NumChannels,     full.Flags };
    return result;
}

CUresult sim_cuArrayGetDescriptor(CUDA_ARRAY_DESCRIPTOR_v1 *descriptor, CUarray handle)
{
    CUDA_ARRAY_DESCRIPTOR wide;
    CUresult result =
        descriptor != NULL ? sim_cuArrayGetDescriptor_v2(&wide, handle) : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        *descriptor = (CUDA_ARRAY_DESCRIPTOR_v1){ (unsigned)wide.Width, (unsigned)wide.Height,
                                                  wide.Format, wide.NumChannels };
    return result;
}

static size_t halve_extent(size_t extent)
{
    return extent > 1 ? extent / 2 : extent;
}

/* How many levels a full chain has; documented: more are cut to that. */
static unsigned int full_chain(const CUDA_ARRAY3D_DESCRIPTOR *descriptor)
{
    size_t longest = descriptor->Width;
    if (descriptor->Height > longest)
        longest = descriptor->Height;
    if ((descriptor->Flags & FLAG_LAYERED) == 0 && descriptor->Depth > longest)
        longest = descriptor->Depth;
    unsigned int levels = 1;
    for (; longest > 1; longest /= 2)
        levels++;
    return levels < MAX_LEVELS ? levels : MAX_LEVELS;
}

/* Makes each level half as large as the one before. Called with sim_lock held. */
static CUresult create_levels(struct context *context, CUDA_ARRAY3D_DESCRIPTOR descriptor,
                              unsigned int count, struct mipmap *mipmap)
{
    for (; mipmap->level_count < count; mipmap->level_count++) {
        struct array *level;
        CUresult result = create_array(context, &descriptor, &level);
        if (result != CUDA_SUCCESS)
            return result;
        level->is_level = true;
        mipmap->levels[mipmap->level_count] = level;
        descriptor.Width = halve_extent(descriptor.Width);
        descriptor.Height = halve_extent(descriptor.Height);
        if ((descriptor.Flags & (FLAG_LAYERED | FLAG_CUBEMAP)) == 0)
            descriptor.Depth = halve_extent(descriptor.Depth);
    }
    return CUDA_SUCCESS;
}

CUresult sim_cuMipmappedArrayCreate(CUmipmappedArray *handle,
                                    const CUDA_ARRAY3D_DESCRIPTOR *descriptor, unsigned int levels)
{
    if (handle == NULL || descriptor == NULL || levels == 0)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = check_descriptor(descriptor);
    if (result != CUDA_SUCCESS)
        return result;
    unsigned int most = full_chain(descriptor);
    sim_lock_all();
    struct context *context;
    result = context_current(&context);
    struct mipmap *mipmap = result == CUDA_SUCCESS ? calloc(1, sizeof(*mipmap)) : NULL;
    if (result == CUDA_SUCCESS && mipmap == NULL)
        result = CUDA_ERROR_OUT_OF_MEMORY;
    if (result != CUDA_SUCCESS)
        return sim_unlock_with(result);
    result = create_levels(context, *descriptor, levels < most ? levels : most, mipmap);
    if (result == CUDA_SUCCESS)
        mipmap->handle = (CUmipmappedArray)(uintptr_t)object_add(OBJECT_MIPMAP, mipmap, context);
    if (mipmap->handle == NULL) {
        mipmap_end(mipmap);
        return sim_unlock_with(CUDA_ERROR_OUT_OF_MEMORY);
    }
    *handle = mipmap->handle;
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuMipmappedArrayGetLevel(CUarray *handle, CUmipmappedArray mipmap_handle,
                                      unsigned int level)
{
    if (handle == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct mipmap *mipmap = OBJECT(OBJECT_MIPMAP, mipmap_handle);
    if (mipmap == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_HANDLE);
    if (level >= mipmap->level_count)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    *handle = mipmap->levels[level]->handle;
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuMipmappedArrayDestroy(CUmipmappedArray handle)
{
    sim_lock_all();
    struct mipmap *mipmap = OBJECT(OBJECT_MIPMAP, handle);
    if (mipmap == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_HANDLE);
    mipmap_end(mipmap);
    return sim_unlock_with(CUDA_SUCCESS);
}
