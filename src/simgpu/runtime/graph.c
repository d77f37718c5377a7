/* Graphs: everything that the driver does under the same parameters. Nodes whose parameters differ
 * between the two APIs are in graph_node.c. */
#include "cudart_errors.h"
#include "runtime.h"

RT_PASS(cudaGraphCreate, cuGraphCreate, (cudaGraph_t * graph, unsigned int flags), graph, flags)
RT_PASS(cudaGraphDestroy, cuGraphDestroy, (cudaGraph_t graph), graph)
RT_PASS(cudaGraphClone, cuGraphClone, (cudaGraph_t * clone, cudaGraph_t graph), clone, graph)
RT_PASS(cudaGraphDestroyNode, cuGraphDestroyNode, (cudaGraphNode_t node), node)
RT_PASS(cudaGraphAddEmptyNode, cuGraphAddEmptyNode,
        (cudaGraphNode_t * node, cudaGraph_t graph, const cudaGraphNode_t *dependencies,
         size_t count),
        node, graph, dependencies, count)
RT_PASS(cudaGraphAddHostNode, cuGraphAddHostNode,
        (cudaGraphNode_t * node, cudaGraph_t graph, const cudaGraphNode_t *dependencies,
         size_t count, const struct cudaHostNodeParams *params),
        node, graph, dependencies, count, params)
RT_PASS(cudaGraphHostNodeGetParams, cuGraphHostNodeGetParams,
        (cudaGraphNode_t node, struct cudaHostNodeParams *params), node, params)
RT_PASS(cudaGraphHostNodeSetParams, cuGraphHostNodeSetParams,
        (cudaGraphNode_t node, const struct cudaHostNodeParams *params), node, params)
RT_PASS(cudaGraphExecHostNodeSetParams, cuGraphExecHostNodeSetParams,
        (cudaGraphExec_t exec, cudaGraphNode_t node, const struct cudaHostNodeParams *params), exec,
        node, params)
RT_PASS(cudaGraphAddChildGraphNode, cuGraphAddChildGraphNode,
        (cudaGraphNode_t * node, cudaGraph_t graph, const cudaGraphNode_t *dependencies,
         size_t count, cudaGraph_t child),
        node, graph, dependencies, count, child)
RT_PASS(cudaGraphChildGraphNodeGetGraph, cuGraphChildGraphNodeGetGraph,
        (cudaGraphNode_t node, cudaGraph_t *graph), node, graph)
RT_PASS(cudaGraphExecChildGraphNodeSetParams, cuGraphExecChildGraphNodeSetParams,
        (cudaGraphExec_t exec, cudaGraphNode_t node, cudaGraph_t child), exec, node, child)
RT_PASS(cudaGraphAddEventRecordNode, cuGraphAddEventRecordNode,
        (cudaGraphNode_t * node, cudaGraph_t graph, const cudaGraphNode_t *dependencies,
         size_t count, cudaEvent_t event),
        node, graph, dependencies, count, event)
RT_PASS(cudaGraphEventRecordNodeGetEvent, cuGraphEventRecordNodeGetEvent,
        (cudaGraphNode_t node, cudaEvent_t *event), node, event)
RT_PASS(cudaGraphEventRecordNodeSetEvent, cuGraphEventRecordNodeSetEvent,
        (cudaGraphNode_t node, cudaEvent_t event), node, event)
RT_PASS(cudaGraphExecEventRecordNodeSetEvent, cuGraphExecEventRecordNodeSetEvent,
        (cudaGraphExec_t exec, cudaGraphNode_t node, cudaEvent_t event), exec, node, event)
RT_PASS(cudaGraphAddEventWaitNode, cuGraphAddEventWaitNode,
        (cudaGraphNode_t * node, cudaGraph_t graph, const cudaGraphNode_t *dependencies,
         size_t count, cudaEvent_t event),
        node, graph, dependencies, count, event)
