/* What a capture is made of, and how calls become nodes of its graph ("CUDA Driver API", section
 * "Stream Management"). */
#include "capture.h"

#include <stdlib.h>
#include <string.h>

#include "capture_internal.h"
#include "graph_memory.h"
#include "memory.h"
#include "state.h"

struct capture *captures;
_Thread_local CUstreamCaptureMode capture_thread_mode = MODE_GLOBAL;

const void *capture_this_thread(void)
{
    return &capture_thread_mode;
}

static struct member *find_member(const struct stream *stream, const struct event *event)
{
    for (const struct capture *capture = captures; capture != NULL; capture = capture->next)
        for (struct member *member = capture->members; member != NULL; member = member->next)
            if (member->stream == stream && member->event == event)
                return member;
    return NULL;
}

struct member *capture_member(const struct stream *stream)
{
    return captures != NULL && stream != NULL ? find_member(stream, NULL) : NULL;
}

struct capture *stream_capture(const struct stream *stream)
{
    const struct member *member = capture_member(stream);
    return member != NULL ? member->capture : NULL;
}

bool capture_has_event(const struct event *event)
{
    return captures != NULL && find_member(NULL, event) != NULL;
}

CUresult capture_set_position(struct position *position, struct node *const *nodes, size_t count)
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

CUresult capture_add_position(struct position *position, struct node *const *nodes, size_t count)
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

struct member *capture_add_member(struct capture *capture, struct stream *stream,
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

void capture_end(struct capture *capture)
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
    struct member *member = capture_member(stream);
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
    capture_end(capture);
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
    if (captures == NULL || capture_thread_mode == MODE_RELAXED)
        return result;
    for (struct capture *capture = captures; capture != NULL; capture = capture->next) {
        bool mine = capture->thread == capture_this_thread() && capture->mode != MODE_RELAXED;
        bool others = capture_thread_mode == MODE_GLOBAL && capture->mode == MODE_GLOBAL;
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
    struct member *member = capture_member(stream);
    struct node *node =
        graph_add(member->capture->graph, type, member->position.nodes, member->position.count);
    if (node == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    node->params = *params;
    return capture_set_position(&member->position, &node, 1);
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
    const struct member *from = capture_member(stream);
    capture_event_ended(event);
    struct member *member = capture_add_member(from->capture, NULL, event);
    if (member == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    return capture_set_position(&member->position, from->position.nodes, from->position.count);
}

CUresult capture_wait(struct stream *stream, struct event *event)
{
    struct member *to = capture_member(stream);
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
        to = capture_add_member(from->capture, stream, NULL); /* the stream joins in */
    if (to == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    return capture_add_position(&to->position, from->position.nodes, from->position.count);
}
