/* Two- and three-dimensional copies, between pitched memory and arrays. */
#include "cudart_errors.h"
#include "runtime.h"

/* Where a copy's two ends live, from cudaMemcpyKind. Pointers of cudaMemcpyDefault are left to the
 * driver to place. */
struct ends {
    int src, dst; /* DRIVER_MEMORY_... */
};

static cudaError_t ends_of(int kind, struct ends *ends)
{
    switch (kind) {
    case cudaMemcpyHostToHost:
        *ends = (struct ends){ DRIVER_MEMORY_HOST, DRIVER_MEMORY_HOST };
        return cudaSuccess;
    case cudaMemcpyHostToDevice:
        *ends = (struct ends){ DRIVER_MEMORY_HOST, DRIVER_MEMORY_DEVICE };
        return cudaSuccess;
    case cudaMemcpyDeviceToHost:
        *ends = (struct ends){ DRIVER_MEMORY_DEVICE, DRIVER_MEMORY_HOST };
        return cudaSuccess;
    case cudaMemcpyDeviceToDevice:
        *ends = (struct ends){ DRIVER_MEMORY_DEVICE, DRIVER_MEMORY_DEVICE };
        return cudaSuccess;
    case cudaMemcpyDefault:
        *ends = (struct ends){ DRIVER_MEMORY_UNIFIED, DRIVER_MEMORY_UNIFIED };
        return cudaSuccess;
    default: return cudaErrorInvalidMemcpyDirection;
    }
}

static void set_src(struct driver_copy_2d *copy, int type, const void *src, size_t pitch)
{
    copy->srcMemoryType = type;
    copy->srcPitch = pitch;
    if (type == DRIVER_MEMORY_HOST)
        copy->srcHost = src;
    else
        copy->srcDevice = rt_devptr(src);
}

static void set_dst(struct driver_copy_2d *copy, int type, void *dst, size_t pitch)
{
    copy->dstMemoryType = type;
    copy->dstPitch = pitch;
    if (type == DRIVER_MEMORY_HOST)
        copy->dstHost = dst;
    else
        copy->dstDevice = rt_devptr(dst);
}

static void set_src_array(struct driver_copy_2d *copy, cudaArray_const_t src, size_t x, size_t y)
{
    copy->srcMemoryType = DRIVER_MEMORY_ARRAY;
    copy->srcArray = src;
    copy->srcXInBytes = x;
    copy->srcY = y;
}

static void set_dst_array(struct driver_copy_2d *copy, cudaArray_t dst, size_t x, size_t y)
{
    copy->dstMemoryType = DRIVER_MEMORY_ARRAY;
    copy->dstArray = dst;
    copy->dstXInBytes = x;
    copy->dstY = y;
}

/* A `stream` argument of a copy that returns only when it is done. */
#define NOW ((cudaStream_t)-1)

static cudaError_t run_2d(enum default_stream mode, const struct driver_copy_2d *copy,
                          cudaStream_t stream)
{
    cudaError_t err = rt_need_context();
    if (err != cudaSuccess || copy->WidthInBytes == 0 || copy->Height == 0)
        return rt_done(err);
    return rt_done(stream == NOW ? drv.cuMemcpy2DUnaligned[mode](copy)
                                 : drv.cuMemcpy2DAsync[mode](copy, stream));
}

static cudaError_t copy_2d_async(enum default_stream mode, void *dst, size_t dst_pitch,
                                 const void *src, size_t src_pitch, size_t width, size_t height,
                                 int kind, cudaStream_t stream)
{
    struct ends ends;
    struct driver_copy_2d copy = { .WidthInBytes = width, .Height = height };
    cudaError_t err = ends_of(kind, &ends);
    if (err == cudaSuccess && (width > dst_pitch || width > src_pitch))
        err = cudaErrorInvalidPitchValue;
    if (err != cudaSuccess)
        return rt_done(err);
    set_src(&copy, ends.src, src, src_pitch);
    set_dst(&copy, ends.dst, dst, dst_pitch);
    return run_2d(mode, &copy, stream);
}

static cudaError_t copy_2d(enum default_stream mode, void *dst, size_t dst_pitch, const void *src,
                           size_t src_pitch, size_t width, size_t height, int kind)
{
    return copy_2d_async(mode, dst, dst_pitch, src, src_pitch, width, height, kind, NOW);
}