RT_PASS(cudaGraphEventWaitNodeGetEvent, cuGraphEventWaitNodeGetEvent,
        (cudaGraphNode_t node, cudaEvent_t *event), node, event)
RT_PASS(cudaGraphEventWaitNodeSetEvent, cuGraphEventWaitNodeSetEvent,
        (cudaGraphNode_t node, cudaEvent_t event), node, event)
RT_PASS(cudaGraphExecEventWaitNodeSetEvent, cuGraphExecEventWaitNodeSetEvent,
        (cudaGraphExec_t exec, cudaGraphNode_t node, cudaEvent_t event), exec, node, event)
RT_PASS(cudaGraphAddMemAllocNode, cuGraphAddMemAllocNode,
        (cudaGraphNode_t * node, cudaGraph_t graph, const cudaGraphNode_t *dependencies,
         size_t count, struct cudaMemAllocNodeParams *params),
        node, graph, dependencies, count, params)
RT_PASS(cudaGraphMemAllocNodeGetParams, cuGraphMemAllocNodeGetParams,
        (cudaGraphNode_t node, struct cudaMemAllocNodeParams *params), node, params)
RT_PASS(cudaGraphNodeFindInClone, cuGraphNodeFindInClone,
        (cudaGraphNode_t * node, cudaGraphNode_t original, cudaGraph_t clone), node, original,
        clone)
RT_PASS(cudaGraphNodeGetType, cuGraphNodeGetType, (cudaGraphNode_t node, int *type), node, type)
RT_PASS(cudaGraphGetNodes, cuGraphGetNodes,
        (cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count), graph, nodes, count)
RT_PASS(cudaGraphGetRootNodes, cuGraphGetRootNodes,
        (cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count), graph, nodes, count)
RT_PASS(cudaGraphNodeSetEnabled, cuGraphNodeSetEnabled,
        (cudaGraphExec_t exec, cudaGraphNode_t node, unsigned int enabled), exec, node, enabled)
RT_PASS(cudaGraphNodeGetEnabled, cuGraphNodeGetEnabled,
        (cudaGraphExec_t exec, cudaGraphNode_t node, unsigned int *enabled), exec, node, enabled)
RT_PASS(cudaGraphExecGetFlags, cuGraphExecGetFlags,
        (cudaGraphExec_t exec, unsigned long long *flags), exec, flags)
RT_PASS(cudaGraphExecDestroy, cuGraphExecDestroy, (cudaGraphExec_t exec), exec)
RT_PASS_PTSZ(cudaGraphUpload, cuGraphUpload, (cudaGraphExec_t exec, cudaStream_t stream), exec,
             stream)
RT_PASS_PTSZ(cudaGraphLaunch, cuGraphLaunch, (cudaGraphExec_t exec, cudaStream_t stream), exec,
             stream)
RT_PASS_PTSZ(cudaGraphInstantiateWithParams, cuGraphInstantiateWithParams,
             (cudaGraphExec_t * exec, cudaGraph_t graph, cudaGraphInstantiateParams *params), exec,
             graph, params)
RT_PASS(cudaGraphInstantiateWithFlags, cuGraphInstantiateWithFlags,
        (cudaGraphExec_t * exec, cudaGraph_t graph, unsigned long long flags), exec, graph, flags)
RT_PASS(cudaGraphDebugDotPrint, cuGraphDebugDotPrint,
        (cudaGraph_t graph, const char *path, unsigned int flags), graph, path, flags)
RT_PASS(cudaUserObjectCreate, cuUserObjectCreate,
        (cudaUserObject_t * object, void *data, cudaHostFn_t destroy, unsigned int references,
         unsigned int flags),
        object, data, destroy, references, flags)
RT_PASS(cudaUserObjectRetain, cuUserObjectRetain, (cudaUserObject_t object, unsigned int count),
        object, count)
RT_PASS(cudaUserObjectRelease, cuUserObjectRelease, (cudaUserObject_t object, unsigned int count),
        object, count)
