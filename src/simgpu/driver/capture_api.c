/* The functions that begin, end and describe captures ("CUDA Driver API", section "Stream
 * Management"). */
#include <stdlib.h>

#include "capture_internal.h"
#include "function_table.h"
#include "state.h"

#define STATUS_NONE        0
#define STATUS_ACTIVE      1
#define STATUS_INVALIDATED 2
#define SET_DEPENDENCIES   1u

static unsigned long long last_id;

/* Whether all that other streams captured comes before the end of the origin stream. */
static bool is_joined(const struct capture *capture)
{
    const struct member *origin = capture_member(capture->origin);
    for (const struct member *member = capture->members; member != NULL; member = member->next) {
        if (member->stream == NULL || member == origin)
            continue;
        for (size_t i = 0; i < member->position.count; i++) {
            bool reached = false;
            for (size_t j = 0; j < origin->position.count && !reached; j++)
                reached = graph_reaches(origin->position.nodes[j], member->position.nodes[i]);
            if (!reached)
                return false;
        }
    }
    return true;
}

/* Starts a capture into `graph`, or into a new one if that is NULL. */
static CUresult begin_capture(CUstream handle, struct graph *graph, struct node *const *nodes,
                              size_t count, CUstreamCaptureMode mode)
{
    struct stream *stream;
    struct context *context;
    CUresult result = stream_resolve(handle, &stream, &context);
    if (result != CUDA_SUCCESS)
        return result;
    if (stream == NULL)
        return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    if (stream_capture(stream) != NULL)
        return CUDA_ERROR_ILLEGAL_STATE;
    struct capture *capture = calloc(1, sizeof(*capture));
    struct member *member = capture != NULL ? capture_add_member(capture, stream, NULL) : NULL;
    bool new_graph = graph == NULL;
    if (member != NULL && new_graph)
        graph = graph_create();
    if (member == NULL || graph == NULL ||
        capture_set_position(&member->position, nodes, count) != CUDA_SUCCESS) {
        if (new_graph && graph != NULL)
            graph_end(graph);
        free(member);
        free(capture);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    capture->id = ++last_id;
    capture->mode = mode;
    capture->thread = capture_this_thread();
    capture->origin = stream;
    capture->graph = graph;
    capture->graph_is_callers = !new_graph;
    capture->next = captures;
    captures = capture;
    return CUDA_SUCCESS;
}

CUresult sim_cuStreamBeginCapture_v2(CUstream handle, CUstreamCaptureMode mode)
{
    if (mode < 0 || mode > MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    return sim_unlock_with(begin_capture(handle, NULL, NULL, 0, mode));
}

CUresult sim_cuStreamBeginCapture(CUstream handle)
{
    return sim_cuStreamBeginCapture_v2(handle, MODE_GLOBAL);
}

CUresult sim_cuStreamBeginCaptureToGraph(CUstream handle, CUgraph graph_handle,
                                         const CUgraphNode *dependencies,
                                         const CUgraphEdgeData *edges, size_t count,
                                         CUstreamCaptureMode mode)
{
    (void)edges;
    if (mode < 0 || mode > MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct graph *graph = OBJECT(OBJECT_GRAPH, graph_handle);
    struct node **nodes = NULL;
    CUresult result = graph != NULL ? graph_resolve(graph, dependencies, count, &nodes)
                                    : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        result = begin_capture(handle, graph, nodes, count, mode);
    free(nodes);
    return sim_unlock_with(result);
}

/* What the end of the capture gives; the capture is over in each case but the first two. */
static CUresult check_end(const struct stream *stream, const struct capture *capture)
{
    if (capture->mode != MODE_RELAXED && capture->thread != capture_this_thread())
        return CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD;
    if (capture->origin != stream)
        return CUDA_ERROR_STREAM_CAPTURE_UNMATCHED;
    if (capture->invalid)
        return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
    return is_joined(capture) ? CUDA_SUCCESS : CUDA_ERROR_STREAM_CAPTURE_UNJOINED;
}

CUresult sim_cuStreamEndCapture(CUstream handle, CUgraph *graph)
{
    if (graph == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_resolve(handle, &stream, &context);
    struct capture *capture = result == CUDA_SUCCESS ? stream_capture(stream) : NULL;
    if (result == CUDA_SUCCESS && capture == NULL)
        result = CUDA_ERROR_ILLEGAL_STATE;
    if (result != CUDA_SUCCESS)
        return sim_unlock_with(result);
    result = check_end(stream, capture);
    if (result == CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD ||
        result == CUDA_ERROR_STREAM_CAPTURE_UNMATCHED) {
        capture->invalid = true;
        return sim_unlock_with(result);
    }
    *graph = result == CUDA_SUCCESS ? capture->graph->handle : NULL;
    if (result != CUDA_SUCCESS && !capture->graph_is_callers)
        graph_end(capture->graph);
    capture_end(capture);
    return sim_unlock_with(result);
}

static CUstreamCaptureStatus status_of(const struct capture *capture)
{
    return capture == NULL ? STATUS_NONE : capture->invalid ? STATUS_INVALIDATED : STATUS_ACTIVE;
}

/* Documented: asking about the legacy stream while a blocking stream captures is an error, because
 * the answer would be neither yes nor no. */
CUresult sim_cuStreamIsCapturing(CUstream handle, CUstreamCaptureStatus *status)
{
    if (status == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_use(handle, &stream, &context);
    if (result == CUDA_ERROR_STREAM_CAPTURE_INVALIDATED)
        result = CUDA_SUCCESS;
    if (result == CUDA_SUCCESS)
        *status = status_of(stream_capture(stream));
    return sim_unlock_with(result);
}

/* The handles of a position, kept for the caller to look at. */
static const CUgraphNode *position_handles(struct position *position)
{
    CUgraphNode *handles = realloc(position->handles, (position->count + 1) * sizeof(*handles));
    if (handles == NULL)
        return NULL;
    for (size_t i = 0; i < position->count; i++)
        handles[i] = position->nodes[i]->handle;
    position->handles = handles;
    return handles;
}

CUresult sim_cuStreamGetCaptureInfo_v3(CUstream handle, CUstreamCaptureStatus *status,
                                       cuuint64_t *id, CUgraph *graph, const CUgraphNode **nodes,
                                       const CUgraphEdgeData **edges, size_t *count)
{
    CUresult result = sim_cuStreamIsCapturing(handle, status);
    if (result != CUDA_SUCCESS || *status != STATUS_ACTIVE)
        return result;
    sim_lock_all();
    struct member *member = capture_member(OBJECT(OBJECT_STREAM, handle));
    if (member == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_HANDLE);
    if (id != NULL)
        *id = member->capture->id;
    if (graph != NULL)
        *graph = member->capture->graph->handle;
    if (nodes != NULL)
        *nodes = position_handles(&member->position);
    if (edges != NULL)
        *edges = NULL; /* documented: NULL when all are the default */
    if (count != NULL)
        *count = member->position.count;
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuStreamGetCaptureInfo_v2(CUstream handle, CUstreamCaptureStatus *status,
                                       cuuint64_t *id, CUgraph *graph, const CUgraphNode **nodes,
                                       size_t *count)
{
    return sim_cuStreamGetCaptureInfo_v3(handle, status, id, graph, nodes, NULL, count);
}

CUresult sim_cuStreamGetCaptureInfo(CUstream handle, CUstreamCaptureStatus *status, cuuint64_t *id)
{
    return sim_cuStreamGetCaptureInfo_v3(handle, status, id, NULL, NULL, NULL, NULL);
}

CUresult sim_cuStreamUpdateCaptureDependencies(CUstream handle, CUgraphNode *dependencies,
                                               size_t count, unsigned int flags)
{
    if (flags > SET_DEPENDENCIES)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_use(handle, &stream, &context);
    struct member *member = result == CUDA_SUCCESS ? capture_member(stream) : NULL;
    if (result == CUDA_SUCCESS && member == NULL)
        result = CUDA_ERROR_ILLEGAL_STATE;
    struct node **nodes = NULL;
    if (result == CUDA_SUCCESS)
        result = graph_resolve(member->capture->graph, dependencies, count, &nodes);
    if (result == CUDA_SUCCESS)
        result = flags == SET_DEPENDENCIES ? capture_set_position(&member->position, nodes, count)
                                           : capture_add_position(&member->position, nodes, count);
    free(nodes);
    return sim_unlock_with(result);
}

CUresult sim_cuStreamUpdateCaptureDependencies_v2(CUstream handle, CUgraphNode *dependencies,
                                                  const CUgraphEdgeData *edges, size_t count,
                                                  unsigned int flags)
{
    (void)edges;
    return sim_cuStreamUpdateCaptureDependencies(handle, dependencies, count, flags);
}

CUresult sim_cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
    if (mode == NULL || *mode < 0 || *mode > MODE_RELAXED)
        return CUDA_ERROR_INVALID_VALUE;
    CUstreamCaptureMode previous = capture_thread_mode;
    capture_thread_mode = *mode;
    *mode = previous;
    return CUDA_SUCCESS;
}