static cudaError_t to_array_async(enum default_stream mode, cudaArray_t dst, size_t x, size_t y,
                                  const void *src, size_t src_pitch, size_t width, size_t height,
                                  int kind, cudaStream_t stream)
{
    struct ends ends;
    struct driver_copy_2d copy = { .WidthInBytes = width, .Height = height };
    cudaError_t err = ends_of(kind, &ends);
    if (err == cudaSuccess && ends.dst == DRIVER_MEMORY_HOST)
        err = cudaErrorInvalidMemcpyDirection;
    if (err == cudaSuccess && width > src_pitch)
        err = cudaErrorInvalidPitchValue;
    if (err != cudaSuccess)
        return rt_done(err);
    set_src(&copy, ends.src, src, src_pitch);
    set_dst_array(&copy, dst, x, y);
    return run_2d(mode, &copy, stream);
}

static cudaError_t to_array(enum default_stream mode, cudaArray_t dst, size_t x, size_t y,
                            const void *src, size_t src_pitch, size_t width, size_t height,
                            int kind)
{
    return to_array_async(mode, dst, x, y, src, src_pitch, width, height, kind, NOW);
}

static cudaError_t from_array_async(enum default_stream mode, void *dst, size_t dst_pitch,
                                    cudaArray_const_t src, size_t x, size_t y, size_t width,
                                    size_t height, int kind, cudaStream_t stream)
{
    struct ends ends;
    struct driver_copy_2d copy = { .WidthInBytes = width, .Height = height };
    cudaError_t err = ends_of(kind, &ends);
    if (err == cudaSuccess && ends.src == DRIVER_MEMORY_HOST)
        err = cudaErrorInvalidMemcpyDirection;
    if (err == cudaSuccess && width > dst_pitch)
        err = cudaErrorInvalidPitchValue;
    if (err != cudaSuccess)
        return rt_done(err);
    set_src_array(&copy, src, x, y);
    set_dst(&copy, ends.dst, dst, dst_pitch);
    return run_2d(mode, &copy, stream);
}

static cudaError_t from_array(enum default_stream mode, void *dst, size_t dst_pitch,
                              cudaArray_const_t src, size_t x, size_t y, size_t width,
                              size_t height, int kind)
{
    return from_array_async(mode, dst, dst_pitch, src, x, y, width, height, kind, NOW);
}

static cudaError_t array_to_array(enum default_stream mode, cudaArray_t dst, size_t dst_x,
                                  size_t dst_y, cudaArray_const_t src, size_t src_x, size_t src_y,
                                  size_t width, size_t height, int kind)
{
    struct driver_copy_2d copy = { .WidthInBytes = width, .Height = height };
    if (kind != cudaMemcpyDeviceToDevice && kind != cudaMemcpyDefault)
        return rt_done(cudaErrorInvalidMemcpyDirection);
    set_src_array(&copy, src, src_x, src_y);
    set_dst_array(&copy, dst, dst_x, dst_y);
    return run_2d(mode, &copy, NOW);
}

/* The runtime measures an array's positions and extent in elements, the driver in bytes. */
static cudaError_t element_bytes(cudaArray_const_t array, size_t *bytes)
{
    struct cudaChannelFormatDesc desc;
    cudaError_t err = cudaGetChannelDesc(&desc, array);
    if (err == cudaSuccess)
        *bytes = (size_t)(desc.x + desc.y + desc.z + desc.w) / 8;
    return err;
}

static void set_src_3d(struct driver_copy_3d *copy, const struct cudaMemcpy3DParms *p, int type,
                       size_t element)
{
    copy->srcY = p->srcPos.y;
    copy->srcZ = p->srcPos.z;
    copy->srcPitch = p->srcPtr.pitch;
    copy->srcHeight = p->srcPtr.ysize;
    copy->srcMemoryType = p->srcArray ? DRIVER_MEMORY_ARRAY : type;
    copy->srcXInBytes = p->srcPos.x * (p->srcArray ? element : 1);
    copy->srcArray = p->srcArray;
    if (type == DRIVER_MEMORY_HOST)
        copy->srcHost = p->srcPtr.ptr;
    else
        copy->srcDevice = rt_devptr(p->srcPtr.ptr);
}

static void set_dst_3d(struct driver_copy_3d *copy, const struct cudaMemcpy3DParms *p, int type,
                       size_t element)
{
    copy->dstY = p->dstPos.y;
    copy->dstZ = p->dstPos.z;
    copy->dstPitch = p->dstPtr.pitch;
    copy->dstHeight = p->dstPtr.ysize;
    copy->dstMemoryType = p->dstArray ? DRIVER_MEMORY_ARRAY : type;
    copy->dstXInBytes = p->dstPos.x * (p->dstArray ? element : 1);
    copy->dstArray = p->dstArray;
    if (type == DRIVER_MEMORY_HOST)
        copy->dstHost = p->dstPtr.ptr;
    else
        copy->dstDevice = rt_devptr(p->dstPtr.ptr);
}