RT_PASS(cudaGraphRetainUserObject, cuGraphRetainUserObject,
        (cudaGraph_t graph, cudaUserObject_t object, unsigned int count, unsigned int flags), graph,
        object, count, flags)
RT_PASS(cudaGraphReleaseUserObject, cuGraphReleaseUserObject,
        (cudaGraph_t graph, cudaUserObject_t object, unsigned int count), graph, object, count)
RT_PASS(cudaDeviceGraphMemTrim, cuDeviceGraphMemTrim, (int device), device)
RT_PASS(cudaDeviceGetGraphMemAttribute, cuDeviceGetGraphMemAttribute,
        (int device, int attribute, void *value), device, attribute, value)
RT_PASS(cudaDeviceSetGraphMemAttribute, cuDeviceSetGraphMemAttribute,
        (int device, int attribute, void *value), device, attribute, value)
RT_PASS(cudaGraphKernelNodeGetAttribute, cuGraphKernelNodeGetAttribute,
        (cudaGraphNode_t node, int attribute, cudaLaunchAttributeValue *value), node, attribute,
        value)
RT_PASS(cudaGraphKernelNodeSetAttribute, cuGraphKernelNodeSetAttribute,
        (cudaGraphNode_t node, int attribute, const cudaLaunchAttributeValue *value), node,
        attribute, value)
RT_PASS(cudaGraphMemFreeNodeGetParams, cuGraphMemFreeNodeGetParams,
        (cudaGraphNode_t node, void *ptr), node, ptr)
RT_PASS(cudaGraphAddMemFreeNode, cuGraphAddMemFreeNode,
        (cudaGraphNode_t * node, cudaGraph_t graph, const cudaGraphNode_t *dependencies,
         size_t count, void *ptr),
        node, graph, dependencies, count, rt_devptr(ptr))

#if CUDART_MAJOR >= 12
RT_PASS(cudaGraphInstantiate, cuGraphInstantiateWithFlags,
        (cudaGraphExec_t * exec, cudaGraph_t graph, unsigned long long flags), exec, graph, flags)
RT_PASS(cudaGraphExecUpdate, cuGraphExecUpdate,
        (cudaGraphExec_t exec, cudaGraph_t graph, cudaGraphExecUpdateResultInfo *result), exec,
        graph, result)
#else
/* No graph that the driver takes fails here, so there is no node to name and nothing to log. */
RT_API cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph,
                                        cudaGraphNode_t *error_node, char *log, size_t log_bytes)
{
    cudaError_t err = rt_need_context();
    if (error_node)
        *error_node = NULL;
    if (log && log_bytes > 0)
        log[0] = '\0';
    return rt_done(err ? err : drv.cuGraphInstantiateWithFlags(exec, graph, 0));
}

RT_API cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph,
                                       cudaGraphNode_t *error_node, int *result);
RT_API cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph,
                                       cudaGraphNode_t *error_node, int *result)
{
    cudaGraphExecUpdateResultInfo info = { 0 };
    cudaError_t err = result ? rt_need_context() : cudaErrorInvalidValue;
    if (err == cudaSuccess) {
        err = drv.cuGraphExecUpdate(exec, graph, &info);
        *result = info.result;
        if (error_node)
            *error_node = info.errorNode;
    }
    return rt_done(err);
}
#endif

/* Destination first, as the driver and version 13 declare it; versions 11 and 12 name the
 * parameters the other way round. */
RT_PASS(cudaGraphKernelNodeCopyAttributes, cuGraphKernelNodeCopyAttributes,
        (cudaGraphNode_t dst, cudaGraphNode_t src), dst, src)

/* Version 13 gave the unsuffixed names to the forms with edge data. A null `edges` asks for a graph
 * without any, or is an error (cudaErrorLossyQuery) where there is some. */
