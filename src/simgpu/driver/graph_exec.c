/* Executable graphs ("CUDA Driver API", section "Graph Management"). A launch runs the nodes one
 * after the other, in the calling thread; kernels do nothing. */
#include <stdlib.h>
#include <string.h>

#include "capture.h"
#include "copy.h"
#include "event.h"
#include "function_table.h"
#include "graph.h"
#include "graph_memory.h"
#include "options.h"
#include "state.h"
#include "stream.h"

#define FLAG_AUTO_FREE     1u
#define FLAG_UPLOAD        2u
#define FLAG_DEVICE_LAUNCH 4u
#define FLAG_NODE_PRIORITY 8u
#define KNOWN_FLAGS        0xfu

struct exec {
    struct exec *next;
    CUgraphExec handle;
    struct graph *graph; /* a copy; its nodes' origins are the application's nodes */
    struct node **order;
    size_t count;
    unsigned long long flags;
    /* What the memory behind it took when it was last put there, and when that was. */
    uint64_t mapped_bytes[MAX_DEVICES], mapped_at_trim[MAX_DEVICES];
};

static struct exec *execs; /* all */

/* Graphs share memory: the device needs what the greediest of them has. */
static void update_mapped(void)
{
    for (int i = 0; i < sim_device_count; i++) {
        uint64_t most = 0;
        for (const struct exec *exec = execs; exec != NULL; exec = exec->next)
            if (exec->mapped_at_trim[i] == graph_memory_trims(i) && exec->mapped_bytes[i] > most)
                most = exec->mapped_bytes[i];
        graph_memory_set_mapped(i, most);
    }
}

