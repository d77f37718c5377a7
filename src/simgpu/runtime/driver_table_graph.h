/* Rows of the driver table (see driver_table.h for their form) for code, stream capture and graphs:
 * "CUDA Driver API", sections "Library Management", "Execution Control", "Occupancy", "Stream
 * Management" and "Graph Management". */
#ifndef SIMGPU_CUDART_DRIVER_TABLE_GRAPH_H
#define SIMGPU_CUDART_DRIVER_TABLE_GRAPH_H

#include "driver_types.h"

#define DRIVER_TABLE_CODE(PLAIN, STREAM)                                                           \
    PLAIN(cuLibraryLoadData, "cuLibraryLoadData", 12000,                                           \
          (cudaLibrary_t * library, const void *code, int *jit_options, void **jit_values,         \
           unsigned int jit_count, int *options, void **values, unsigned int count))               \
    PLAIN(cuLibraryLoadFromFile, "cuLibraryLoadFromFile", 12000,                                   \
          (cudaLibrary_t * library, const char *file, int *jit_options, void **jit_values,         \
           unsigned int jit_count, int *options, void **values, unsigned int count))               \
    PLAIN(cuLibraryUnload, "cuLibraryUnload", 12000, (cudaLibrary_t library))                      \
    PLAIN(cuLibraryGetKernel, "cuLibraryGetKernel", 12000,                                         \
          (cudaKernel_t * kernel, cudaLibrary_t library, const char *name))                        \
    PLAIN(cuLibraryGetGlobal, "cuLibraryGetGlobal", 12000,                                         \
          (devptr * ptr, size_t * bytes, cudaLibrary_t library, const char *name))                 \
    PLAIN(cuLibraryGetManaged, "cuLibraryGetManaged", 12000,                                       \
          (devptr * ptr, size_t * bytes, cudaLibrary_t library, const char *name))                 \
    PLAIN(cuLibraryGetUnifiedFunction, "cuLibraryGetUnifiedFunction", 12000,                       \
          (void **fn, cudaLibrary_t library, const char *name))                                    \
    PLAIN(cuLibraryGetKernelCount, "cuLibraryGetKernelCount", 12040,                               \
          (unsigned int *count, cudaLibrary_t library))                                            \
    PLAIN(cuLibraryEnumerateKernels, "cuLibraryEnumerateKernels", 12040,                           \
          (cudaKernel_t * kernels, unsigned int count, cudaLibrary_t library))                     \
    PLAIN(cuKernelGetFunction, "cuKernelGetFunction", 12000,                                       \
          (cudaFunction_t * function, cudaKernel_t kernel))                                        \
    PLAIN(cuKernelGetAttribute, "cuKernelGetAttribute", 12000,                                     \
          (int *value, int attribute, cudaKernel_t kernel, CUdevice device))                       \
    PLAIN(cuKernelSetAttribute, "cuKernelSetAttribute", 12000,                                     \
          (int attribute, int value, cudaKernel_t kernel, CUdevice device))                        \
    PLAIN(cuKernelSetCacheConfig, "cuKernelSetCacheConfig", 12000,                                 \
          (cudaKernel_t kernel, int config, CUdevice device))                                      \
    PLAIN(cuKernelGetName, "cuKernelGetName", 12030, (const char **name, cudaKernel_t kernel))     \
    PLAIN(cuKernelGetParamInfo, "cuKernelGetParamInfo", 12040,                                     \
          (cudaKernel_t kernel, size_t index, size_t * offset, size_t * bytes))                    \
    PLAIN(cuFuncSetSharedMemConfig, "cuFuncSetSharedMemConfig", 4020,                              \
          (cudaFunction_t function, int config))                                                   \
    PLAIN(cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags,                                    \
          "cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags", 7000,                            \
          (int *blocks, cudaFunction_t function, int block_threads, size_t shared_bytes,           \
           unsigned int flags))                                                                    \
    PLAIN(cuOccupancyAvailableDynamicSMemPerBlock, "cuOccupancyAvailableDynamicSMemPerBlock",      \
          10020, (size_t * shared_bytes, cudaFunction_t function, int blocks, int block_threads))  \
    PLAIN(cuOccupancyMaxPotentialClusterSize, "cuOccupancyMaxPotentialClusterSize", 11070,         \
          (int *size, cudaFunction_t function, const struct driver_launch_config *config))         \
    PLAIN(cuOccupancyMaxActiveClusters, "cuOccupancyMaxActiveClusters", 11070,                     \
          (int *count, cudaFunction_t function, const struct driver_launch_config *config))        \
    STREAM(cuLaunchKernelEx, "cuLaunchKernelEx", 11060, 11060,                                     \
           (const struct driver_launch_config *config, cudaFunction_t function, void **args,       \
            void **extra))                                                                         \
    STREAM(cuLaunchCooperativeKernel, "cuLaunchCooperativeKernel", 9000, 9000,                     \
           (cudaFunction_t function, unsigned int grid_x, unsigned int grid_y,                     \
            unsigned int grid_z, unsigned int block_x, unsigned int block_y, unsigned int block_z, \
            unsigned int shared_bytes, cudaStream_t stream, void **args))                          \
    STREAM(cuLaunchKernel, "cuLaunchKernel", 4000, 7000,                                           \
           (cudaFunction_t function, unsigned int grid_x, unsigned int grid_y,                     \
            unsigned int grid_z, unsigned int block_x, unsigned int block_y, unsigned int block_z, \
            unsigned int shared_bytes, cudaStream_t stream, void **args, void **extra))

