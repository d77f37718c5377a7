/* Stream capture and graphs. */
#include <stdatomic.h>
#include <string.h>

#include "check.h"
#include "registration.h"

cudaError_t cudaGraphDestroyNode(cudaGraphNode_t node);
cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count);
cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, int *type);
cudaError_t cudaGraphAddHostNode(cudaGraphNode_t *node, cudaGraph_t graph,
                                 const cudaGraphNode_t *dependencies, size_t count,
                                 const struct cudaHostNodeParams *params);
#if CUDART_MAJOR < 12
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph,
                                cudaGraphNode_t *error_node, int *result);
#else
cudaError_t cudaGraphExecUpdate(cudaGraphExec_t exec, cudaGraph_t graph,
                                cudaGraphExecUpdateResultInfo *result);
#endif
#if CUDART_MAJOR >= 13
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, int *status, unsigned long long *id,
                                     cudaGraph_t *graph, const cudaGraphNode_t **dependencies,
                                     const cudaGraphEdgeData **edges, size_t *count);
cudaError_t cudaGraphNodeGetDependencies(cudaGraphNode_t node, cudaGraphNode_t *nodes,
                                         cudaGraphEdgeData *edges, size_t *count);
#else
cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, int *status, unsigned long long *id);
cudaError_t cudaStreamGetCaptureInfo_v2(cudaStream_t stream, int *status, unsigned long long *id,
                                        cudaGraph_t *graph, const cudaGraphNode_t **dependencies,
                                        size_t *count);
cudaError_t cudaGraphNodeGetDependencies(cudaGraphNode_t node, cudaGraphNode_t *nodes,
                                         size_t *count);
#endif

enum { KERNEL_NODE = 0, MEMCPY_NODE = 1, MEMSET_NODE = 2, HOST_NODE = 3 };

static cudaError_t instantiate(cudaGraphExec_t *exec, cudaGraph_t graph)
{
#if CUDART_MAJOR >= 12
    return cudaGraphInstantiate(exec, graph, 0);
#else
    char log[2] = "x";
    cudaGraphNode_t node = (cudaGraphNode_t)(void *)log;
    cudaError_t err = cudaGraphInstantiate(exec, graph, &node, log, sizeof log);
    CHECK(node == NULL && log[0] == '\0');
    return err;
#endif
}

/* What came of an update: a cudaGraphExecUpdateResult, 0 for success. */
static int update(cudaGraphExec_t exec, cudaGraph_t graph, cudaError_t expected)
{
#if CUDART_MAJOR >= 12
    cudaGraphExecUpdateResultInfo info = { -1, NULL, NULL };
    FAILS(expected, cudaGraphExecUpdate(exec, graph, &info));
    return info.result;
#else
    int result = -1;
    cudaGraphNode_t node = NULL;
    FAILS(expected, cudaGraphExecUpdate(exec, graph, &node, &result));
    return result;
#endif
}

static atomic_int called;

static void on_host(void *data)
{
    atomic_fetch_add(&called, *(int *)data);
}

static void check_capture_info(cudaStream_t stream, int expected_status)
{
    int status = -1;
    unsigned long long id = 0;
    cudaGraph_t graph = NULL;
    const cudaGraphNode_t *dependencies = NULL;
    size_t count = 99;
#if CUDART_MAJOR >= 13
    OK(cudaStreamGetCaptureInfo(stream, &status, &id, &graph, &dependencies, NULL, &count));
#else
    OK(cudaStreamGetCaptureInfo(stream, &status, &id));
    CHECK(status == expected_status);
    OK(cudaStreamGetCaptureInfo_v2(stream, &status, &id, &graph, &dependencies, &count));
#endif
    CHECK(status == expected_status);
    if (status == cudaStreamCaptureStatusActive)
        CHECK(id != 0 && graph && count == 1 && dependencies && dependencies[0]);
}

static void test_capture(char *ptr)
{
    char in[64] = "at capture";
    char out[64] = "";
    cudaStream_t stream = NULL;
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    int status = -1;
    OK(cudaStreamCreate(&stream));
    OK(cudaStreamIsCapturing(stream, &status));
    CHECK(status == cudaStreamCaptureStatusNone);
    check_capture_info(stream, cudaStreamCaptureStatusNone);
    cudaError_t err = cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
    skip_unless_supported(err, "stream capture");
    OK(err);
    OK(cudaStreamIsCapturing(stream, &status));
    CHECK(status == cudaStreamCaptureStatusActive);
    OK(cudaMemcpyAsync(ptr, in, sizeof in, cudaMemcpyHostToDevice, stream));
    check_capture_info(stream, cudaStreamCaptureStatusActive);
    FAILS(cudaErrorStreamCaptureUnsupported, cudaStreamSynchronize(stream));
    FAILS(cudaErrorStreamCaptureInvalidated, cudaStreamEndCapture(stream, &graph));
    (void)cudaGetLastError();

    OK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    OK(cudaMemcpyAsync(ptr, in, sizeof in, cudaMemcpyHostToDevice, stream));
    OK(cudaStreamEndCapture(stream, &graph));
    OK(instantiate(&exec, graph));
    strcpy(in, "at launch");
    OK(cudaGraphLaunch(exec, stream));
    OK(cudaStreamSynchronize(stream));
    OK(cudaMemcpy(out, ptr, sizeof out, cudaMemcpyDeviceToHost));
    CHECK(strcmp(out, "at launch") == 0);
    OK(cudaGraphExecDestroy(exec));
    OK(cudaGraphDestroy(graph));
    OK(cudaStreamDestroy(stream));
}

