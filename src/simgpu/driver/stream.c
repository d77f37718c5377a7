/* Streams ("CUDA Driver API", section "Stream Management"). */
#include "stream.h"

#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "event.h"
#include "function_table.h"
#include "memory.h"
#include "object.h"
#include "pool.h"
#include "state.h"

#define LOWEST_PRIORITY      0
#define HIGHEST_PRIORITY     (-5)
#define LEGACY_STREAM_ID     1
#define PER_THREAD_STREAM_ID 2
#define FIRST_STREAM_ID      3
#define WAIT_EXTERNAL        1u
#define ATTACH_FLAGS_ALLOWED (CU_MEM_ATTACH_GLOBAL | CU_MEM_ATTACH_HOST | CU_MEM_ATTACH_SINGLE)

static unsigned long long next_id = FIRST_STREAM_ID;

static bool is_default(CUstream handle)
{
    return handle == NULL || handle == CU_STREAM_LEGACY || handle == CU_STREAM_PER_THREAD;
}

CUresult stream_resolve(CUstream handle, struct stream **stream, struct context **context)
{
    *stream = NULL;
    if (is_default(handle))
        return context_current(context);
    *stream = OBJECT(OBJECT_STREAM, handle);
    if (*stream == NULL)
        return CUDA_ERROR_INVALID_HANDLE;
    *context = (*stream)->context;
    return CUDA_SUCCESS;
}

void stream_end(struct stream *stream)
{
    capture_stream_ended(stream);
    object_remove((uint64_t)(uintptr_t)stream->handle);
    free(stream);
}

