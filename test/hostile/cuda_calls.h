/* The few driver functions that the hostile programs call, declared by hand. */
#ifndef VRAMGUARD_TEST_HOSTILE_CUDA_CALLS_H
#define VRAMGUARD_TEST_HOSTILE_CUDA_CALLS_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver/cuda_abi.h"

CUresult cuInit(unsigned int flags);
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device);
CUresult cuCtxSetCurrent(CUcontext context);
CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes);
CUresult cuMemFree_v2(CUdeviceptr address);
CUresult cuDeviceGetDefaultMemPool(CUmemoryPool *pool, CUdevice device);
CUresult cuMemPoolSetAttribute(CUmemoryPool pool, CUmemPool_attribute attribute, void *value);
CUresult cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream stream);
CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream);
CUresult cuStreamSynchronize(CUstream stream);

/* A wrong step ends the program with 70 and one line on stdout, which the tests show. */
#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                       \
            fflush(stdout);                                                                        \
            _exit(70);                                                                             \
        }                                                                                          \
    } while (0)

/* Makes the first device's context current in this thread. */
static inline void use_gpu(void)
{
    CUcontext context;
    MUST(cuInit(0) == CUDA_SUCCESS);
    MUST(cuDevicePrimaryCtxRetain(&context, 0) == CUDA_SUCCESS);
    MUST(cuCtxSetCurrent(context) == CUDA_SUCCESS);
}

static inline CUdeviceptr take(size_t bytes)
{
    CUdeviceptr address = 0;
    MUST(cuMemAlloc_v2(&address, bytes) == CUDA_SUCCESS);
    MUST(address != 0);
    return address;
}

/* Asks for more than any simulated device of the tests has. */
static inline void fail_once(void)
{
    CUdeviceptr address = 77;
    MUST(cuMemAlloc_v2(&address, (size_t)1 << 40) == CUDA_ERROR_OUT_OF_MEMORY);
    MUST(address == 77);
}

#endif