/* Called with sim_lock held. */
static CUresult instantiate_graph(struct graph *graph, unsigned long long flags, struct exec **out)
{
    struct exec *exec = calloc(1, sizeof(*exec));
    if (exec == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    CUresult result = graph_copy(graph, true, &exec->graph);
    if (result == CUDA_SUCCESS) {
        exec->graph->is_child = true;
        exec->flags = flags;
        exec->count = graph_count_flat(exec->graph);
        exec->order = malloc((exec->count + 1) * sizeof(*exec->order));
        exec->handle = (CUgraphExec)(uintptr_t)object_add(OBJECT_EXEC, exec, NULL);
        if (exec->order == NULL || exec->handle == NULL) {
            graph_end(exec->graph);
            free(exec->order);
            result = CUDA_ERROR_OUT_OF_MEMORY;
        }
    }
    if (result != CUDA_SUCCESS) {
        free(exec);
        return result;
    }
    graph_order(exec->graph, exec->order);
    exec->next = execs;
    execs = exec;
    *out = exec;
    return CUDA_SUCCESS;
}

/* How much graph memory each device needs while the graph runs from what is in use now. Also checks
 * that nothing is allocated twice or freed in vain. */
static CUresult measure_need(const struct exec *exec, uint64_t *need_bytes)
{
    uint64_t in_use[MAX_DEVICES];
    bool free_first = (exec->flags & FLAG_AUTO_FREE) != 0;
    for (int i = 0; i < sim_device_count; i++)
        need_bytes[i] = in_use[i] = graph_memory_live(i);
    for (size_t i = 0; i < exec->count; i++) {
        const struct node *node = exec->order[i];
        if (node->type != CU_GRAPH_NODE_TYPE_MEM_ALLOC && node->type != CU_GRAPH_NODE_TYPE_MEM_FREE)
            continue;
        const struct graph_memory *memory = node->params.memory;
        uint64_t *used = &in_use[memory->ordinal];
        if (node->type == CU_GRAPH_NODE_TYPE_MEM_FREE) {
            *used -= *used >= memory->extent_bytes ? memory->extent_bytes : *used;
            continue;
        }
        if (memory->range != NULL && !free_first)
            return CUDA_ERROR_INVALID_VALUE; /* documented: the last launch's is not freed yet */
        if (memory->range == NULL)
            *used += memory->extent_bytes;
        if (*used > need_bytes[memory->ordinal])
            need_bytes[memory->ordinal] = *used;
    }
    return CUDA_SUCCESS;
}

static bool has_memory(const struct exec *exec)
{
    for (size_t i = 0; i < exec->count; i++)
        if (exec->order[i]->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC)
            return true;
    return false;
}

/* Puts memory behind all nodes, or fails as a whole. */
static CUresult reserve_memory(struct exec *exec)
{
    if (!has_memory(exec))
        return CUDA_SUCCESS;
    uint64_t need_bytes[MAX_DEVICES];
    CUresult result = measure_need(exec, need_bytes);
    for (int i = 0; i < sim_device_count && result == CUDA_SUCCESS; i++)
        result = graph_memory_reserve(i, need_bytes[i]);
    if (result != CUDA_SUCCESS)
        return result;
    for (int i = 0; i < sim_device_count; i++) {
        exec->mapped_bytes[i] = need_bytes[i];
        exec->mapped_at_trim[i] = graph_memory_trims(i);
    }
    update_mapped();
    return CUDA_SUCCESS;
}

/* Runs one node; called without sim_lock. */
static CUresult run_unlocked(const struct node *node)
{
    CUDA_MEMSET_NODE_PARAMS set = node->params.set;
    switch (node->type) {
    case CU_GRAPH_NODE_TYPE_MEMCPY: return copy_now(&node->params.copy);
    case CU_GRAPH_NODE_TYPE_MEMSET:
        return memset_now(set.dst, set.pitch, set.value, set.elementSize, set.width, set.height);
    case CU_GRAPH_NODE_TYPE_HOST:
        node->params.host.fn(node->params.host.userData);
        return CUDA_SUCCESS;
    default: return CUDA_SUCCESS;
    }
}

/* Called with sim_lock held, and lets go of it for what must run without. */
static CUresult run_node(const struct node *node, struct context *context)
{
    struct graph_memory *memory = node->params.memory;
    struct event *event;
    switch (node->type) {
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
        if (memory->range != NULL)
            graph_memory_end(memory);
        return graph_memory_begin(memory, context);
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
        if (memory->range == NULL)
            return CUDA_ERROR_INVALID_VALUE;
        graph_memory_end(memory);
        return CUDA_SUCCESS;
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
        event = OBJECT(OBJECT_EVENT, node->params.event);
        if (event != NULL)
            event_stamp(event);
        return event != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
    default: break;
    }
    sim_unlock_all();
    CUresult result = run_unlocked(node);
    sim_lock_all();
    return result;
}

CUresult sim_cuGraphInstantiateWithFlags(CUgraphExec *handle, CUgraph graph_handle,
                                         unsigned long long flags)
{
    if (handle == NULL || (flags & ~(unsigned long long)KNOWN_FLAGS) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if ((flags & FLAG_DEVICE_LAUNCH) != 0)
        return CUDA_ERROR_NOT_SUPPORTED;
    sim_lock_all();
    struct graph *graph = OBJECT(OBJECT_GRAPH, graph_handle);
    struct exec *exec;
    CUresult result =
        graph != NULL ? instantiate_graph(graph, flags, &exec) : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        *handle = exec->handle;
    return sim_unlock_with(result);
}

CUresult sim_cuGraphInstantiateWithParams(CUgraphExec *handle, CUgraph graph,
                                          CUDA_GRAPH_INSTANTIATE_PARAMS *params)
{
    if (params == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = sim_cuGraphInstantiateWithFlags(handle, graph, params->flags);
    if (result == CUDA_SUCCESS && (params->flags & FLAG_UPLOAD) != 0) {
        result = sim_cuGraphUpload(*handle, params->hUploadStream);
        if (result != CUDA_SUCCESS)
            sim_cuGraphExecDestroy(*handle);
    }
    params->hErrNode_out = NULL;
    params->result_out = result == CUDA_SUCCESS ? 0 : 1;
    return result;
}

CUresult sim_cuGraphInstantiate_v2(CUgraphExec *handle, CUgraph graph, CUgraphNode *error_node,
                                   char *log, size_t log_bytes)
{
    if (error_node != NULL)
        *error_node = NULL;
    if (log != NULL && log_bytes > 0)
        log[0] = '\0';
    return sim_cuGraphInstantiateWithFlags(handle, graph, 0);
}

CUresult sim_cuGraphInstantiate(CUgraphExec *handle, CUgraph graph, CUgraphNode *error_node,
                                char *log, size_t log_bytes)
{
    return sim_cuGraphInstantiate_v2(handle, graph, error_node, log, log_bytes);
}

CUresult sim_cuGraphUpload(CUgraphExec handle, CUstream stream_handle)
{
    CUresult result = stream_check(stream_handle);
    if (result != CUDA_SUCCESS)
        return result;
    sim_lock_all();
    struct exec *exec = OBJECT(OBJECT_EXEC, handle);
    return sim_unlock_with(exec != NULL ? reserve_memory(exec) : CUDA_ERROR_INVALID_VALUE);
}

CUresult sim_cuGraphLaunch(CUgraphExec handle, CUstream stream_handle)
{
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_use(stream_handle, &stream, &context);
    struct exec *exec = OBJECT(OBJECT_EXEC, handle);
    if (result == CUDA_SUCCESS && exec == NULL)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS && stream_capture(stream) != NULL)
        return sim_unlock_with(capture_graph(stream, exec->graph));
    if (result == CUDA_SUCCESS)
        result = reserve_memory(exec);
    for (size_t i = 0; result == CUDA_SUCCESS && i < exec->count; i++)
        if (!exec->order[i]->disabled)
            result = run_node(exec->order[i], context);
    return sim_unlock_with(result);
}

CUresult sim_cuGraphExecDestroy(CUgraphExec handle)
{
    sim_lock_all();
    struct exec *exec = OBJECT(OBJECT_EXEC, handle);
    if (exec == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    object_remove((uint64_t)(uintptr_t)handle);
    struct exec **link = &execs;
    while (*link != exec)
        link = &(*link)->next;
    *link = exec->next;
    update_mapped();
    graph_end(exec->graph);
    free(exec->order);
    free(exec);
    sim_unlock_all();
    user_objects_finish();
    return CUDA_SUCCESS;
}

CUresult sim_cuGraphExecGetFlags(CUgraphExec handle, cuuint64_t *flags)
{
    if (flags == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct exec *exec = OBJECT(OBJECT_EXEC, handle);
    if (exec != NULL)
        *flags = exec->flags;
    return sim_unlock_with(exec != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

struct graph *graph_of_exec(CUgraphExec handle)
{
    const struct exec *exec = OBJECT(OBJECT_EXEC, handle);
    return exec != NULL ? exec->graph : NULL;
}
