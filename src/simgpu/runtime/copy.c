/* Linear copies and sets. */
#include "cudart_errors.h"
#include "runtime.h"

/* For cudaMemcpyDefault and for host to host the driver finds out where each pointer lives. */
static cudaError_t copy_now(enum default_stream mode, void *dst, const void *src, size_t bytes,
                            int kind)
{
    switch (kind) {
    case cudaMemcpyHostToDevice: return drv.cuMemcpyHtoD[mode](rt_devptr(dst), src, bytes);
    case cudaMemcpyDeviceToHost: return drv.cuMemcpyDtoH[mode](dst, rt_devptr(src), bytes);
    case cudaMemcpyDeviceToDevice:
        return drv.cuMemcpyDtoD[mode](rt_devptr(dst), rt_devptr(src), bytes);
    case cudaMemcpyHostToHost:
    case cudaMemcpyDefault: return drv.cuMemcpy[mode](rt_devptr(dst), rt_devptr(src), bytes);
    default: return cudaErrorInvalidMemcpyDirection;
    }
}

static cudaError_t copy_in_stream(enum default_stream mode, void *dst, const void *src,
                                  size_t bytes, int kind, cudaStream_t stream)
{
    switch (kind) {
    case cudaMemcpyHostToDevice:
        return drv.cuMemcpyHtoDAsync[mode](rt_devptr(dst), src, bytes, stream);
    case cudaMemcpyDeviceToHost:
        return drv.cuMemcpyDtoHAsync[mode](dst, rt_devptr(src), bytes, stream);
    case cudaMemcpyDeviceToDevice:
        return drv.cuMemcpyDtoDAsync[mode](rt_devptr(dst), rt_devptr(src), bytes, stream);
    case cudaMemcpyHostToHost:
    case cudaMemcpyDefault:
        return drv.cuMemcpyAsync[mode](rt_devptr(dst), rt_devptr(src), bytes, stream);
    default: return cudaErrorInvalidMemcpyDirection;
    }
}

static cudaError_t check_kind(int kind)
{
    return kind >= cudaMemcpyHostToHost && kind <= cudaMemcpyDefault
               ? cudaSuccess
               : cudaErrorInvalidMemcpyDirection;
}

cudaError_t rt_copy(enum default_stream mode, void *dst, const void *src, size_t bytes, int kind)
{
    cudaError_t err = check_kind(kind);
    if (err == cudaSuccess)
        err = rt_need_context();
    if (err == cudaSuccess && bytes > 0)
        err = copy_now(mode, dst, src, bytes, kind);
    return rt_done(err);
}

cudaError_t rt_copy_async(enum default_stream mode, void *dst, const void *src, size_t bytes,
                          int kind, cudaStream_t stream)
{
    cudaError_t err = check_kind(kind);
    if (err == cudaSuccess)
        err = rt_need_context();
    if (err == cudaSuccess && bytes > 0)
        err = copy_in_stream(mode, dst, src, bytes, kind, stream);
    return rt_done(err);
}

RT_PTDS(cudaMemcpy, rt_copy, (void *dst, const void *src, size_t bytes, int kind), dst, src, bytes,
        kind)
RT_PTSZ(cudaMemcpyAsync, rt_copy_async,
        (void *dst, const void *src, size_t bytes, int kind, cudaStream_t stream), dst, src, bytes,
        kind, stream)

RT_API cudaError_t cudaMemcpyPeer(void *dst, int dst_device, const void *src, int src_device,
                                  size_t bytes)
{
    CUcontext to = NULL;
    CUcontext from = NULL;
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess)
        err = rt_primary_context(dst_device, &to);
    if (err == cudaSuccess)
        err = rt_primary_context(src_device, &from);
    if (err == cudaSuccess && bytes > 0)
        err = drv.cuMemcpyPeer[LEGACY_STREAM](rt_devptr(dst), to, rt_devptr(src), from, bytes);
    return rt_done(err);
}