#define DRIVER_TABLE_GRAPH(PLAIN, STREAM)                                                          \
    STREAM(cuStreamBeginCapture, "cuStreamBeginCapture", 10010, 10010,                             \
           (cudaStream_t stream, int mode))                                                        \
    STREAM(cuStreamEndCapture, "cuStreamEndCapture", 10000, 10000,                                 \
           (cudaStream_t stream, cudaGraph_t * graph))                                             \
    STREAM(cuStreamIsCapturing, "cuStreamIsCapturing", 10000, 10000,                               \
           (cudaStream_t stream, int *status))                                                     \
    STREAM(cuStreamGetCaptureInfo, "cuStreamGetCaptureInfo", 12030, 12030,                         \
           (cudaStream_t stream, int *status, unsigned long long *id, cudaGraph_t *graph,          \
            const cudaGraphNode_t **dependencies, const cudaGraphEdgeData **edges, size_t *count)) \
    STREAM(cuStreamUpdateCaptureDependencies, "cuStreamUpdateCaptureDependencies", 12030, 12030,   \
           (cudaStream_t stream, cudaGraphNode_t * dependencies, const cudaGraphEdgeData *edges,   \
            size_t count, unsigned int flags))                                                     \
    PLAIN(cuThreadExchangeStreamCaptureMode, "cuThreadExchangeStreamCaptureMode", 10010,           \
          (int *mode))                                                                             \
    STREAM(cuStreamBeginCaptureToGraph, "cuStreamBeginCaptureToGraph", 12030, 12030,               \
           (cudaStream_t stream, cudaGraph_t graph, const cudaGraphNode_t *dependencies,           \
            const cudaGraphEdgeData *edges, size_t count, int mode))                               \
    PLAIN(cuGraphCreate, "cuGraphCreate", 10000, (cudaGraph_t * graph, unsigned int flags))        \
    PLAIN(cuGraphDestroy, "cuGraphDestroy", 10000, (cudaGraph_t graph))                            \
    PLAIN(cuGraphClone, "cuGraphClone", 10000, (cudaGraph_t * clone, cudaGraph_t graph))           \
    PLAIN(cuGraphDestroyNode, "cuGraphDestroyNode", 10000, (cudaGraphNode_t node))                 \
    PLAIN(cuGraphAddEmptyNode, "cuGraphAddEmptyNode", 10000,                                       \
          (cudaGraphNode_t * node, cudaGraph_t graph, const cudaGraphNode_t *dependencies,         \
           size_t count))                                                                          \
    PLAIN(cuGraphAddKernelNode, "cuGraphAddKernelNode", 12000,                                     \
          (cudaGraphNode_t * node, cudaGraph_t graph, const cudaGraphNode_t *dependencies,         \
           size_t count, const struct driver_kernel_node *params))                                 \
    PLAIN(cuGraphKernelNodeGetParams, "cuGraphKernelNodeGetParams", 12000,                         \
          (cudaGraphNode_t node, struct driver_kernel_node * params))                              \
    PLAIN(cuGraphKernelNodeSetParams, "cuGraphKernelNodeSetParams", 12000,                         \
          (cudaGraphNode_t node, const struct driver_kernel_node *params))                         \
    PLAIN(cuGraphExecKernelNodeSetParams, "cuGraphExecKernelNodeSetParams", 12000,                 \
          (cudaGraphExec_t exec, cudaGraphNode_t node, const struct driver_kernel_node *params))   \
    PLAIN(cuGraphKernelNodeCopyAttributes, "cuGraphKernelNodeCopyAttributes", 11000,               \
          (cudaGraphNode_t dst, cudaGraphNode_t src))                                              \
    PLAIN(cuGraphKernelNodeGetAttribute, "cuGraphKernelNodeGetAttribute", 11000,                   \
          (cudaGraphNode_t node, int attribute, cudaLaunchAttributeValue *value))                  \
    PLAIN(cuGraphKernelNodeSetAttribute, "cuGraphKernelNodeSetAttribute", 11000,                   \
          (cudaGraphNode_t node, int attribute, const cudaLaunchAttributeValue *value))            \
    PLAIN(cuGraphAddMemcpyNode, "cuGraphAddMemcpyNode", 10000,                                     \
          (cudaGraphNode_t * node, cudaGraph_t graph, const cudaGraphNode_t *dependencies,         \
           size_t count, const struct driver_copy_3d *copy, CUcontext context))                    \
    PLAIN(cuGraphMemcpyNodeSetParams, "cuGraphMemcpyNodeSetParams", 10000,                         \
          (cudaGraphNode_t node, const struct driver_copy_3d *copy))                               \
    PLAIN(cuGraphExecMemcpyNodeSetParams, "cuGraphExecMemcpyNodeSetParams", 10020,                 \
          (cudaGraphExec_t exec, cudaGraphNode_t node, const struct driver_copy_3d *copy,          \
           CUcontext context))                                                                     \
    PLAIN(cuGraphAddMemsetNode, "cuGraphAddMemsetNode", 10000,                                     \
          (cudaGraphNode_t * node, cudaGraph_t graph, const cudaGraphNode_t *dependencies,         \
           size_t count, const struct driver_memset_node *params, CUcontext context))              \
    PLAIN(cuGraphMemsetNodeGetParams, "cuGraphMemsetNodeGetParams", 10000,                         \
          (cudaGraphNode_t node, struct driver_memset_node * params))                              \
    PLAIN(cuGraphMemsetNodeSetParams, "cuGraphMemsetNodeSetParams", 10000,                         \
          (cudaGraphNode_t node, const struct driver_memset_node *params))                         \
    PLAIN(cuGraphExecMemsetNodeSetParams, "cuGraphExecMemsetNodeSetParams", 10020,                 \
          (cudaGraphExec_t exec, cudaGraphNode_t node, const struct driver_memset_node *params,    \
           CUcontext context))                                                                     \
    PLAIN(cuGraphAddHostNode, "cuGraphAddHostNode", 10000,                                         \
          (cudaGraphNode_t * node, cudaGraph_t graph, const cudaGraphNode_t *dependencies,         \
           size_t count, const struct cudaHostNodeParams *params))                                 \
    PLAIN(cuGraphHostNodeGetParams, "cuGraphHostNodeGetParams", 10000,                             \
          (cudaGraphNode_t node, struct cudaHostNodeParams * params))                              \
    PLAIN(cuGraphHostNodeSetParams, "cuGraphHostNodeSetParams", 10000,                             \
          (cudaGraphNode_t node, const struct cudaHostNodeParams *params))                         \
    PLAIN(cuGraphExecHostNodeSetParams, "cuGraphExecHostNodeSetParams", 10020,                     \
          (cudaGraphExec_t exec, cudaGraphNode_t node, const struct cudaHostNodeParams *params))   \
    PLAIN(cuGraphAddChildGraphNode, "cuGraphAddChildGraphNode", 10000,                             \
          (cudaGraphNode_t * node, cudaGraph_t graph, const cudaGraphNode_t *dependencies,         \
           size_t count, cudaGraph_t child))                                                       \
    PLAIN(cuGraphChildGraphNodeGetGraph, "cuGraphChildGraphNodeGetGraph", 10000,                   \
          (cudaGraphNode_t node, cudaGraph_t * graph))                                             \
    PLAIN(cuGraphExecChildGraphNodeSetParams, "cuGraphExecChildGraphNodeSetParams", 11010,         \
          (cudaGraphExec_t exec, cudaGraphNode_t node, cudaGraph_t child))                         \
    PLAIN(cuGraphAddEventRecordNode, "cuGraphAddEventRecordNode", 11010,                           \
          (cudaGraphNode_t * node, cudaGraph_t graph, const cudaGraphNode_t *dependencies,         \
           size_t count, cudaEvent_t event))                                                       \
    PLAIN(cuGraphEventRecordNodeGetEvent, "cuGraphEventRecordNodeGetEvent", 11010,                 \
          (cudaGraphNode_t node, cudaEvent_t * event))                                             \
    PLAIN(cuGraphEventRecordNodeSetEvent, "cuGraphEventRecordNodeSetEvent", 11010,                 \
          (cudaGraphNode_t node, cudaEvent_t event))                                               \
    PLAIN(cuGraphExecEventRecordNodeSetEvent, "cuGraphExecEventRecordNodeSetEvent", 11010,         \
          (cudaGraphExec_t exec, cudaGraphNode_t node, cudaEvent_t event))                         \
    PLAIN(cuGraphAddEventWaitNode, "cuGraphAddEventWaitNode", 11010,                               \
          (cudaGraphNode_t * node, cudaGraph_t graph, const cudaGraphNode_t *dependencies,         \
           size_t count, cudaEvent_t event))                                                       \
    PLAIN(cuGraphEventWaitNodeGetEvent, "cuGraphEventWaitNodeGetEvent", 11010,                     \
          (cudaGraphNode_t node, cudaEvent_t * event))                                             \
    PLAIN(cuGraphEventWaitNodeSetEvent, "cuGraphEventWaitNodeSetEvent", 11010,                     \
          (cudaGraphNode_t node, cudaEvent_t event))                                               \
    PLAIN(cuGraphExecEventWaitNodeSetEvent, "cuGraphExecEventWaitNodeSetEvent", 11010,             \
          (cudaGraphExec_t exec, cudaGraphNode_t node, cudaEvent_t event))                         \
    PLAIN(cuGraphAddMemAllocNode, "cuGraphAddMemAllocNode", 11040,                                 \
          (cudaGraphNode_t * node, cudaGraph_t graph, const cudaGraphNode_t *dependencies,         \
           size_t count, struct cudaMemAllocNodeParams *params))                                   \
    PLAIN(cuGraphMemAllocNodeGetParams, "cuGraphMemAllocNodeGetParams", 11040,                     \
          (cudaGraphNode_t node, struct cudaMemAllocNodeParams * params))                          \
    PLAIN(cuGraphAddMemFreeNode, "cuGraphAddMemFreeNode", 11040,                                   \
          (cudaGraphNode_t * node, cudaGraph_t graph, const cudaGraphNode_t *dependencies,         \
           size_t count, devptr ptr))                                                              \
    PLAIN(cuGraphMemFreeNodeGetParams, "cuGraphMemFreeNodeGetParams", 11040,                       \
          (cudaGraphNode_t node, devptr * ptr))                                                    \
    PLAIN(cuDeviceGraphMemTrim, "cuDeviceGraphMemTrim", 11040, (CUdevice device))                  \
    PLAIN(cuDeviceGetGraphMemAttribute, "cuDeviceGetGraphMemAttribute", 11040,                     \
          (CUdevice device, int attribute, void *value))                                           \
    PLAIN(cuDeviceSetGraphMemAttribute, "cuDeviceSetGraphMemAttribute", 11040,                     \
          (CUdevice device, int attribute, void *value))                                           \
    PLAIN(cuGraphNodeFindInClone, "cuGraphNodeFindInClone", 10000,                                 \
          (cudaGraphNode_t * node, cudaGraphNode_t original, cudaGraph_t clone))                   \
    PLAIN(cuGraphNodeGetType, "cuGraphNodeGetType", 10000, (cudaGraphNode_t node, int *type))      \
    PLAIN(cuGraphGetNodes, "cuGraphGetNodes", 10000,                                               \
          (cudaGraph_t graph, cudaGraphNode_t * nodes, size_t * count))                            \
    PLAIN(cuGraphGetRootNodes, "cuGraphGetRootNodes", 10000,                                       \
          (cudaGraph_t graph, cudaGraphNode_t * nodes, size_t * count))                            \
    PLAIN(cuGraphGetEdges, "cuGraphGetEdges", 12030,                                               \
          (cudaGraph_t graph, cudaGraphNode_t * from, cudaGraphNode_t * to,                        \
           cudaGraphEdgeData * edges, size_t * count))                                             \
    PLAIN(cuGraphNodeGetDependencies, "cuGraphNodeGetDependencies", 12030,                         \
          (cudaGraphNode_t node, cudaGraphNode_t * nodes, cudaGraphEdgeData * edges,               \
           size_t * count))                                                                        \
    PLAIN(cuGraphNodeGetDependentNodes, "cuGraphNodeGetDependentNodes", 12030,                     \
          (cudaGraphNode_t node, cudaGraphNode_t * nodes, cudaGraphEdgeData * edges,               \
           size_t * count))                                                                        \
    PLAIN(cuGraphAddDependencies, "cuGraphAddDependencies", 12030,                                 \
          (cudaGraph_t graph, const cudaGraphNode_t *from, const cudaGraphNode_t *to,              \
           const cudaGraphEdgeData *edges, size_t count))                                          \
    PLAIN(cuGraphRemoveDependencies, "cuGraphRemoveDependencies", 12030,                           \
          (cudaGraph_t graph, const cudaGraphNode_t *from, const cudaGraphNode_t *to,              \
           const cudaGraphEdgeData *edges, size_t count))                                          \
    PLAIN(cuGraphNodeSetEnabled, "cuGraphNodeSetEnabled", 11060,                                   \
          (cudaGraphExec_t exec, cudaGraphNode_t node, unsigned int enabled))                      \
    PLAIN(cuGraphNodeGetEnabled, "cuGraphNodeGetEnabled", 11060,                                   \
          (cudaGraphExec_t exec, cudaGraphNode_t node, unsigned int *enabled))                     \
    PLAIN(cuGraphInstantiateWithFlags, "cuGraphInstantiateWithFlags", 11040,                       \
          (cudaGraphExec_t * exec, cudaGraph_t graph, unsigned long long flags))                   \
    STREAM(cuGraphInstantiateWithParams, "cuGraphInstantiateWithParams", 12000, 12000,             \
           (cudaGraphExec_t * exec, cudaGraph_t graph, cudaGraphInstantiateParams * params))       \
    PLAIN(cuGraphExecGetFlags, "cuGraphExecGetFlags", 12000,                                       \
          (cudaGraphExec_t exec, unsigned long long *flags))                                       \
    PLAIN(cuGraphExecUpdate, "cuGraphExecUpdate", 12000,                                           \
          (cudaGraphExec_t exec, cudaGraph_t graph, cudaGraphExecUpdateResultInfo * result))       \
    PLAIN(cuGraphExecDestroy, "cuGraphExecDestroy", 10000, (cudaGraphExec_t exec))                 \
    STREAM(cuGraphUpload, "cuGraphUpload", 11010, 11010,                                           \
           (cudaGraphExec_t exec, cudaStream_t stream))                                            \
    STREAM(cuGraphLaunch, "cuGraphLaunch", 10000, 10000,                                           \
           (cudaGraphExec_t exec, cudaStream_t stream))                                            \
    PLAIN(cuGraphDebugDotPrint, "cuGraphDebugDotPrint", 11030,                                     \
          (cudaGraph_t graph, const char *path, unsigned int flags))                               \
    PLAIN(cuUserObjectCreate, "cuUserObjectCreate", 11030,                                         \
          (cudaUserObject_t * object, void *data, cudaHostFn_t destroy, unsigned int references,   \
           unsigned int flags))                                                                    \
    PLAIN(cuUserObjectRetain, "cuUserObjectRetain", 11030,                                         \
          (cudaUserObject_t object, unsigned int count))                                           \
    PLAIN(cuUserObjectRelease, "cuUserObjectRelease", 11030,                                       \
          (cudaUserObject_t object, unsigned int count))                                           \
    PLAIN(cuGraphRetainUserObject, "cuGraphRetainUserObject", 11030,                               \
          (cudaGraph_t graph, cudaUserObject_t object, unsigned int count, unsigned int flags))    \
    PLAIN(cuGraphReleaseUserObject, "cuGraphReleaseUserObject", 11030,                             \
          (cudaGraph_t graph, cudaUserObject_t object, unsigned int count))

#endif
