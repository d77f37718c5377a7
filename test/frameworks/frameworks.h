/* The emulated frameworks: what each does with the driver when memory is short, and nothing else.
 * What they do was read in the source that each .c file names. */
#ifndef VRAMGUARD_TEST_FRAMEWORKS_H
#define VRAMGUARD_TEST_FRAMEWORKS_H

#include <stdbool.h>
#include <stddef.h>

#include "driver/cuda_abi.h"

/* PyTorch (libc10_cuda.so). `c10_malloc` returns NULL where PyTorch throws OutOfMemoryError. */
enum c10_backend {
    C10_NATIVE,
    C10_EXPANDABLE,
    C10_ASYNC,       /* before 2.14 */
    C10_ASYNC_TWICE, /* since */
    C10_UNCACHED,
    C10_PLUGGED
};

void *c10_malloc(enum c10_backend backend, size_t bytes);
void c10_free(void *block);
void c10_capture(bool underway); /* a CUDA graph is being captured: nothing may be freed */

/* Plugs an allocator in (torch.cuda.memory.CUDAPluggableAllocator), which C10_PLUGGED asks. */
typedef CUresult (*c10_plugged_malloc)(CUdeviceptr *address, size_t bytes);
typedef CUresult (*c10_plugged_free)(CUdeviceptr address);
void c10_plug(c10_plugged_malloc allocate, c10_plugged_free give_back);

/* A program's own allocator (libown_allocator.so) to be plugged in. */
CUresult own_malloc(CUdeviceptr *address, size_t bytes);
CUresult own_free(CUdeviceptr address);

/* XLA (xla_extension.so), ONNX Runtime (libonnxruntime.so), RMM (librmm.so): arenas that grow by a
 * region of at least `bytes`. Return how much they got, 0 nothing. */
size_t xla_extend(size_t wanted_bytes, size_t bytes);
size_t onnxruntime_extend(size_t bytes);
size_t rmm_expand(size_t wanted_bytes, size_t bytes);

/* llama.cpp (libggml-cuda.so): aborts when it gets nothing. */
void ggml_alloc(size_t bytes);

/* cuDNN's search for the fastest algorithm, above PyTorch's allocator (libcudnn_search.so): tries
 * every workspace size and takes failures for an answer. Returns how many it got. */
int cudnn_search(const size_t *bytes, int count);

#endif
