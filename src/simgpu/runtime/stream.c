/* Streams. */
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

RT_PTSZ(cudaStreamGetDevice, get_device, (cudaStream_t stream, int *device), stream, device)
RT_PASS(cudaStreamDestroy, cuStreamDestroy, (cudaStream_t stream), stream)
RT_PASS_PTSZ(cudaStreamSynchronize, cuStreamSynchronize, (cudaStream_t stream), stream)
RT_PASS_PTSZ(cudaStreamQuery, cuStreamQuery, (cudaStream_t stream), stream)
RT_PASS_PTSZ(cudaStreamGetPriority, cuStreamGetPriority, (cudaStream_t stream, int *priority),
             stream, priority)
RT_PASS_PTSZ(cudaStreamGetFlags, cuStreamGetFlags, (cudaStream_t stream, unsigned int *flags),
             stream, flags)
RT_PASS_PTSZ(cudaStreamGetId, cuStreamGetId, (cudaStream_t stream, unsigned long long *id), stream,
             id)
RT_PASS_PTSZ(cudaStreamWaitEvent, cuStreamWaitEvent,
             (cudaStream_t stream, cudaEvent_t event, unsigned int flags), stream, event, flags)
RT_PASS_PTSZ(cudaStreamAttachMemAsync, cuStreamAttachMemAsync,
             (cudaStream_t stream, void *ptr, size_t bytes, unsigned int flags), stream,
             rt_devptr(ptr), bytes, flags)
RT_PASS_PTSZ(cudaStreamCopyAttributes, cuStreamCopyAttributes, (cudaStream_t dst, cudaStream_t src),
             dst, src)
RT_PASS_PTSZ(cudaStreamGetAttribute, cuStreamGetAttribute,
             (cudaStream_t stream, int attribute, cudaLaunchAttributeValue *value), stream,
             attribute, value)
RT_PASS_PTSZ(cudaStreamSetAttribute, cuStreamSetAttribute,
             (cudaStream_t stream, int attribute, const cudaLaunchAttributeValue *value), stream,
             attribute, value)
RT_PASS_PTSZ(cudaStreamAddCallback, cuStreamAddCallback,
             (cudaStream_t stream, cudaStreamCallback_t callback, void *user_data,
              unsigned int flags),
             stream, callback, user_data, flags)
RT_PASS_PTSZ(cudaLaunchHostFunc, cuLaunchHostFunc,
             (cudaStream_t stream, cudaHostFn_t fn, void *user_data), stream, fn, user_data)
