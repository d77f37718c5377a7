/* Stream capture ("CUDA Driver API", section "Stream Management"). */
#include "capture.h"

#include <stdlib.h>
#include <string.h>

#include "function_table.h"
#include "graph_memory.h"
#include "memory.h"
#include "state.h"

#define STATUS_NONE        0
#define STATUS_ACTIVE      1
#define STATUS_INVALIDATED 2
#define MODE_GLOBAL        0
#define MODE_THREAD_LOCAL  1
#define MODE_RELAXED       2
#define SET_DEPENDENCIES   1u

/* Where a stream or event stands in a capture: what comes next depends on these nodes. */
struct position {
    struct node **nodes;
    size_t count;
    CUgraphNode *handles; /* the same for cuStreamGetCaptureInfo; kept until the next change */
};

/* A stream or event that takes part in a capture. */
struct member {
    struct member *next;
    struct capture *capture;
    struct stream *stream; /* or */
    struct event *event;
    struct position position;
};

struct capture {
    struct capture *next;
    unsigned long long id;
    CUstreamCaptureMode mode;
    const void *thread; /* whose: the address of a thread-local variable */
    struct stream *origin;
    struct graph *graph;
    bool graph_is_callers; /* cuStreamBeginCaptureToGraph */
    bool invalid;
    struct member *members;
};

static struct capture *captures; /* all under way */
static unsigned long long last_id;
static _Thread_local CUstreamCaptureMode thread_mode = MODE_GLOBAL;

static const void *this_thread(void)
{
    return &thread_mode;
}

static struct member *find_member(const struct stream *stream, const struct event *event)
{
    for (const struct capture *capture = captures; capture != NULL; capture = capture->next)
        for (struct member *member = capture->members; member != NULL; member = member->next)
            if (member->stream == stream && member->event == event)
                return member;
    return NULL;
}

static struct member *stream_member(const struct stream *stream)
{
    return captures != NULL && stream != NULL ? find_member(stream, NULL) : NULL;
}

struct capture *stream_capture(const struct stream *stream)
{
    const struct member *member = stream_member(stream);
    return member != NULL ? member->capture : NULL;
}

bool capture_has_event(const struct event *event)
{
    return captures != NULL && find_member(NULL, event) != NULL;
}

static CUresult set_position(struct position *position, struct node *const *nodes, size_t count)
{
    struct node **copy = malloc((count + 1) * sizeof(*copy));
    if (copy == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (count > 0)
        memcpy(copy, nodes, count * sizeof(*copy));
    free(position->nodes);
    position->nodes = copy;
    position->count = count;
    return CUDA_SUCCESS;
}

/* Adds those of `nodes` that are not there yet. */
static CUresult add_position(struct position *position, struct node *const *nodes, size_t count)
{
    struct node **grown = realloc(position->nodes, (position->count + count + 1) * sizeof(*grown));
    if (grown == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    position->nodes = grown;
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < position->count && grown[at] != nodes[i])
            at++;
        if (at == position->count)
            grown[position->count++] = nodes[i];
    }
    return CUDA_SUCCESS;
}

static struct member *add_member(struct capture *capture, struct stream *stream,
                                 struct event *event)
{
    struct member *member = calloc(1, sizeof(*member));
    if (member == NULL)
        return NULL;
    member->capture = capture;
    member->stream = stream;
    member->event = event;
    member->next = capture->members;
    capture->members = member;
    return member;
}

static void free_member(struct member *member)
{
    free(member->position.nodes);
    free(member->position.handles);
    free(member);
}

static void remove_member(struct member *member)
{
    struct member **link = &member->capture->members;
    while (*link != member)
        link = &(*link)->next;
    *link = member->next;
    free_member(member);
}

/* Ends the capture; the graph stays. */
static void end_capture(struct capture *capture)
{
    struct capture **link = &captures;
    while (*link != capture)
        link = &(*link)->next;
    *link = capture->next;
    while (capture->members != NULL) {
        struct member *member = capture->members;
        capture->members = member->next;
        free_member(member);
    }
    free(capture);
}

void capture_event_ended(struct event *event)
{
    struct member *member = captures != NULL ? find_member(NULL, event) : NULL;
    if (member != NULL)
        remove_member(member);
}

