/* CUDA arrays. A runtime array handle is the driver's. */
#include "cudart_errors.h"
#include "runtime.h"

/* CUarray_format ("CUDA Driver API", Data types): what the plain channel formats correspond to. */
struct format {
    int driver_format;
    int kind;
    int bits;
};

static const struct format formats[] = {
    { 0x01, cudaChannelFormatKindUnsigned, 8 },  { 0x02, cudaChannelFormatKindUnsigned, 16 },
    { 0x03, cudaChannelFormatKindUnsigned, 32 }, { 0x08, cudaChannelFormatKindSigned, 8 },
    { 0x09, cudaChannelFormatKindSigned, 16 },   { 0x0a, cudaChannelFormatKindSigned, 32 },
    { 0x10, cudaChannelFormatKindFloat, 16 },    { 0x20, cudaChannelFormatKindFloat, 32 },
};
enum { FORMAT_COUNT = sizeof formats / sizeof formats[0] };

RT_API struct cudaChannelFormatDesc cudaCreateChannelDesc(int x, int y, int z, int w, int kind)
{
    return (struct cudaChannelFormatDesc){ x, y, z, w, kind };
}

/* Channels are used from x on and all have the size of x; there are 1, 2 or 4 of them. Packed and
 * block-compressed formats are refused. */
static cudaError_t to_driver_format(const struct cudaChannelFormatDesc *desc,
                                    struct driver_array_3d *array)
{
    unsigned int channels = desc->w ? 4 : desc->z ? 3 : desc->y ? 2 : 1;
    if (channels == 3 || (channels >= 2 && desc->y != desc->x) ||
        (channels == 4 && (desc->z != desc->x || desc->w != desc->x)))
        return cudaErrorInvalidChannelDescriptor;
    for (int i = 0; i < FORMAT_COUNT; i++)
        if (formats[i].kind == desc->f && formats[i].bits == desc->x) {
            array->Format = formats[i].driver_format;
            array->NumChannels = channels;
            return cudaSuccess;
        }
    return cudaErrorInvalidChannelDescriptor;
}

static struct cudaChannelFormatDesc to_channel_desc(const struct driver_array_3d *array)
{
    for (int i = 0; i < FORMAT_COUNT; i++) {
        int bits = formats[i].bits;
        if (formats[i].driver_format == array->Format)
            return (struct cudaChannelFormatDesc){ bits, array->NumChannels >= 2 ? bits : 0,
                                                   array->NumChannels == 4 ? bits : 0,
                                                   array->NumChannels == 4 ? bits : 0,
                                                   formats[i].kind };
    }
    return (struct cudaChannelFormatDesc){ .f = cudaChannelFormatKindNone };
}

static cudaError_t describe_array(struct driver_array_3d *array,
                                  const struct cudaChannelFormatDesc *desc,
                                  struct cudaExtent extent, unsigned int flags)
{
    *array = (struct driver_array_3d){
        .Width = extent.width, .Height = extent.height, .Depth = extent.depth, .Flags = flags
    };
    return to_driver_format(desc, array);
}

RT_API cudaError_t cudaMalloc3DArray(cudaArray_t *array, const struct cudaChannelFormatDesc *desc,
                                     struct cudaExtent extent, unsigned int flags)
{
    struct driver_array_3d descriptor;
    cudaError_t err = array && desc ? rt_need_context() : cudaErrorInvalidValue;
    if (err == cudaSuccess)
        err = describe_array(&descriptor, desc, extent, flags);
    return rt_done(err ? err : drv.cuArray3DCreate(array, &descriptor));
}

RT_API cudaError_t cudaMallocArray(cudaArray_t *array, const struct cudaChannelFormatDesc *desc,
                                   size_t width, size_t height, unsigned int flags)
{
    return cudaMalloc3DArray(array, desc, (struct cudaExtent){ width, height, 0 }, flags);
}

RT_API cudaError_t cudaFreeArray(cudaArray_t array)
{
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess && array)
        err = drv.cuArrayDestroy(array);
    return rt_done(err);
}

RT_API cudaError_t cudaArrayGetInfo(struct cudaChannelFormatDesc *desc, struct cudaExtent *extent,
                                    unsigned int *flags, cudaArray_t array)
{
    struct driver_array_3d found;
    cudaError_t err = array ? rt_need_context() : cudaErrorInvalidResourceHandle;
    if (err == cudaSuccess)
        err = drv.cuArray3DGetDescriptor(&found, array);
    if (err != cudaSuccess)
        return rt_done(err);
    if (desc)
        *desc = to_channel_desc(&found);
    if (extent)
        *extent = (struct cudaExtent){ found.Width, found.Height, found.Depth };
    if (flags)
        *flags = found.Flags;
    return cudaSuccess;
}

RT_API cudaError_t cudaGetChannelDesc(struct cudaChannelFormatDesc *desc, cudaArray_const_t array)
{
    struct driver_array_3d found;
    cudaError_t err = desc && array ? rt_need_context() : cudaErrorInvalidValue;
    if (err == cudaSuccess)
        err = drv.cuArray3DGetDescriptor(&found, array);
    if (err == cudaSuccess)
        *desc = to_channel_desc(&found);
    return rt_done(err);
}

RT_API cudaError_t cudaMallocMipmappedArray(cudaMipmappedArray_t *array,
                                            const struct cudaChannelFormatDesc *desc,
                                            struct cudaExtent extent, unsigned int levels,
                                            unsigned int flags)
{
    struct driver_array_3d descriptor;
    cudaError_t err = array && desc ? rt_need_context() : cudaErrorInvalidValue;
    if (err == cudaSuccess)
        err = describe_array(&descriptor, desc, extent, flags);
    return rt_done(err ? err : drv.cuMipmappedArrayCreate(array, &descriptor, levels));
}

RT_API cudaError_t cudaGetMipmappedArrayLevel(cudaArray_t *array,
                                              cudaMipmappedArray_const_t mipmapped,
                                              unsigned int level)
{
    cudaError_t err = array ? rt_need_context() : cudaErrorInvalidValue;
    return rt_done(err ? err : drv.cuMipmappedArrayGetLevel(array, mipmapped, level));
}

RT_API cudaError_t cudaFreeMipmappedArray(cudaMipmappedArray_t array)
{
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess && array)
        err = drv.cuMipmappedArrayDestroy(array);
    return rt_done(err);
}
