/* An allocator for torch.cuda.memory.CUDAPluggableAllocator: each block is a call of the runtime.
 */
#include <stddef.h>
#include <sys/types.h>

int cudaMalloc(void **address, size_t bytes); /* CUDA Runtime API, "Memory Management" */
int cudaFree(void *address);

/* Called by PyTorch by their names (CUDAPluggableAllocator.cpp). */
#define EXPORT __attribute__((visibility("default")))
EXPORT void *plug_in_malloc(ssize_t bytes, int device, void *stream);
EXPORT void plug_in_free(void *address, ssize_t bytes, int device, void *stream);

void *plug_in_malloc(ssize_t bytes, int device, void *stream)
{
    void *address = NULL;
    (void)device;
    (void)stream;
    return cudaMalloc(&address, (size_t)bytes) == 0 ? address : NULL;
}

void plug_in_free(void *address, ssize_t bytes, int device, void *stream)
{
    (void)bytes;
    (void)device;
    (void)stream;
    cudaFree(address);
}