void capture_stream_ended(struct stream *stream)
{
    struct member *member = stream_member(stream);
    if (member == NULL)
        return;
    struct capture *capture = member->capture;
    if (capture->origin != stream) {
        capture->invalid = true;
        remove_member(member);
        return;
    }
    if (!capture->graph_is_callers)
        graph_end(capture->graph);
    end_capture(capture);
}

/* Whether the legacy stream of the context would have to wait for a captured stream, or it for
 * that. */
static CUresult check_legacy(const struct context *context)
{
    CUresult result = CUDA_SUCCESS;
    for (struct capture *capture = captures; capture != NULL; capture = capture->next) {
        for (const struct member *member = capture->members; member != NULL;
             member = member->next) {
            if (member->stream == NULL || member->stream->context != context ||
                (member->stream->flags & CU_STREAM_NON_BLOCKING) != 0)
                continue;
            capture->invalid = true;
            result = CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
        }
    }
    return result;
}

CUresult stream_use(CUstream handle, struct stream **stream, struct context **context)
{
    CUresult result = stream_resolve(handle, stream, context);
    if (result != CUDA_SUCCESS || captures == NULL)
        return result;
    if (*stream == NULL) {
        bool per_thread = handle == CU_STREAM_PER_THREAD || (handle == NULL && sim_per_thread);
        return per_thread ? CUDA_SUCCESS : check_legacy(*context);
    }
    const struct capture *capture = stream_capture(*stream);
    return capture != NULL && capture->invalid ? CUDA_ERROR_STREAM_CAPTURE_INVALIDATED
                                               : CUDA_SUCCESS;
}

