/* Stream capture. The forms with edge data have the unsuffixed names in version 13; version 12
 * keeps its older forms, which are version 11's, under those names and adds suffixed ones. */
#include "cudart_errors.h"
#include "runtime.h"

RT_PASS_PTSZ(cudaStreamBeginCapture, cuStreamBeginCapture, (cudaStream_t stream, int mode), stream,
             mode)
RT_PASS_PTSZ(cudaStreamBeginCaptureToGraph, cuStreamBeginCaptureToGraph,
             (cudaStream_t stream, cudaGraph_t graph, const cudaGraphNode_t *dependencies,
              const cudaGraphEdgeData *edges, size_t count, int mode),
             stream, graph, dependencies, edges, count, mode)
RT_PASS_PTSZ(cudaStreamEndCapture, cuStreamEndCapture, (cudaStream_t stream, cudaGraph_t *graph),
             stream, graph)
RT_PASS_PTSZ(cudaStreamIsCapturing, cuStreamIsCapturing, (cudaStream_t stream, int *status), stream,
             status)
RT_PASS(cudaThreadExchangeStreamCaptureMode, cuThreadExchangeStreamCaptureMode, (int *mode), mode)

#define CAPTURE_INFO(name)                                                                         \
    RT_PASS_PTSZ(name, cuStreamGetCaptureInfo,                                                     \
                 (cudaStream_t stream, int *status, unsigned long long *id, cudaGraph_t *graph,    \
                  const cudaGraphNode_t **dependencies, const cudaGraphEdgeData **edges,           \
                  size_t *count),                                                                  \
                 stream, status, id, graph, dependencies, edges, count)
#define UPDATE_DEPENDENCIES(name)                                                                  \
    RT_PASS_PTSZ(name, cuStreamUpdateCaptureDependencies,                                          \
                 (cudaStream_t stream, cudaGraphNode_t * dependencies,                             \
                  const cudaGraphEdgeData *edges, size_t count, unsigned int flags),               \
                 stream, dependencies, edges, count, flags)

#if CUDART_MAJOR >= 13
CAPTURE_INFO(cudaStreamGetCaptureInfo)
UPDATE_DEPENDENCIES(cudaStreamUpdateCaptureDependencies)
#else
RT_PASS_PTSZ(cudaStreamGetCaptureInfo, cuStreamGetCaptureInfo,
             (cudaStream_t stream, int *status, unsigned long long *id), stream, status, id, NULL,
             NULL, NULL, NULL)
RT_PASS_PTSZ(cudaStreamGetCaptureInfo_v2, cuStreamGetCaptureInfo,
             (cudaStream_t stream, int *status, unsigned long long *id, cudaGraph_t *graph,
              const cudaGraphNode_t **dependencies, size_t *count),
             stream, status, id, graph, dependencies, NULL, count)
CAPTURE_INFO(cudaStreamGetCaptureInfo_v3)
RT_PASS_PTSZ(cudaStreamUpdateCaptureDependencies, cuStreamUpdateCaptureDependencies,
             (cudaStream_t stream, cudaGraphNode_t *dependencies, size_t count, unsigned int flags),
             stream, dependencies, NULL, count, flags)
UPDATE_DEPENDENCIES(cudaStreamUpdateCaptureDependencies_v2)
#endif