CUresult sim_cuStreamCreateWithPriority(CUstream *handle, unsigned int flags, int priority)
{
    if (handle == NULL || (flags & ~(unsigned int)CU_STREAM_NON_BLOCKING) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result != CUDA_SUCCESS)
        return sim_unlock_with(result);
    struct stream *stream = calloc(1, sizeof(*stream));
    if (stream != NULL)
        stream->handle = (CUstream)(uintptr_t)object_add(OBJECT_STREAM, stream, context);
    if (stream == NULL || stream->handle == NULL) {
        free(stream);
        return sim_unlock_with(CUDA_ERROR_OUT_OF_MEMORY);
    }
    stream->context = context;
    stream->flags = flags;
    stream->priority = priority > LOWEST_PRIORITY    ? LOWEST_PRIORITY /* documented: clamped */
                       : priority < HIGHEST_PRIORITY ? HIGHEST_PRIORITY
                                                     : priority;
    stream->id = next_id++;
    *handle = stream->handle;
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuStreamCreate(CUstream *handle, unsigned int flags)
{
    return sim_cuStreamCreateWithPriority(handle, flags, LOWEST_PRIORITY);
}

CUresult sim_cuStreamDestroy_v2(CUstream handle)
{
    sim_lock_all();
    struct stream *stream = OBJECT(OBJECT_STREAM, handle);
    if (stream == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_HANDLE);
    stream_end(stream);
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuStreamDestroy(CUstream handle)
{
    return sim_cuStreamDestroy_v2(handle);
}

/* Waiting for a stream that captures spoils the capture; so may waiting for any. */
static CUresult check_wait(CUstream handle)
{
    CUresult result = stream_check(handle);
    if (result != CUDA_SUCCESS)
        return result;
    sim_lock_all();
    return sim_unlock_with(capture_check_unsafe());
}

CUresult sim_cuStreamSynchronize(CUstream handle)
{
    CUresult result = check_wait(handle);
    if (result != CUDA_SUCCESS)
        return result;
    sim_lock_all();
    pool_synchronised();
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuStreamQuery(CUstream handle)
{
    return check_wait(handle);
}

CUresult sim_cuStreamWaitEvent(CUstream handle, CUevent event_handle, unsigned int flags)
{
    if (flags > WAIT_EXTERNAL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_use(handle, &stream, &context);
    struct event *event = OBJECT(OBJECT_EVENT, event_handle);
    if (result == CUDA_SUCCESS && event == NULL)
        result = CUDA_ERROR_INVALID_HANDLE;
    if (result != CUDA_SUCCESS)
        return sim_unlock_with(result);
    bool capturing = stream_capture(stream) != NULL;
    if (capturing && flags == WAIT_EXTERNAL)
        result = capture_external_event(stream, CU_GRAPH_NODE_TYPE_WAIT_EVENT, event_handle);
    else if (capturing || capture_has_event(event))
        result = capture_wait(stream, event);
    return sim_unlock_with(result);
}

CUresult sim_cuStreamGetFlags(CUstream handle, unsigned int *flags)
{
    if (flags == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_resolve(handle, &stream, &context);
    if (result == CUDA_SUCCESS)
        *flags = stream != NULL ? stream->flags : 0;
    return sim_unlock_with(result);
}

CUresult sim_cuStreamGetPriority(CUstream handle, int *priority)
{
    if (priority == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_resolve(handle, &stream, &context);
    if (result == CUDA_SUCCESS)
        *priority = stream != NULL ? stream->priority : LOWEST_PRIORITY;
    return sim_unlock_with(result);
}

CUresult sim_cuStreamGetCtx(CUstream handle, CUcontext *out)
{
    if (out == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_resolve(handle, &stream, &context);
    if (result == CUDA_SUCCESS)
        *out = context->handle;
    return sim_unlock_with(result);
}

/* Documented: of the two, the one that the stream is not of becomes NULL; there are no green
 * contexts here. */
CUresult sim_cuStreamGetCtx_v2(CUstream handle, CUcontext *out, CUgreenCtx *green)
{
    CUresult result = green != NULL ? sim_cuStreamGetCtx(handle, out) : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        *green = NULL;
    return result;
}

CUresult sim_cuStreamGetDevice(CUstream handle, CUdevice *device)
{
    if (device == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_resolve(handle, &stream, &context);
    if (result == CUDA_SUCCESS)
        *device = context->ordinal;
    return sim_unlock_with(result);
}

CUresult sim_cuStreamGetId(CUstream handle, unsigned long long *id)
{
    if (id == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    bool per_thread = handle == CU_STREAM_PER_THREAD || (handle == NULL && sim_per_thread);
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_resolve(handle, &stream, &context);
    if (result == CUDA_SUCCESS)
        *id = stream != NULL ? stream->id : per_thread ? PER_THREAD_STREAM_ID : LEGACY_STREAM_ID;
    return sim_unlock_with(result);
}

/* The callback runs at once, in the calling thread: everything before it in the stream is done. */
CUresult sim_cuStreamAddCallback(CUstream handle, CUstreamCallback callback, void *user_data,
                                 unsigned int flags)
{
    if (callback == NULL || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = stream_check(handle);
    if (result == CUDA_SUCCESS)
        callback(handle, CUDA_SUCCESS, user_data);
    return result;
}

CUresult sim_cuLaunchHostFunc(CUstream handle, CUhostFn function, void *user_data)
{
    if (function == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_use(handle, &stream, &context);
    bool capturing = result == CUDA_SUCCESS && stream_capture(stream) != NULL;
    if (capturing)
        result = capture_host(stream, function, user_data);
    sim_unlock_all();
    if (result == CUDA_SUCCESS && !capturing)
        function(user_data);
    return result;
}

CUresult sim_cuStreamAttachMemAsync(CUstream handle, CUdeviceptr address, size_t bytes,
                                    unsigned int flags)
{
    (void)bytes;
    if ((flags & ~(unsigned int)ATTACH_FLAGS_ALLOWED) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_resolve(handle, &stream, &context);
    const struct range *range = range_find(address);
    if (result == CUDA_SUCCESS && (range == NULL || range->kind != RANGE_MANAGED))
        result = CUDA_ERROR_INVALID_VALUE;
    return sim_unlock_with(result);
}

static bool is_attribute(CUstreamAttrID id)
{
    return id == 1 || id == 3 || id == 8 || id == 9 || id == 10;
}

CUresult sim_cuStreamGetAttribute(CUstream handle, CUstreamAttrID id, CUstreamAttrValue *value)
{
    if (value == NULL || !is_attribute(id))
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_resolve(handle, &stream, &context);
    if (result == CUDA_SUCCESS && stream != NULL)
        *value = stream->attributes[id];
    else if (result == CUDA_SUCCESS)
        memset(value, 0, sizeof(*value));
    return sim_unlock_with(result);
}

CUresult sim_cuStreamSetAttribute(CUstream handle, CUstreamAttrID id,
                                  const CUstreamAttrValue *value)
{
    if (value == NULL || !is_attribute(id))
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_resolve(handle, &stream, &context);
    if (result == CUDA_SUCCESS && stream != NULL)
        stream->attributes[id] = *value;
    return sim_unlock_with(result);
}

CUresult sim_cuStreamCopyAttributes(CUstream destination, CUstream source)
{
    sim_lock_all();
    struct stream *to, *from;
    struct context *context;
    CUresult result = stream_resolve(destination, &to, &context);
    if (result == CUDA_SUCCESS)
        result = stream_resolve(source, &from, &context);
    if (result == CUDA_SUCCESS && to != NULL && from != NULL)
        memcpy(to->attributes, from->attributes, sizeof(to->attributes));
    return sim_unlock_with(result);
}
