/* Wrappers that tell of the captures under way (driver/captures.h). */
#include "driver/captures.h"
#include "hook/wrappers.h"

#define DEFINE_COUNTED(symbol, parameters, arguments, note)                                        \
    CUresult symbol parameters                                                                     \
    {                                                                                              \
        const CUresult result = VG_PASS(symbol, arguments);                                        \
        note(result);                                                                              \
        return result;                                                                             \
    }

#define TO_GRAPH_PARAMETERS                                                                        \
    (CUstream stream, CUgraph graph, const CUgraphNode *nodes,                                     \
     const struct CUgraphEdgeData_st *edges, size_t count, CUstreamCaptureMode mode)
#define TO_GRAPH_ARGUMENTS (stream, graph, nodes, edges, count, mode)

DEFINE_COUNTED(cuStreamBeginCapture, (CUstream stream), (stream), vg_captures_begun)
DEFINE_COUNTED(cuStreamBeginCapture_ptsz, (CUstream stream), (stream), vg_captures_begun)
DEFINE_COUNTED(cuStreamBeginCapture_v2, (CUstream stream, CUstreamCaptureMode mode), (stream, mode),
               vg_captures_begun)
DEFINE_COUNTED(cuStreamBeginCapture_v2_ptsz, (CUstream stream, CUstreamCaptureMode mode),
               (stream, mode), vg_captures_begun)
DEFINE_COUNTED(cuStreamBeginCaptureToGraph, TO_GRAPH_PARAMETERS, TO_GRAPH_ARGUMENTS,
               vg_captures_begun)
DEFINE_COUNTED(cuStreamBeginCaptureToGraph_ptsz, TO_GRAPH_PARAMETERS, TO_GRAPH_ARGUMENTS,
               vg_captures_begun)
DEFINE_COUNTED(cuStreamEndCapture, (CUstream stream, CUgraph *graph), (stream, graph),
               vg_captures_ended)
DEFINE_COUNTED(cuStreamEndCapture_ptsz, (CUstream stream, CUgraph *graph), (stream, graph),
               vg_captures_ended)

/* What the program has set is asked for, and not read from its pointer: that may be any, as far as
 * the driver has not looked at it, and holds the mode before by now. */
CUresult cuThreadExchangeStreamCaptureMode(CUstreamCaptureMode *mode)
{
    const CUresult result = VG_PASS(cuThreadExchangeStreamCaptureMode, (mode));
    CUstreamCaptureMode now;
    if (result == CUDA_SUCCESS && vg_captures_live() && vg_driver_relax(&now) == 0) {
        vg_driver_restore(now);
        vg_captures_mode_set(now);
    }
    return result;
}
