/* Events ("CUDA Driver API", section "Event Management"). Work is done when the call returns, so a
 * recorded event is complete at once; the time it keeps is the host's. */
#include "event.h"

#include <stdlib.h>
#include <time.h>

#include "capture.h"
#include "function_table.h"
#include "object.h"
#include "pool.h"
#include "state.h"
#include "stream.h"

#define EVENT_FLAGS     0x7u
#define RECORD_EXTERNAL 0x1u
#define NS_PER_SECOND   1000000000ull
#define NS_PER_MS       1e6

void event_end(struct event *event)
{
    capture_event_ended(event);
    object_remove((uint64_t)(uintptr_t)event->handle);
    free(event);
}

void event_stamp(struct event *event)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    event->time_ns = (uint64_t)now.tv_sec * NS_PER_SECOND + (uint64_t)now.tv_nsec;
    event->recorded = true;
    capture_event_ended(event);
}

CUresult sim_cuEventCreate(CUevent *handle, unsigned int flags)
{
    if (handle == NULL || (flags & ~EVENT_FLAGS) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if ((flags & CU_EVENT_INTERPROCESS) != 0 && (flags & CU_EVENT_DISABLE_TIMING) == 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result != CUDA_SUCCESS)
        return sim_unlock_with(result);
    struct event *event = calloc(1, sizeof(*event));
    if (event != NULL)
        event->handle = (CUevent)(uintptr_t)object_add(OBJECT_EVENT, event, context);
    if (event == NULL || event->handle == NULL) {
        free(event);
        return sim_unlock_with(CUDA_ERROR_OUT_OF_MEMORY);
    }
    event->context = context;
    event->flags = flags;
    *handle = event->handle;
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuEventDestroy_v2(CUevent handle)
{
    sim_lock_all();
    struct event *event = OBJECT(OBJECT_EVENT, handle);
    if (event == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_HANDLE);
    event_end(event);
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuEventDestroy(CUevent handle)
{
    return sim_cuEventDestroy_v2(handle);
}

CUresult sim_cuEventRecordWithFlags(CUevent handle, CUstream stream_handle, unsigned int flags)
{
    if (flags > RECORD_EXTERNAL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_use(stream_handle, &stream, &context);
    struct event *event = OBJECT(OBJECT_EVENT, handle);
    if (result == CUDA_SUCCESS && (event == NULL || event->context != context))
        result = CUDA_ERROR_INVALID_HANDLE;
    if (result == CUDA_SUCCESS && stream_capture(stream) != NULL)
        result = flags == RECORD_EXTERNAL
                     ? capture_external_event(stream, CU_GRAPH_NODE_TYPE_EVENT_RECORD, handle)
                     : capture_record(stream, event);
    else if (result == CUDA_SUCCESS)
        event_stamp(event);
    return sim_unlock_with(result);
}

CUresult sim_cuEventRecord(CUevent handle, CUstream stream)
{
    return sim_cuEventRecordWithFlags(handle, stream, 0);
}

/* Whether the call may ask about the event. Called with sim_lock held. */
static CUresult check_question(CUevent handle)
{
    const struct event *event = OBJECT(OBJECT_EVENT, handle);
    if (event == NULL)
        return CUDA_ERROR_INVALID_HANDLE;
    if (capture_has_event(event))
        return CUDA_ERROR_CAPTURED_EVENT;
    return capture_check_unsafe();
}

/* Documented: an event that was never recorded counts as complete. */
CUresult sim_cuEventQuery(CUevent handle)
{
    sim_lock_all();
    return sim_unlock_with(check_question(handle));
}

CUresult sim_cuEventSynchronize(CUevent handle)
{
    sim_lock_all();
    CUresult result = check_question(handle);
    if (result == CUDA_SUCCESS)
        pool_synchronised();
    return sim_unlock_with(result);
}

CUresult sim_cuEventElapsedTime(float *ms, CUevent start_handle, CUevent end_handle)
{
    if (ms == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct event *start = OBJECT(OBJECT_EVENT, start_handle);
    const struct event *end = OBJECT(OBJECT_EVENT, end_handle);
    if (start != NULL && end != NULL && (capture_has_event(start) || capture_has_event(end)))
        return sim_unlock_with(CUDA_ERROR_CAPTURED_EVENT);
    if (start == NULL || end == NULL || !start->recorded || !end->recorded ||
        ((start->flags | end->flags) & CU_EVENT_DISABLE_TIMING) != 0)
        return sim_unlock_with(CUDA_ERROR_INVALID_HANDLE);
    *ms = (float)((double)(int64_t)(end->time_ns - start->time_ns) / NS_PER_MS);
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuEventElapsedTime_v2(float *ms, CUevent start, CUevent end)
{
    return sim_cuEventElapsedTime(ms, start, end);
}
