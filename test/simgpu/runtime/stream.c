/* Streams and events. */
#include "cudart_errors.h"
#include "runtime.h"

RT_API cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

RT_API cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned int flags)
{
    cudaError_t err = stream ? rt_need_context() : cudaErrorInvalidValue;
    return rt_done(err ? err : drv.cuStreamCreate(stream, flags));
}

RT_API cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned int flags,
                                                int priority)
{
    cudaError_t err = stream ? rt_need_context() : cudaErrorInvalidValue;
    return rt_done(err ? err : drv.cuStreamCreateWithPriority(stream, flags, priority));
}

/* The default streams belong to the context and cannot be destroyed. */
RT_API cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess && (uintptr_t)stream <= 2)
        err = cudaErrorInvalidResourceHandle;
    return rt_done(err ? err : drv.cuStreamDestroy(stream));
}

static cudaError_t get_priority(enum default_stream mode, cudaStream_t stream, int *priority)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuStreamGetPriority[mode](stream, priority));
}

static cudaError_t get_flags(enum default_stream mode, cudaStream_t stream, unsigned int *flags)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuStreamGetFlags[mode](stream, flags));
}

static cudaError_t get_id(enum default_stream mode, cudaStream_t stream, unsigned long long *id)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuStreamGetId[mode](stream, id));
}

static cudaError_t get_device(enum default_stream mode, cudaStream_t stream, int *device)
{
    CUcontext context = NULL;
    CUcontext before = NULL;
    cudaError_t err = device ? rt_need_context() : cudaErrorInvalidValue;
    if (err == cudaSuccess)
        err = drv.cuStreamGetCtx[mode](stream, &context);
    if (err == cudaSuccess)
        err = drv.cuCtxGetCurrent(&before);
    if (err == cudaSuccess)
        err = drv.cuCtxSetCurrent(context);
    if (err != cudaSuccess)
        return rt_done(err);
    err = drv.cuCtxGetDevice(device);
    cudaError_t restored = drv.cuCtxSetCurrent(before);
    return rt_done(err ? err : restored);
}

static cudaError_t wait_event(enum default_stream mode, cudaStream_t stream, cudaEvent_t event,
                              unsigned int flags)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuStreamWaitEvent[mode](stream, event, flags));
}

static cudaError_t add_callback(enum default_stream mode, cudaStream_t stream,
                                cudaStreamCallback_t callback, void *user_data, unsigned int flags)
{
    cudaError_t err = callback ? rt_need_context() : cudaErrorInvalidValue;
    return rt_done(err ? err : drv.cuStreamAddCallback[mode](stream, callback, user_data, flags));
}

static cudaError_t launch_host_func(enum default_stream mode, cudaStream_t stream, cudaHostFn_t fn,
                                    void *user_data)
{
    cudaError_t err = fn ? rt_need_context() : cudaErrorInvalidValue;
    return rt_done(err ? err : drv.cuLaunchHostFunc[mode](stream, fn, user_data));
}

static cudaError_t attach_mem(enum default_stream mode, cudaStream_t stream, void *ptr,
                              size_t bytes, unsigned int flags)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err
                       : drv.cuStreamAttachMemAsync[mode](stream, rt_devptr(ptr), bytes, flags));
}

static cudaError_t synchronize(enum default_stream mode, cudaStream_t stream)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuStreamSynchronize[mode](stream));
}

static cudaError_t query(enum default_stream mode, cudaStream_t stream)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuStreamQuery[mode](stream));
}

static cudaError_t copy_attributes(enum default_stream mode, cudaStream_t dst, cudaStream_t src)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuStreamCopyAttributes[mode](dst, src));
}

static cudaError_t get_attribute(enum default_stream mode, cudaStream_t stream, int attribute,
                                 cudaLaunchAttributeValue *value)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuStreamGetAttribute[mode](stream, attribute, value));
}

static cudaError_t set_attribute(enum default_stream mode, cudaStream_t stream, int attribute,
                                 const cudaLaunchAttributeValue *value)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuStreamSetAttribute[mode](stream, attribute, value));
}

RT_PTSZ(cudaStreamGetPriority, get_priority, (cudaStream_t stream, int *priority), stream, priority)
RT_PTSZ(cudaStreamGetFlags, get_flags, (cudaStream_t stream, unsigned int *flags), stream, flags)
RT_PTSZ(cudaStreamGetId, get_id, (cudaStream_t stream, unsigned long long *id), stream, id)
RT_PTSZ(cudaStreamGetDevice, get_device, (cudaStream_t stream, int *device), stream, device)
RT_PTSZ(cudaStreamWaitEvent, wait_event,
        (cudaStream_t stream, cudaEvent_t event, unsigned int flags), stream, event, flags)
RT_PTSZ(cudaStreamAddCallback, add_callback,
        (cudaStream_t stream, cudaStreamCallback_t callback, void *user_data, unsigned int flags),
        stream, callback, user_data, flags)
RT_PTSZ(cudaLaunchHostFunc, launch_host_func,
        (cudaStream_t stream, cudaHostFn_t fn, void *user_data), stream, fn, user_data)
RT_PTSZ(cudaStreamAttachMemAsync, attach_mem,
        (cudaStream_t stream, void *ptr, size_t bytes, unsigned int flags), stream, ptr, bytes,
        flags)
RT_PTSZ(cudaStreamSynchronize, synchronize, (cudaStream_t stream), stream)
RT_PTSZ(cudaStreamQuery, query, (cudaStream_t stream), stream)
RT_PTSZ(cudaStreamCopyAttributes, copy_attributes, (cudaStream_t dst, cudaStream_t src), dst, src)
RT_PTSZ(cudaStreamGetAttribute, get_attribute,
        (cudaStream_t stream, int attribute, cudaLaunchAttributeValue *value), stream, attribute,
        value)
RT_PTSZ(cudaStreamSetAttribute, set_attribute,
        (cudaStream_t stream, int attribute, const cudaLaunchAttributeValue *value), stream,
        attribute, value)
