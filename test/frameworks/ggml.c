/* llama.cpp (ggml/src/ggml-cuda/ggml-cuda.cu, ggml_cuda_device_malloc under CUDA_CHECK): an error
 * ends the program. */
#include "frameworks.h"
#include "trace.h"

EXPORT void ggml_alloc(size_t bytes)
{
    CUdeviceptr address;
    if (traced_alloc(&address, bytes) == CUDA_SUCCESS)
        return;
    fflush(stdout);
    fprintf(stderr, "CUDA error: out of memory\n");
    abort();
}
