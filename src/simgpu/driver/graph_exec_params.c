/* Changing executable graphs ("CUDA Driver API", section "Graph Management"). */
#include <string.h>

#include "function_table.h"
#include "graph.h"
#include "state.h"

#define UPDATE_SUCCESS          0
#define UPDATE_ERROR            1
#define UPDATE_TOPOLOGY_CHANGED 2
#define UPDATE_TYPE_CHANGED     3

/* The executable graph's copy of a node of the application's, or NULL. Called with sim_lock held.
 */
static struct node *find_node(CUgraphExec handle, CUgraphNode origin)
{
    const struct graph *graph = graph_of_exec(handle);
    return graph != NULL ? graph_find_copy(graph, origin) : NULL;
}

static CUresult set_params(CUgraphExec handle, CUgraphNode origin, CUgraphNodeType type,
                           const void *params, size_t bytes)
{
    if (params == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct node *node = find_node(handle, origin);
    bool right = node != NULL && node->type == type;
    if (right)
        memcpy(&node->params, params, bytes);
    return sim_unlock_with(right ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult sim_cuGraphExecKernelNodeSetParams_v2(CUgraphExec exec, CUgraphNode node,
                                               const CUDA_KERNEL_NODE_PARAMS_v2 *params)
{
    return set_params(exec, node, CU_GRAPH_NODE_TYPE_KERNEL, params, sizeof(*params));
}

CUresult sim_cuGraphExecKernelNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                            const CUDA_KERNEL_NODE_PARAMS_v1 *params)
{
    return set_params(exec, node, CU_GRAPH_NODE_TYPE_KERNEL, params, sizeof(*params));
}

CUresult sim_cuGraphExecMemcpyNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                            const CUDA_MEMCPY3D *params, CUcontext context)
{
    (void)context;
    return set_params(exec, node, CU_GRAPH_NODE_TYPE_MEMCPY, params, sizeof(*params));
}

CUresult sim_cuGraphExecMemsetNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                            const CUDA_MEMSET_NODE_PARAMS *params,
                                            CUcontext context)
{
    (void)context;
    return set_params(exec, node, CU_GRAPH_NODE_TYPE_MEMSET, params, sizeof(*params));
}

CUresult sim_cuGraphExecHostNodeSetParams(CUgraphExec exec, CUgraphNode node,
                                          const CUDA_HOST_NODE_PARAMS *params)
{
    return set_params(exec, node, CU_GRAPH_NODE_TYPE_HOST, params, sizeof(*params));
}

CUresult sim_cuGraphExecEventRecordNodeSetEvent(CUgraphExec exec, CUgraphNode node, CUevent event)
{
    return set_params(exec, node, CU_GRAPH_NODE_TYPE_EVENT_RECORD, &event, sizeof(event));
}

CUresult sim_cuGraphExecEventWaitNodeSetEvent(CUgraphExec exec, CUgraphNode node, CUevent event)
{
    return set_params(exec, node, CU_GRAPH_NODE_TYPE_WAIT_EVENT, &event, sizeof(event));
}

/* Documented: for kernel, memset and memcpy nodes. */
CUresult sim_cuGraphNodeSetEnabled(CUgraphExec exec, CUgraphNode origin, unsigned int enabled)
{
    sim_lock_all();
    struct node *node = find_node(exec, origin);
    bool right = node != NULL && node->type <= CU_GRAPH_NODE_TYPE_MEMSET;
    if (right)
        node->disabled = enabled == 0;
    return sim_unlock_with(right ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult sim_cuGraphNodeGetEnabled(CUgraphExec exec, CUgraphNode origin, unsigned int *enabled)
{
    if (enabled == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct node *node = find_node(exec, origin);
    bool right = node != NULL && node->type <= CU_GRAPH_NODE_TYPE_MEMSET;
    if (right)
        *enabled = !node->disabled;
    return sim_unlock_with(right ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

static bool owns_something(const struct node *node)
{
    return node->type == CU_GRAPH_NODE_TYPE_GRAPH || node->type == CU_GRAPH_NODE_TYPE_MEM_ALLOC ||
           node->type == CU_GRAPH_NODE_TYPE_MEM_FREE;
}

/* Compares node by node in order of creation, which decides how nodes are paired here; the real
 * driver pairs by topology. `*differs` is the first node that does not fit. */
static CUgraphExecUpdateResult compare_graphs(const struct graph *running,
                                              const struct graph *graph, CUgraphNode *differs)
{
    const struct node *old = running->first;
    for (const struct node *node = graph->first; node != NULL; node = node->next) {
        *differs = node->handle;
        if (old == NULL || old->dependency_count != node->dependency_count)
            return UPDATE_TOPOLOGY_CHANGED;
        if (old->type != node->type)
            return UPDATE_TYPE_CHANGED;
        if (owns_something(node))
            return UPDATE_ERROR;
        old = old->next;
    }
    *differs = NULL;
    return old == NULL ? UPDATE_SUCCESS : UPDATE_TOPOLOGY_CHANGED;
}

CUresult sim_cuGraphExecUpdate(CUgraphExec handle, CUgraph graph_handle, CUgraphNode *error_node,
                               CUgraphExecUpdateResult *update)
{
    sim_lock_all();
    struct graph *running = graph_of_exec(handle);
    const struct graph *graph = OBJECT(OBJECT_GRAPH, graph_handle);
    if (running == NULL || graph == NULL || update == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    CUgraphNode differs = NULL;
    *update = compare_graphs(running, graph, &differs);
    if (error_node != NULL)
        *error_node = differs;
    if (*update != UPDATE_SUCCESS)
        return sim_unlock_with(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
    struct node *old = running->first;
    for (const struct node *node = graph->first; node != NULL; node = node->next, old = old->next)
        old->params = node->params;
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuGraphExecUpdate_v2(CUgraphExec handle, CUgraph graph,
                                  CUgraphExecUpdateResultInfo *info)
{
    if (info == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    info->errorFromNode = NULL;
    return sim_cuGraphExecUpdate(handle, graph, &info->errorNode, &info->result);
}