CUresult stream_check(CUstream handle)
{
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_use(handle, &stream, &context);
    struct capture *capture = result == CUDA_SUCCESS ? stream_capture(stream) : NULL;
    if (capture != NULL) {
        capture->invalid = true;
        result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    return sim_unlock_with(result);
}

CUresult capture_check_unsafe(void)
{
    CUresult result = CUDA_SUCCESS;
    if (captures == NULL || thread_mode == MODE_RELAXED)
        return result;
    for (struct capture *capture = captures; capture != NULL; capture = capture->next) {
        bool mine = capture->thread == this_thread() && capture->mode != MODE_RELAXED;
        bool others = thread_mode == MODE_GLOBAL && capture->mode == MODE_GLOBAL;
        if (!mine && !others)
            continue;
        capture->invalid = true;
        result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    return result;
}

CUresult capture_check_context(const struct context *context)
{
    CUresult result = CUDA_SUCCESS;
    for (struct capture *capture = captures; capture != NULL; capture = capture->next) {
        if (capture->origin->context != context)
            continue;
        capture->invalid = true;
        result = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    }
    return result;
}

/* Adds a node behind the stream's position, which moves to it. */
static CUresult add_node(struct stream *stream, CUgraphNodeType type,
                         const union node_params *params)
{
    struct member *member = stream_member(stream);
    struct node *node =
        graph_add(member->capture->graph, type, member->position.nodes, member->position.count);
    if (node == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    node->params = *params;
    return set_position(&member->position, &node, 1);
}

CUresult capture_copy(struct stream *stream, const CUDA_MEMCPY3D *copy)
{
    union node_params params = { .copy = *copy };
    return add_node(stream, CU_GRAPH_NODE_TYPE_MEMCPY, &params);
}

CUresult capture_set(struct stream *stream, const CUDA_MEMSET_NODE_PARAMS *set)
{
    union node_params params = { .set = *set };
    return add_node(stream, CU_GRAPH_NODE_TYPE_MEMSET, &params);
}

CUresult capture_kernel(struct stream *stream, const CUDA_KERNEL_NODE_PARAMS_v2 *kernel)
{
    union node_params params = { .kernel = *kernel };
    return add_node(stream, CU_GRAPH_NODE_TYPE_KERNEL, &params);
}

CUresult capture_host(struct stream *stream, CUhostFn function, void *user_data)
{
    union node_params params = { .host = { function, user_data } };
    return add_node(stream, CU_GRAPH_NODE_TYPE_HOST, &params);
}

CUresult capture_external_event(struct stream *stream, CUgraphNodeType type, CUevent event)
{
    union node_params params = { .event = event };
    return add_node(stream, type, &params);
}

CUresult capture_alloc(struct stream *stream, int ordinal, uint64_t bytes, CUdeviceptr *address)
{
    union node_params params = { .memory = graph_memory_create(ordinal, bytes) };
    if (params.memory == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUdeviceptr given = params.memory->address;
    CUresult result = add_node(stream, CU_GRAPH_NODE_TYPE_MEM_ALLOC, &params);
    if (result == CUDA_SUCCESS)
        *address = given;
    else
        graph_memory_drop(params.memory);
    return result;
}

/* Documented: a captured free is for memory of a graph. */
CUresult capture_free(struct stream *stream, CUdeviceptr address)
{
    union node_params params = { .memory = graph_memory_find(address) };
    if (params.memory == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    graph_memory_hold(params.memory);
    CUresult result = add_node(stream, CU_GRAPH_NODE_TYPE_MEM_FREE, &params);
    if (result != CUDA_SUCCESS)
        graph_memory_drop(params.memory);
    return result;
}

CUresult capture_graph(struct stream *stream, struct graph *graph)
{
    union node_params params;
    CUresult result = graph_copy(graph, false, &params.child);
    if (result != CUDA_SUCCESS)
        return result;
    params.child->is_child = true;
    result = add_node(stream, CU_GRAPH_NODE_TYPE_GRAPH, &params);
    if (result != CUDA_SUCCESS)
        graph_end(params.child);
    return result;
}

CUresult capture_record(struct stream *stream, struct event *event)
{
    const struct member *from = stream_member(stream);
    capture_event_ended(event);
    struct member *member = add_member(from->capture, NULL, event);
    if (member == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    return set_position(&member->position, from->position.nodes, from->position.count);
}

CUresult capture_wait(struct stream *stream, struct event *event)
{
    struct member *to = stream_member(stream);
    const struct member *from = captures != NULL ? find_member(NULL, event) : NULL;
    if (from == NULL) {
        to->capture->invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_ISOLATION; /* it would wait for what is not captured */
    }
    if (stream == NULL)
        return CUDA_ERROR_STREAM_CAPTURE_IMPLICIT;
    if (to != NULL && to->capture != from->capture) {
        to->capture->invalid = true;
        from->capture->invalid = true;
        return CUDA_ERROR_STREAM_CAPTURE_MERGE;
    }
    if (to == NULL)
        to = add_member(from->capture, stream, NULL); /* the stream joins in */
    if (to == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    return add_position(&to->position, from->position.nodes, from->position.count);
}

/* Whether all that other streams captured comes before the end of the origin stream. */
static bool is_joined(const struct capture *capture)
{
    const struct member *origin = stream_member(capture->origin);
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
static CUresult begin(CUstream handle, struct graph *graph, struct node *const *nodes, size_t count,
                      CUstreamCaptureMode mode)
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
    struct member *member = capture != NULL ? add_member(capture, stream, NULL) : NULL;
    bool new_graph = graph == NULL;
    if (member != NULL && new_graph)
        graph = graph_create();
    if (member == NULL || graph == NULL ||
        set_position(&member->position, nodes, count) != CUDA_SUCCESS) {
        if (new_graph && graph != NULL)
            graph_end(graph);
        free(member);
        free(capture);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    capture->id = ++last_id;
    capture->mode = mode;
    capture->thread = this_thread();
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
    return sim_unlock_with(begin(handle, NULL, NULL, 0, mode));
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
        result = begin(handle, graph, nodes, count, mode);
    free(nodes);
    return sim_unlock_with(result);
}

/* What the end of the capture gives; the capture is over in each case but the first two. */
static CUresult check_end(const struct stream *stream, const struct capture *capture)
{
    if (capture->mode != MODE_RELAXED && capture->thread != this_thread())
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
    end_capture(capture);
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
    struct member *member = stream_member(OBJECT(OBJECT_STREAM, handle));
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
    struct member *member = result == CUDA_SUCCESS ? stream_member(stream) : NULL;
    if (result == CUDA_SUCCESS && member == NULL)
        result = CUDA_ERROR_ILLEGAL_STATE;
    struct node **nodes = NULL;
    if (result == CUDA_SUCCESS)
        result = graph_resolve(member->capture->graph, dependencies, count, &nodes);
    if (result == CUDA_SUCCESS)
        result = flags == SET_DEPENDENCIES ? set_position(&member->position, nodes, count)
                                           : add_position(&member->position, nodes, count);
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
    CUstreamCaptureMode previous = thread_mode;
    thread_mode = *mode;
    *mode = previous;
    return CUDA_SUCCESS;
}
