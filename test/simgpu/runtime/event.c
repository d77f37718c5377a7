/* Events. */
#include "cudart_errors.h"
#include "runtime.h"

RT_API cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned int flags)
{
    cudaError_t err = event ? rt_need_context() : cudaErrorInvalidValue;
    return rt_done(err ? err : drv.cuEventCreate(event, flags));
}

RT_API cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

RT_API cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuEventDestroy(event));
}

RT_API cudaError_t cudaEventQuery(cudaEvent_t event)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuEventQuery(event));
}

RT_API cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuEventSynchronize(event));
}

#if CUDART_MAJOR >= 13
RT_API cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuEventElapsedTime_v2(ms, start, end));
}
#else
RT_API cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuEventElapsedTime(ms, start, end));
}

RT_API cudaError_t cudaEventElapsedTime_v2(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuEventElapsedTime_v2(ms, start, end));
}
#endif

static cudaError_t record(enum default_stream mode, cudaEvent_t event, cudaStream_t stream)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuEventRecord[mode](event, stream));
}

static cudaError_t record_with_flags(enum default_stream mode, cudaEvent_t event,
                                     cudaStream_t stream, unsigned int flags)
{
    cudaError_t err = rt_need_context();
    return rt_done(err ? err : drv.cuEventRecordWithFlags[mode](event, stream, flags));
}

RT_PTSZ(cudaEventRecord, record, (cudaEvent_t event, cudaStream_t stream), event, stream)
RT_PTSZ(cudaEventRecordWithFlags, record_with_flags,
        (cudaEvent_t event, cudaStream_t stream, unsigned int flags), event, stream, flags)

RT_API cudaError_t cudaIpcGetEventHandle(cudaIpcEventHandle_t *handle, cudaEvent_t event)
{
    cudaError_t err = handle ? rt_need_context() : cudaErrorInvalidValue;
    return rt_done(err ? err : drv.cuIpcGetEventHandle(handle, event));
}

RT_API cudaError_t cudaIpcOpenEventHandle(cudaEvent_t *event, cudaIpcEventHandle_t handle)
{
    cudaError_t err = event ? rt_need_context() : cudaErrorInvalidValue;
    return rt_done(err ? err : drv.cuIpcOpenEventHandle(event, handle));
}
