/* The part of the CUDA driver's binary interface that vramguard depends on, declared by hand so
 * that no toolkit is needed to build. Names, values and layouts are those of the "CUDA Driver API"
 * reference manual (sections "Data types used by CUDA driver" and "Memory Management").
 * test/abi compares every line with a real cuda.h wherever a toolkit is installed.
 *
 * Enumerations are plain ints here: a driver newer than this header returns values that are not in
 * our list, and an int may hold them. */
#ifndef VRAMGUARD_DRIVER_CUDA_ABI_H
#define VRAMGUARD_DRIVER_CUDA_ABI_H

#include <stddef.h>
#include <stdint.h>

typedef int CUresult;
typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef unsigned int CUdeviceptr_v1; /* before CUDA 3.2: device addresses had 32 bits */
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
typedef struct CUmemPoolHandle_st *CUmemoryPool;
typedef uint64_t cuuint64_t;

typedef struct CUuuid_st {
    char bytes[16];
} CUuuid;

enum {
    CUDA_SUCCESS = 0,
    CUDA_ERROR_INVALID_VALUE = 1,
    CUDA_ERROR_OUT_OF_MEMORY = 2,
    CUDA_ERROR_NOT_INITIALIZED = 3,
    CUDA_ERROR_DEINITIALIZED = 4,
    CUDA_ERROR_NO_DEVICE = 100,
    CUDA_ERROR_INVALID_DEVICE = 101,
    CUDA_ERROR_INVALID_CONTEXT = 201,
    CUDA_ERROR_NOT_FOUND = 500,
    CUDA_ERROR_NOT_SUPPORTED = 801,
};

enum { CU_GET_PROC_ADDRESS_DEFAULT = 0, CU_GET_PROC_ADDRESS_PER_THREAD_DEFAULT_STREAM = 2 };

typedef int CUdriverProcAddressQueryResult;

#endif
