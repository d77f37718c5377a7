/* Stream capture: work that would go to a stream becomes nodes of a graph.
 *
 * All functions: called with sim_lock held. */
#ifndef SIMGPU_CAPTURE_H
#define SIMGPU_CAPTURE_H

#include "../abi.h"
#include "context.h"
#include "copy.h"
#include "event.h"
#include "graph.h"
#include "stream.h"

/* The capture under way on the stream (which may be NULL: a default stream), or NULL. */
struct capture *stream_capture(const struct stream *stream);

/* Resolves the stream of a call that asks for work. Fails with
 * CUDA_ERROR_STREAM_CAPTURE_INVALIDATED if the stream's capture was spoilt, and with
 * CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, spoiling it, if the legacy stream would wait for a captured
 * one. */
CUresult stream_use(CUstream handle, struct stream **stream, struct context **context);

/* For calls that the real driver refuses while a capture is under way that this thread must mind
 * (cuThreadExchangeStreamCaptureMode): spoils it and returns CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED.
 * Else CUDA_SUCCESS; costs nothing while nothing is captured. */
CUresult capture_check_unsafe(void);

/* For calls that wait for all work of a context: fails, and spoils them, if streams of it capture.
 */
CUresult capture_check_context(const struct context *context);

/* Add a node for the call to the stream's capture. */
CUresult capture_copy(struct stream *stream, const CUDA_MEMCPY3D *copy);
CUresult capture_set(struct stream *stream, const CUDA_MEMSET_NODE_PARAMS *set);
CUresult capture_kernel(struct stream *stream, const CUDA_KERNEL_NODE_PARAMS_v2 *kernel);
CUresult capture_host(struct stream *stream, CUhostFn function, void *user_data);
CUresult capture_alloc(struct stream *stream, int ordinal, uint64_t bytes, CUdeviceptr *address);
CUresult capture_free(struct stream *stream, CUdeviceptr address);
CUresult capture_graph(struct stream *stream, struct graph *graph);
CUresult capture_external_event(struct stream *stream, CUgraphNodeType type, CUevent event);

/* cuEventRecord on a stream that captures, and cuStreamWaitEvent where either side does. */
CUresult capture_record(struct stream *stream, struct event *event);
CUresult capture_wait(struct stream *stream, struct event *event);

/* Whether the event's last record was captured. */
bool capture_has_event(const struct event *event);

/* The stream or event ends; its capture, if it is the stream's own, is spoilt. */
void capture_stream_ended(struct stream *stream);
void capture_event_ended(struct event *event);

#endif
