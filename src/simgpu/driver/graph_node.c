/* Nodes: adding them, and their parameters ("CUDA Driver API", section "Graph Management"). */
#include <stdlib.h>
#include <string.h>

#include "function_table.h"
#include "graph.h"
#include "graph_memory.h"
#include "module.h"
#include "state.h"

#define ALLOCATION_PINNED 1

/* Adds a node of the given type; its parameters are already checked and, where they own something,
 * owned. On failure nothing was added and what they own is the caller's. */
static CUresult add_node(CUgraphNode *handle, CUgraph graph_handle, const CUgraphNode *dependencies,
                         size_t count, CUgraphNodeType type, const union node_params *params)
{
    struct graph *graph = OBJECT(OBJECT_GRAPH, graph_handle);
    if (handle == NULL || graph == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    struct node **nodes;
    CUresult result = graph_resolve(graph, dependencies, count, &nodes);
    if (result != CUDA_SUCCESS)
        return result;
    struct node *node = graph_add(graph, type, nodes, count);
    free(nodes);
    if (node == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    node->params = *params;
    *handle = node->handle;
    return CUDA_SUCCESS;
}

static CUresult add_locked(CUgraphNode *handle, CUgraph graph, const CUgraphNode *dependencies,
                           size_t count, CUgraphNodeType type, const union node_params *params)
{
    sim_lock_all();
    return sim_unlock_with(add_node(handle, graph, dependencies, count, type, params));
}

CUresult sim_cuGraphAddEmptyNode(CUgraphNode *handle, CUgraph graph,
                                 const CUgraphNode *dependencies, size_t count)
{
    union node_params params = { .event = NULL };
    return add_locked(handle, graph, dependencies, count, CU_GRAPH_NODE_TYPE_EMPTY, &params);
}

static bool is_kernel(const CUDA_KERNEL_NODE_PARAMS_v2 *params)
{
    CUfunction function = params->func != NULL ? params->func : (CUfunction)(uintptr_t)params->kern;
    return function_get(function) != NULL;
}

CUresult sim_cuGraphAddKernelNode_v2(CUgraphNode *handle, CUgraph graph,
                                     const CUgraphNode *dependencies, size_t count,
                                     const CUDA_KERNEL_NODE_PARAMS_v2 *params)
{
    if (params == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    if (!is_kernel(params))
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    union node_params all = { .kernel = *params };
    return sim_unlock_with(
        add_node(handle, graph, dependencies, count, CU_GRAPH_NODE_TYPE_KERNEL, &all));
}

/* The first version lacks the two last members. */
static CUDA_KERNEL_NODE_PARAMS_v2 widen_params(const CUDA_KERNEL_NODE_PARAMS_v1 *params)
{
    CUDA_KERNEL_NODE_PARAMS_v2 wide = { 0 };
    memcpy(&wide, params, sizeof(*params));
    return wide;
}

CUresult sim_cuGraphAddKernelNode(CUgraphNode *handle, CUgraph graph,
                                  const CUgraphNode *dependencies, size_t count,
                                  const CUDA_KERNEL_NODE_PARAMS_v1 *params)
{
    if (params == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    CUDA_KERNEL_NODE_PARAMS_v2 wide = widen_params(params);
    return sim_cuGraphAddKernelNode_v2(handle, graph, dependencies, count, &wide);
}

CUresult sim_cuGraphAddMemcpyNode(CUgraphNode *handle, CUgraph graph,
                                  const CUgraphNode *dependencies, size_t count,
                                  const CUDA_MEMCPY3D *copy, CUcontext context)
{
    (void)context; /* addresses say where they belong */
    if (copy == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    union node_params params = { .copy = *copy };
    return add_locked(handle, graph, dependencies, count, CU_GRAPH_NODE_TYPE_MEMCPY, &params);
}

CUresult sim_cuGraphAddMemsetNode(CUgraphNode *handle, CUgraph graph,
                                  const CUgraphNode *dependencies, size_t count,
                                  const CUDA_MEMSET_NODE_PARAMS *set, CUcontext context)
{
    (void)context;
    if (set == NULL || (set->elementSize != 1 && set->elementSize != 2 && set->elementSize != 4))
        return CUDA_ERROR_INVALID_VALUE;
    union node_params params = { .set = *set };
    return add_locked(handle, graph, dependencies, count, CU_GRAPH_NODE_TYPE_MEMSET, &params);
}

CUresult sim_cuGraphAddHostNode(CUgraphNode *handle, CUgraph graph, const CUgraphNode *dependencies,
                                size_t count, const CUDA_HOST_NODE_PARAMS *host)
{
    if (host == NULL || host->fn == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    union node_params params = { .host = *host };
    return add_locked(handle, graph, dependencies, count, CU_GRAPH_NODE_TYPE_HOST, &params);
}

/* Documented: the child is copied now; later changes to it do not count. */
CUresult sim_cuGraphAddChildGraphNode(CUgraphNode *handle, CUgraph graph,
                                      const CUgraphNode *dependencies, size_t count,
                                      CUgraph child_handle)
{
    sim_lock_all();
    struct graph *child = OBJECT(OBJECT_GRAPH, child_handle);
    if (child == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    union node_params params;
    CUresult result = graph_copy(child, false, &params.child);
    if (result != CUDA_SUCCESS)
        return sim_unlock_with(result);
    params.child->is_child = true;
    result = add_node(handle, graph, dependencies, count, CU_GRAPH_NODE_TYPE_GRAPH, &params);
    if (result != CUDA_SUCCESS)
        graph_end(params.child);
    return sim_unlock_with(result);
}

static CUresult add_event(CUgraphNode *handle, CUgraph graph, const CUgraphNode *dependencies,
                          size_t count, CUgraphNodeType type, CUevent event)
{
    sim_lock_all();
    if (OBJECT(OBJECT_EVENT, event) == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    union node_params params = { .event = event };
    return sim_unlock_with(add_node(handle, graph, dependencies, count, type, &params));
}

CUresult sim_cuGraphAddEventRecordNode(CUgraphNode *handle, CUgraph graph,
                                       const CUgraphNode *dependencies, size_t count, CUevent event)
{
    return add_event(handle, graph, dependencies, count, CU_GRAPH_NODE_TYPE_EVENT_RECORD, event);
}

CUresult sim_cuGraphAddEventWaitNode(CUgraphNode *handle, CUgraph graph,
                                     const CUgraphNode *dependencies, size_t count, CUevent event)
{
    return add_event(handle, graph, dependencies, count, CU_GRAPH_NODE_TYPE_WAIT_EVENT, event);
}

CUresult sim_cuGraphAddMemAllocNode(CUgraphNode *handle, CUgraph graph,
                                    const CUgraphNode *dependencies, size_t count,
                                    CUDA_MEM_ALLOC_NODE_PARAMS *alloc)
{
    if (alloc == NULL || alloc->bytesize == 0 || alloc->poolProps.allocType != ALLOCATION_PINNED)
        return CUDA_ERROR_INVALID_VALUE;
    const CUmemLocation *location = &alloc->poolProps.location;
    if (location->type != CU_MEM_LOCATION_TYPE_DEVICE)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (location->id < 0 || location->id >= sim_device_count)
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock_all();
    union node_params params = { .memory = graph_memory_create(location->id, alloc->bytesize) };
    if (params.memory == NULL)
        return sim_unlock_with(CUDA_ERROR_OUT_OF_MEMORY);
    CUresult result =
        add_node(handle, graph, dependencies, count, CU_GRAPH_NODE_TYPE_MEM_ALLOC, &params);
    if (result == CUDA_SUCCESS)
        alloc->dptr = params.memory->address;
    else
        graph_memory_drop(params.memory);
    return sim_unlock_with(result);
}

CUresult sim_cuGraphAddMemFreeNode(CUgraphNode *handle, CUgraph graph,
                                   const CUgraphNode *dependencies, size_t count,
                                   CUdeviceptr address)
{
    sim_lock_all();
    union node_params params = { .memory = graph_memory_find(address) };
    if (params.memory == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    CUresult result =
        add_node(handle, graph, dependencies, count, CU_GRAPH_NODE_TYPE_MEM_FREE, &params);
    if (result == CUDA_SUCCESS)
        graph_memory_hold(params.memory);
    return sim_unlock_with(result);
}

CUresult sim_cuGraphAddNode(CUgraphNode *handle, CUgraph graph, const CUgraphNode *dependencies,
                            size_t count, CUgraphNodeParams *params)
{
    if (params == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    switch (params->type) {
    case CU_GRAPH_NODE_TYPE_KERNEL:
        return sim_cuGraphAddKernelNode_v2(handle, graph, dependencies, count,
                                           &params->params.kernel);
    case CU_GRAPH_NODE_TYPE_MEMCPY:
        return sim_cuGraphAddMemcpyNode(handle, graph, dependencies, count,
                                        &params->params.memcpy.copyParams, NULL);
    case CU_GRAPH_NODE_TYPE_MEMSET:
        return sim_cuGraphAddMemsetNode(handle, graph, dependencies, count, &params->params.memset,
                                        NULL);
    case CU_GRAPH_NODE_TYPE_HOST:
        return sim_cuGraphAddHostNode(handle, graph, dependencies, count, &params->params.host);
    case CU_GRAPH_NODE_TYPE_GRAPH:
        return sim_cuGraphAddChildGraphNode(handle, graph, dependencies, count,
                                            params->params.graph);
    case CU_GRAPH_NODE_TYPE_EMPTY:
        return sim_cuGraphAddEmptyNode(handle, graph, dependencies, count);
    case CU_GRAPH_NODE_TYPE_WAIT_EVENT:
        return sim_cuGraphAddEventWaitNode(handle, graph, dependencies, count,
                                           params->params.event);
    case CU_GRAPH_NODE_TYPE_EVENT_RECORD:
        return sim_cuGraphAddEventRecordNode(handle, graph, dependencies, count,
                                             params->params.event);
    case CU_GRAPH_NODE_TYPE_MEM_ALLOC:
        return sim_cuGraphAddMemAllocNode(handle, graph, dependencies, count,
                                          &params->params.alloc);
    case CU_GRAPH_NODE_TYPE_MEM_FREE:
        return sim_cuGraphAddMemFreeNode(handle, graph, dependencies, count, params->params.free);
    default: return CUDA_ERROR_NOT_SUPPORTED;
    }
}

/* The kinds of edges matter to kernels that overlap only. */
CUresult sim_cuGraphAddNode_v2(CUgraphNode *handle, CUgraph graph, const CUgraphNode *dependencies,
                               const CUgraphEdgeData *edges, size_t count,
                               CUgraphNodeParams *params)
{
    (void)edges;
    return sim_cuGraphAddNode(handle, graph, dependencies, count, params);
}

/* Copies `bytes` between a node's parameters and the caller's, if the node is of the type. */
static CUresult get_params(CUgraphNode handle, CUgraphNodeType type, void *out, size_t bytes)
{
    if (out == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct node *node = OBJECT(OBJECT_NODE, handle);
    bool right = node != NULL && node->type == type;
    if (right)
        memcpy(out, &node->params, bytes);
    return sim_unlock_with(right ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

static CUresult set_params(CUgraphNode handle, CUgraphNodeType type, const void *in, size_t bytes)
{
    if (in == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct node *node = OBJECT(OBJECT_NODE, handle);
    bool right = node != NULL && node->type == type;
    if (right)
        memcpy(&node->params, in, bytes);
    return sim_unlock_with(right ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult sim_cuGraphKernelNodeGetParams_v2(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS_v2 *params)
{
    return get_params(node, CU_GRAPH_NODE_TYPE_KERNEL, params, sizeof(*params));
}

CUresult sim_cuGraphKernelNodeGetParams(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS_v1 *params)
{
    return get_params(node, CU_GRAPH_NODE_TYPE_KERNEL, params, sizeof(*params));
}

CUresult sim_cuGraphKernelNodeSetParams_v2(CUgraphNode node,
                                           const CUDA_KERNEL_NODE_PARAMS_v2 *params)
{
    return set_params(node, CU_GRAPH_NODE_TYPE_KERNEL, params, sizeof(*params));
}

CUresult sim_cuGraphKernelNodeSetParams(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS_v1 *params)
{
    return set_params(node, CU_GRAPH_NODE_TYPE_KERNEL, params, sizeof(*params));
}

CUresult sim_cuGraphMemcpyNodeGetParams(CUgraphNode node, CUDA_MEMCPY3D *params)
{
    return get_params(node, CU_GRAPH_NODE_TYPE_MEMCPY, params, sizeof(*params));
}

CUresult sim_cuGraphMemcpyNodeSetParams(CUgraphNode node, const CUDA_MEMCPY3D *params)
{
    return set_params(node, CU_GRAPH_NODE_TYPE_MEMCPY, params, sizeof(*params));
}

CUresult sim_cuGraphMemsetNodeGetParams(CUgraphNode node, CUDA_MEMSET_NODE_PARAMS *params)
{
    return get_params(node, CU_GRAPH_NODE_TYPE_MEMSET, params, sizeof(*params));
}

CUresult sim_cuGraphMemsetNodeSetParams(CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS *params)
{
    return set_params(node, CU_GRAPH_NODE_TYPE_MEMSET, params, sizeof(*params));
}

CUresult sim_cuGraphHostNodeGetParams(CUgraphNode node, CUDA_HOST_NODE_PARAMS *params)
{
    return get_params(node, CU_GRAPH_NODE_TYPE_HOST, params, sizeof(*params));
}

CUresult sim_cuGraphHostNodeSetParams(CUgraphNode node, const CUDA_HOST_NODE_PARAMS *params)
{
    return set_params(node, CU_GRAPH_NODE_TYPE_HOST, params, sizeof(*params));
}

CUresult sim_cuGraphEventRecordNodeGetEvent(CUgraphNode node, CUevent *event)
{
    return get_params(node, CU_GRAPH_NODE_TYPE_EVENT_RECORD, event, sizeof(*event));
}

CUresult sim_cuGraphEventRecordNodeSetEvent(CUgraphNode node, CUevent event)
{
    return set_params(node, CU_GRAPH_NODE_TYPE_EVENT_RECORD, &event, sizeof(event));
}

CUresult sim_cuGraphEventWaitNodeGetEvent(CUgraphNode node, CUevent *event)
{
    return get_params(node, CU_GRAPH_NODE_TYPE_WAIT_EVENT, event, sizeof(*event));
}

CUresult sim_cuGraphEventWaitNodeSetEvent(CUgraphNode node, CUevent event)
{
    return set_params(node, CU_GRAPH_NODE_TYPE_WAIT_EVENT, &event, sizeof(event));
}

CUresult sim_cuGraphChildGraphNodeGetGraph(CUgraphNode handle, CUgraph *graph)
{
    if (graph == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct node *node = OBJECT(OBJECT_NODE, handle);
    bool right = node != NULL && node->type == CU_GRAPH_NODE_TYPE_GRAPH;
    if (right)
        *graph = node->params.child->handle;
    return sim_unlock_with(right ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult sim_cuGraphMemAllocNodeGetParams(CUgraphNode handle, CUDA_MEM_ALLOC_NODE_PARAMS *alloc)
{
    if (alloc == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct node *node = OBJECT(OBJECT_NODE, handle);
    if (node == NULL || node->type != CU_GRAPH_NODE_TYPE_MEM_ALLOC)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    const struct graph_memory *memory = node->params.memory;
    memset(alloc, 0, sizeof(*alloc));
    alloc->poolProps.allocType = ALLOCATION_PINNED;
    alloc->poolProps.location = (CUmemLocation){ CU_MEM_LOCATION_TYPE_DEVICE, memory->ordinal };
    alloc->bytesize = memory->bytes;
    alloc->dptr = memory->address;
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuGraphMemFreeNodeGetParams(CUgraphNode handle, CUdeviceptr *address)
{
    if (address == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct node *node = OBJECT(OBJECT_NODE, handle);
    bool right = node != NULL && node->type == CU_GRAPH_NODE_TYPE_MEM_FREE;
    if (right)
        *address = node->params.memory->address;
    return sim_unlock_with(right ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}