/* A graph built by hand, in a row: set, copy back, call, and a kernel that does nothing. */
static void test_nodes(char *ptr, const void *function)
{
    char out[8] = "";
    int hundred = 100;
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    cudaGraphNode_t nodes[4] = { NULL };
    cudaGraphNode_t before = NULL;
    size_t count = 1;
    struct cudaMemsetParams set = {
        .dst = ptr, .pitch = 8, .value = 'x', .elementSize = 1, .width = 8, .height = 1
    };
    struct cudaHostNodeParams host = { on_host, &hundred };
    struct cudaKernelNodeParams kernel = { .func = (void *)(size_t)function,
                                           .gridDim = { 2, 1, 1 },
                                           .blockDim = { 32, 1, 1 } };
    OK(cudaGraphCreate(&graph, 0));
    OK(cudaGraphAddMemsetNode(&nodes[0], graph, NULL, 0, &set));
    OK(cudaGraphAddMemcpyNode1D(&nodes[1], graph, nodes, 1, out, ptr, 8, cudaMemcpyDeviceToHost));
    OK(cudaGraphAddHostNode(&nodes[2], graph, nodes + 1, 1, &host));
    OK(cudaGraphAddKernelNode(&nodes[3], graph, nodes + 2, 1, &kernel));
    FAILS(cudaErrorInvalidValue, cudaGraphAddKernelNode(&before, graph, NULL, 0, NULL));
    kernel.func = &hundred;
    FAILS(cudaErrorInvalidDeviceFunction, cudaGraphAddKernelNode(&before, graph, NULL, 0, &kernel));
    (void)cudaGetLastError();

    const int types[] = { MEMSET_NODE, MEMCPY_NODE, HOST_NODE, KERNEL_NODE };
    for (int i = 0; i < 4; i++) {
        int type = -1;
        OK(cudaGraphNodeGetType(nodes[i], &type));
        CHECK(type == types[i]);
    }
#if CUDART_MAJOR >= 13
    OK(cudaGraphNodeGetDependencies(nodes[2], &before, NULL, &count));
#else
    OK(cudaGraphNodeGetDependencies(nodes[2], &before, &count));
#endif
    CHECK(count == 1 && before == nodes[1]);
    OK(cudaGraphGetNodes(graph, NULL, &count));
    CHECK(count == 4);
    OK(cudaGraphKernelNodeGetParams(nodes[3], &kernel));
    CHECK(kernel.gridDim.x == 2 && kernel.blockDim.x == 32);
    OK(cudaGraphKernelNodeSetParams(nodes[3], &kernel)); /* a handle does for a host function */

    OK(instantiate(&exec, graph));
    OK(cudaGraphLaunch(exec, NULL));
    OK(cudaGraphLaunch(exec, NULL));
    OK(cudaDeviceSynchronize());
    CHECK(memcmp(out, "xxxxxxxx", 8) == 0);
    CHECK(atomic_load(&called) == 200);
    CHECK(update(exec, graph, cudaSuccess) == 0);
    OK(cudaGraphDestroyNode(nodes[3]));
    CHECK(update(exec, graph, cudaErrorGraphExecUpdateFailure) != 0);
    (void)cudaGetLastError();
    OK(cudaGraphExecDestroy(exec));
    OK(cudaGraphDestroy(graph));
}

int main(void)
{
    static char function; /* only its address matters */
    static const struct {
        int magic, version;
        const void *data;
        void *unused;
    } image = { 0x466243b1, 1, &function, NULL };
    void *ptr = NULL;
    void **handle = __cudaRegisterFatBinary((void *)(size_t)&image);
    __cudaRegisterFunction(handle, &function, &function, "kernel", -1, NULL, NULL, NULL, NULL,
                           NULL);
    __cudaRegisterFatBinaryEnd(handle);
    OK(cudaMalloc(&ptr, 64));
    test_capture(ptr);
    test_nodes(ptr, &function);
    OK(cudaFree(ptr));
    __cudaUnregisterFatBinary(handle);
    return 0;
}
