/* Streams. Work is done at once, in the calling thread, so a stream is never busy. */
#ifndef SIMGPU_STREAM_H
#define SIMGPU_STREAM_H

#include "../abi.h"
#include "context.h"

#define STREAM_ATTRIBUTE_COUNT 16

struct stream {
    CUstream handle;
    struct context *context;
    unsigned int flags;
    int priority;
    unsigned long long id;
    CUstreamAttrValue attributes[STREAM_ATTRIBUTE_COUNT];
};

/* Resolves a stream argument. NULL, CU_STREAM_LEGACY and CU_STREAM_PER_THREAD name a default stream
 * of the current context; `*stream` is NULL for them. `*context` becomes the stream's. Returns
 * CUDA_SUCCESS, CUDA_ERROR_INVALID_HANDLE, or what context_current returns. Called with sim_lock
 * held. */
CUresult stream_resolve(CUstream handle, struct stream **stream, struct context **context);

/* Whether a call that cannot be captured may use the stream: as stream_use (capture.h), and fails
 * with CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, spoiling the capture, if the stream captures. Takes
 * sim_lock. */
CUresult stream_check(CUstream handle);

/* Ends a stream object and its handle. Called with sim_lock held. */
void stream_end(struct stream *stream);

#endif