#if CUDART_MAJOR >= 13
RT_PASS(cudaGraphGetEdges, cuGraphGetEdges,
        (cudaGraph_t graph, cudaGraphNode_t *from, cudaGraphNode_t *to, cudaGraphEdgeData *edges,
         size_t *count),
        graph, from, to, edges, count)
RT_PASS(cudaGraphNodeGetDependencies, cuGraphNodeGetDependencies,
        (cudaGraphNode_t node, cudaGraphNode_t *nodes, cudaGraphEdgeData *edges, size_t *count),
        node, nodes, edges, count)
RT_PASS(cudaGraphNodeGetDependentNodes, cuGraphNodeGetDependentNodes,
        (cudaGraphNode_t node, cudaGraphNode_t *nodes, cudaGraphEdgeData *edges, size_t *count),
        node, nodes, edges, count)
RT_PASS(cudaGraphAddDependencies, cuGraphAddDependencies,
        (cudaGraph_t graph, const cudaGraphNode_t *from, const cudaGraphNode_t *to,
         const cudaGraphEdgeData *edges, size_t count),
        graph, from, to, edges, count)
RT_PASS(cudaGraphRemoveDependencies, cuGraphRemoveDependencies,
        (cudaGraph_t graph, const cudaGraphNode_t *from, const cudaGraphNode_t *to,
         const cudaGraphEdgeData *edges, size_t count),
        graph, from, to, edges, count)
#else
RT_PASS(cudaGraphGetEdges, cuGraphGetEdges,
        (cudaGraph_t graph, cudaGraphNode_t *from, cudaGraphNode_t *to, size_t *count), graph, from,
        to, NULL, count)
RT_PASS(cudaGraphNodeGetDependencies, cuGraphNodeGetDependencies,
        (cudaGraphNode_t node, cudaGraphNode_t *nodes, size_t *count), node, nodes, NULL, count)
RT_PASS(cudaGraphNodeGetDependentNodes, cuGraphNodeGetDependentNodes,
        (cudaGraphNode_t node, cudaGraphNode_t *nodes, size_t *count), node, nodes, NULL, count)
RT_PASS(cudaGraphAddDependencies, cuGraphAddDependencies,
        (cudaGraph_t graph, const cudaGraphNode_t *from, const cudaGraphNode_t *to, size_t count),
        graph, from, to, NULL, count)
RT_PASS(cudaGraphRemoveDependencies, cuGraphRemoveDependencies,
        (cudaGraph_t graph, const cudaGraphNode_t *from, const cudaGraphNode_t *to, size_t count),
        graph, from, to, NULL, count)
RT_PASS(cudaGraphGetEdges_v2, cuGraphGetEdges,
        (cudaGraph_t graph, cudaGraphNode_t *from, cudaGraphNode_t *to, cudaGraphEdgeData *edges,
         size_t *count),
        graph, from, to, edges, count)
RT_PASS(cudaGraphNodeGetDependencies_v2, cuGraphNodeGetDependencies,
        (cudaGraphNode_t node, cudaGraphNode_t *nodes, cudaGraphEdgeData *edges, size_t *count),
        node, nodes, edges, count)
RT_PASS(cudaGraphNodeGetDependentNodes_v2, cuGraphNodeGetDependentNodes,
        (cudaGraphNode_t node, cudaGraphNode_t *nodes, cudaGraphEdgeData *edges, size_t *count),
        node, nodes, edges, count)
RT_PASS(cudaGraphAddDependencies_v2, cuGraphAddDependencies,
        (cudaGraph_t graph, const cudaGraphNode_t *from, const cudaGraphNode_t *to,
         const cudaGraphEdgeData *edges, size_t count),
        graph, from, to, edges, count)
RT_PASS(cudaGraphRemoveDependencies_v2, cuGraphRemoveDependencies,
        (cudaGraph_t graph, const cudaGraphNode_t *from, const cudaGraphNode_t *to,
         const cudaGraphEdgeData *edges, size_t count),
        graph, from, to, edges, count)
#endif
