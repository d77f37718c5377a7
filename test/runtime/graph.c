/* Stream capture and graphs. */
#include <string.h>

#include "check.h"

int main(void)
{
    char in[64] = "captured";
    char out[64] = "";
    void *ptr = NULL;
    cudaStream_t stream = NULL;
    cudaGraph_t graph = NULL;
    cudaGraphExec_t exec = NULL;
    int status = -1;
    OK(cudaMalloc(&ptr, sizeof in));
    OK(cudaStreamCreate(&stream));
    OK(cudaStreamIsCapturing(stream, &status));
    CHECK(status == cudaStreamCaptureStatusNone);
    cudaError_t err = cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal);
    skip_unless_supported(err, "stream capture");
    OK(err);
    OK(cudaStreamIsCapturing(stream, &status));
    CHECK(status == cudaStreamCaptureStatusActive);
    OK(cudaMemcpyAsync(ptr, in, sizeof in, cudaMemcpyHostToDevice, stream));
    OK(cudaStreamEndCapture(stream, &graph));
    CHECK(graph);
    OK(cudaGraphInstantiate(&exec, graph, 0));
    strcpy(in, "at launch");
    OK(cudaGraphLaunch(exec, stream));
    OK(cudaStreamSynchronize(stream));
    OK(cudaMemcpy(out, ptr, sizeof out, cudaMemcpyDeviceToHost));
    CHECK(strcmp(out, "at launch") == 0);
    OK(cudaGraphExecDestroy(exec));
    OK(cudaGraphDestroy(graph));
    OK(cudaStreamDestroy(stream));
    OK(cudaFree(ptr));
    return 0;
}
