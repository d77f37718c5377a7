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

RT_PASS(cudaEventDestroy, cuEventDestroy, (cudaEvent_t event), event)
RT_PASS(cudaEventQuery, cuEventQuery, (cudaEvent_t event), event)
RT_PASS(cudaEventSynchronize, cuEventSynchronize, (cudaEvent_t event), event)
#if CUDART_MAJOR >= 13
RT_PASS(cudaEventElapsedTime, cuEventElapsedTime_v2,
        (float *ms, cudaEvent_t start, cudaEvent_t end), ms, start, end)
#else
RT_PASS(cudaEventElapsedTime, cuEventElapsedTime, (float *ms, cudaEvent_t start, cudaEvent_t end),
        ms, start, end)
RT_PASS(cudaEventElapsedTime_v2, cuEventElapsedTime_v2,
        (float *ms, cudaEvent_t start, cudaEvent_t end), ms, start, end)
#endif
RT_PASS_PTSZ(cudaEventRecord, cuEventRecord, (cudaEvent_t event, cudaStream_t stream), event,
             stream)
RT_PASS_PTSZ(cudaEventRecordWithFlags, cuEventRecordWithFlags,
             (cudaEvent_t event, cudaStream_t stream, unsigned int flags), event, stream, flags)
RT_PASS(cudaIpcGetEventHandle, cuIpcGetEventHandle,
        (cudaIpcEventHandle_t * handle, cudaEvent_t event), handle, event)
RT_PASS(cudaIpcOpenEventHandle, cuIpcOpenEventHandle,
        (cudaEvent_t * event, cudaIpcEventHandle_t handle), event, handle)
