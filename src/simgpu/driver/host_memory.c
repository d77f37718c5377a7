/* Page-locked host memory ("CUDA Driver API", section "Memory Management"). It is the host's: it
 * counts nowhere as device memory, and its device pointer is the same address. */
#include <stdlib.h>

#include "capture.h"
#include "context.h"
#include "function_table.h"
#include "memory.h"
#include "range.h"
#include "state.h"

#define PAGE_BYTES      4096
#define SMALL_ALIGNMENT 512
#define ALLOC_FLAGS     0x7u
#define REGISTER_FLAGS  0xfu

static CUresult add_host_range(enum range_kind kind, struct context *context, void *base,
                               size_t bytes, unsigned int flags)
{
    struct range *range = calloc(1, sizeof(*range));
    if (range == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    range->kind = kind;
    range->base = (uint64_t)(uintptr_t)base;
    range->bytes = bytes;
    range->extent_bytes = bytes;
    range->serial = range_new_serial();
    range->context = context;
    range->flags = flags;
    range_add(range);
    return CUDA_SUCCESS;
}

CUresult sim_cuMemHostAlloc(void **base, size_t bytes, unsigned int flags)
{
    if (base == NULL || bytes == 0 || (flags & ~ALLOC_FLAGS) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS)
        result = capture_check_unsafe();
    if (result != CUDA_SUCCESS)
        return sim_unlock_with(result);
    void *memory;
    if (posix_memalign(&memory, bytes < PAGE_BYTES ? SMALL_ALIGNMENT : PAGE_BYTES, bytes) != 0)
        return sim_unlock_with(CUDA_ERROR_OUT_OF_MEMORY);
    result = add_host_range(RANGE_HOST, context, memory, bytes, flags | CU_MEMHOSTALLOC_DEVICEMAP);
    if (result == CUDA_SUCCESS)
        *base = memory;
    else
        free(memory);
    return sim_unlock_with(result);
}

CUresult sim_cuMemAllocHost_v2(void **base, size_t bytes)
{
    return sim_cuMemHostAlloc(base, bytes, 0);
}

CUresult sim_cuMemFreeHost(void *base)
{
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS)
        result = capture_check_unsafe();
    if (result != CUDA_SUCCESS)
        return sim_unlock_with(result);
    struct range *range = range_find_base((uint64_t)(uintptr_t)base, RANGE_HOST);
    if (range == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    range_remove(range);
    sim_unlock_all();
    free(range);
    free(base);
    return CUDA_SUCCESS;
}

CUresult sim_cuMemHostRegister_v2(void *base, size_t bytes, unsigned int flags)
{
    if (base == NULL || bytes == 0 || (flags & ~REGISTER_FLAGS) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS && range_overlaps((uint64_t)(uintptr_t)base, bytes))
        result = CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
    if (result == CUDA_SUCCESS)
        result = add_host_range(RANGE_REGISTERED, context, base, bytes,
                                flags | CU_MEMHOSTREGISTER_DEVICEMAP);
    return sim_unlock_with(result);
}

CUresult sim_cuMemHostRegister(void *base, size_t bytes, unsigned int flags)
{
    return sim_cuMemHostRegister_v2(base, bytes, flags);
}

CUresult sim_cuMemHostUnregister(void *base)
{
    if (base == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS)
        result = capture_check_unsafe();
    if (result != CUDA_SUCCESS)
        return sim_unlock_with(result);
    struct range *range = range_find_base((uint64_t)(uintptr_t)base, RANGE_REGISTERED);
    if (range == NULL)
        return sim_unlock_with(CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
    range_remove(range);
    free(range);
    return sim_unlock_with(CUDA_SUCCESS);
}

/* The page-locked range that contains `address`, or NULL. */
static const struct range *find_host(const void *address)
{
    const struct range *range = range_find((uint64_t)(uintptr_t)address);
    bool host = range != NULL && (range->kind == RANGE_HOST || range->kind == RANGE_REGISTERED);
    return host ? range : NULL;
}

CUresult sim_cuMemHostGetDevicePointer_v2(CUdeviceptr *device, void *address, unsigned int flags)
{
    if (device == NULL || address == NULL || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS && find_host(address) == NULL)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        *device = (CUdeviceptr)(uintptr_t)address;
    return sim_unlock_with(result);
}

CUresult sim_cuMemHostGetFlags(unsigned int *flags, void *address)
{
    if (flags == NULL || address == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    const struct range *range = find_host(address);
    if (result == CUDA_SUCCESS && range == NULL)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        *flags = range->flags;
    return sim_unlock_with(result);
}