RT_API cudaError_t cudaMemcpyPeerAsync(void *dst, int dst_device, const void *src, int src_device,
                                       size_t bytes, cudaStream_t stream)
{
    CUcontext to = NULL;
    CUcontext from = NULL;
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess)
        err = rt_primary_context(dst_device, &to);
    if (err == cudaSuccess)
        err = rt_primary_context(src_device, &from);
    if (err == cudaSuccess && bytes > 0)
        err = drv.cuMemcpyPeerAsync[LEGACY_STREAM](rt_devptr(dst), to, rt_devptr(src), from, bytes,
                                                   stream);
    return rt_done(err);
}

static cudaError_t set_memory(enum default_stream mode, void *ptr, int value, size_t bytes)
{
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess && bytes > 0)
        err = drv.cuMemsetD8[mode](rt_devptr(ptr), (unsigned char)value, bytes);
    return rt_done(err);
}

static cudaError_t set_async(enum default_stream mode, void *ptr, int value, size_t bytes,
                             cudaStream_t stream)
{
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess && bytes > 0)
        err = drv.cuMemsetD8Async[mode](rt_devptr(ptr), (unsigned char)value, bytes, stream);
    return rt_done(err);
}

static cudaError_t set_2d(enum default_stream mode, void *ptr, size_t pitch, int value,
                          size_t width, size_t height)
{
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess && width > 0 && height > 0)
        err = drv.cuMemsetD2D8[mode](rt_devptr(ptr), pitch, (unsigned char)value, width, height);
    return rt_done(err);
}

static cudaError_t set_2d_async(enum default_stream mode, void *ptr, size_t pitch, int value,
                                size_t width, size_t height, cudaStream_t stream)
{
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess && width > 0 && height > 0)
        err = drv.cuMemsetD2D8Async[mode](rt_devptr(ptr), pitch, (unsigned char)value, width,
                                          height, stream);
    return rt_done(err);
}

static void *slice_pointer(struct cudaPitchedPtr ptr, size_t z)
{
    return (char *)ptr.ptr + z * ptr.pitch * ptr.ysize;
}

static cudaError_t set_3d(enum default_stream mode, struct cudaPitchedPtr ptr, int value,
                          struct cudaExtent extent)
{
    cudaError_t err = cudaSuccess;
    for (size_t z = 0; z < extent.depth && err == cudaSuccess; z++)
        err = set_2d(mode, slice_pointer(ptr, z), ptr.pitch, value, extent.width, extent.height);
    return err;
}

static cudaError_t set_3d_async(enum default_stream mode, struct cudaPitchedPtr ptr, int value,
                                struct cudaExtent extent, cudaStream_t stream)
{
    cudaError_t err = cudaSuccess;
    for (size_t z = 0; z < extent.depth && err == cudaSuccess; z++)
        err = set_2d_async(mode, slice_pointer(ptr, z), ptr.pitch, value, extent.width,
                           extent.height, stream);
    return err;
}

RT_PTDS(cudaMemset, set_memory, (void *ptr, int value, size_t bytes), ptr, value, bytes)
RT_PTSZ(cudaMemsetAsync, set_async, (void *ptr, int value, size_t bytes, cudaStream_t stream), ptr,
        value, bytes, stream)
RT_PTDS(cudaMemset2D, set_2d, (void *ptr, size_t pitch, int value, size_t width, size_t height),
        ptr, pitch, value, width, height)
RT_PTSZ(cudaMemset2DAsync, set_2d_async,
        (void *ptr, size_t pitch, int value, size_t width, size_t height, cudaStream_t stream), ptr,
        pitch, value, width, height, stream)
RT_PTDS(cudaMemset3D, set_3d, (struct cudaPitchedPtr ptr, int value, struct cudaExtent extent), ptr,
        value, extent)
RT_PTSZ(cudaMemset3DAsync, set_3d_async,
        (struct cudaPitchedPtr ptr, int value, struct cudaExtent extent, cudaStream_t stream), ptr,
        value, extent, stream)
