/* Drivers that our function table does not fit, both libcuda.so.1. Without NEWER: one of long ago,
 * with a handful of functions and no cuGetProcAddress. With NEWER: one of the future, whose
 * cuGetProcAddress answers with other addresses than its symbols have, and has newer versions. */
#include <dlfcn.h>
#include <string.h>

#include "simgpu/abi.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT CUresult cuInit(unsigned flags);
EXPORT CUresult cuDeviceGetCount(int *count);
EXPORT CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes);
EXPORT CUresult cuMemFree_v2(CUdeviceptr address);
EXPORT int cuFindsItself(void);

static CUdeviceptr next_address = 0x200000000;

CUresult cuInit(unsigned flags)
{
    return flags ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}

CUresult cuDeviceGetCount(int *count)
{
    *count = 1;
    return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
    if (bytes > 1 << 30)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *address = next_address;
    next_address += bytes;
    return CUDA_SUCCESS;
}

CUresult cuMemFree_v2(CUdeviceptr address)
{
    return address < next_address ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

/* A driver may look its own functions up by name. */
int cuFindsItself(void)
{
    void *const self = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_NOLOAD);
    void *volatile found = dlsym(self, "cuMemAlloc_v2");
    return found == (void *)(uintptr_t)cuMemAlloc_v2;
}

#ifdef NEWER
EXPORT CUresult cuCtxGetDevice(CUdevice *device);
EXPORT CUresult cuMemAlloc_v3(CUdeviceptr *address, size_t bytes, unsigned colour);
EXPORT CUresult cuMemAllocTelepathic(CUdeviceptr *address);
EXPORT CUresult cuGetProcAddress(const char *name, void **function, int version, cuuint64_t flags);
EXPORT CUresult cuGetProcAddress_v2(const char *name, void **function, int version,
                                    cuuint64_t flags, CUdriverProcAddressQueryResult *status);

CUresult cuCtxGetDevice(CUdevice *device)
{
    *device = 0;
    return CUDA_SUCCESS;
}

CUresult cuMemAlloc_v3(CUdeviceptr *address, size_t bytes, unsigned colour)
{
    return colour ? cuMemAlloc_v2(address, bytes) : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemAllocTelepathic(CUdeviceptr *address)
{
    return cuMemAlloc_v2(address, 4096);
}

/* What cuGetProcAddress hands out in place of the symbols. */
static CUresult inner_alloc(CUdeviceptr *address, size_t bytes)
{
    return cuMemAlloc_v2(address, bytes);
}

static CUresult inner_free(CUdeviceptr address)
{
    return cuMemFree_v2(address);
}

#define ADDRESS(function) (void *)(uintptr_t)(function)

CUresult cuGetProcAddress_v2(const char *name, void **function, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *status)
{
    (void)flags;
    *function = NULL;
    if (strcmp(name, "cuMemAlloc") == 0)
        *function = version >= 14000 ? ADDRESS(cuMemAlloc_v3) : ADDRESS(inner_alloc);
    else if (strcmp(name, "cuMemFree") == 0)
        *function = ADDRESS(inner_free);
    else if (strcmp(name, "cuMemAllocTelepathic") == 0)
        *function = ADDRESS(cuMemAllocTelepathic);
    if (status)
        *status = *function ? CU_GET_PROC_ADDRESS_SUCCESS : CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND;
    return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

CUresult cuGetProcAddress(const char *name, void **function, int version, cuuint64_t flags)
{
    return cuGetProcAddress_v2(name, function, version, flags, NULL);
}
#endif