cudaError_t rt_driver_copy_3d(const struct cudaMemcpy3DParms *p, struct driver_copy_3d *copy)
{
    struct ends ends;
    size_t element = 1;
    cudaError_t err = p ? ends_of(p->kind, &ends) : cudaErrorInvalidValue;
    if (err == cudaSuccess && (!p->srcArray == !p->srcPtr.ptr || !p->dstArray == !p->dstPtr.ptr))
        err = cudaErrorInvalidValue; /* exactly one of array and pointer */
    if (err == cudaSuccess && (p->srcArray || p->dstArray))
        err = element_bytes(p->srcArray ? p->srcArray : p->dstArray, &element);
    if (err != cudaSuccess)
        return err;
    *copy = (struct driver_copy_3d){ .WidthInBytes = p->extent.width * element,
                                     .Height = p->extent.height,
                                     .Depth = p->extent.depth };
    set_src_3d(copy, p, ends.src, element);
    set_dst_3d(copy, p, ends.dst, element);
    return cudaSuccess;
}

static cudaError_t copy_3d_async(enum default_stream mode, const struct cudaMemcpy3DParms *p,
                                 cudaStream_t stream)
{
    struct driver_copy_3d copy;
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess)
        err = rt_driver_copy_3d(p, &copy);
    if (err != cudaSuccess || copy.WidthInBytes == 0 || copy.Height == 0 || copy.Depth == 0)
        return rt_done(err);
    return rt_done(stream == NOW ? drv.cuMemcpy3D[mode](&copy)
                                 : drv.cuMemcpy3DAsync[mode](&copy, stream));
}

static cudaError_t copy_3d(enum default_stream mode, const struct cudaMemcpy3DParms *p)
{
    return copy_3d_async(mode, p, NOW);
}

RT_PTDS(cudaMemcpy2D, copy_2d,
        (void *dst, size_t dst_pitch, const void *src, size_t src_pitch, size_t width,
         size_t height, int kind),
        dst, dst_pitch, src, src_pitch, width, height, kind)
RT_PTSZ(cudaMemcpy2DAsync, copy_2d_async,
        (void *dst, size_t dst_pitch, const void *src, size_t src_pitch, size_t width,
         size_t height, int kind, cudaStream_t stream),
        dst, dst_pitch, src, src_pitch, width, height, kind, stream)
RT_PTDS(cudaMemcpy2DToArray, to_array,
        (cudaArray_t dst, size_t x, size_t y, const void *src, size_t src_pitch, size_t width,
         size_t height, int kind),
        dst, x, y, src, src_pitch, width, height, kind)
RT_PTSZ(cudaMemcpy2DToArrayAsync, to_array_async,
        (cudaArray_t dst, size_t x, size_t y, const void *src, size_t src_pitch, size_t width,
         size_t height, int kind, cudaStream_t stream),
        dst, x, y, src, src_pitch, width, height, kind, stream)
RT_PTDS(cudaMemcpy2DFromArray, from_array,
        (void *dst, size_t dst_pitch, cudaArray_const_t src, size_t x, size_t y, size_t width,
         size_t height, int kind),
        dst, dst_pitch, src, x, y, width, height, kind)
RT_PTSZ(cudaMemcpy2DFromArrayAsync, from_array_async,
        (void *dst, size_t dst_pitch, cudaArray_const_t src, size_t x, size_t y, size_t width,
         size_t height, int kind, cudaStream_t stream),
        dst, dst_pitch, src, x, y, width, height, kind, stream)
RT_PTDS(cudaMemcpy2DArrayToArray, array_to_array,
        (cudaArray_t dst, size_t dst_x, size_t dst_y, cudaArray_const_t src, size_t src_x,
         size_t src_y, size_t width, size_t height, int kind),
        dst, dst_x, dst_y, src, src_x, src_y, width, height, kind)
RT_PTDS(cudaMemcpy3D, copy_3d, (const struct cudaMemcpy3DParms *copy), copy)
RT_PTSZ(cudaMemcpy3DAsync, copy_3d_async,
        (const struct cudaMemcpy3DParms *copy, cudaStream_t stream), copy, stream)
