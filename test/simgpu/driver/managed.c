/* Hints about managed memory ("CUDA Driver API", sections "Memory Management" and "Unified
 * Addressing"). Pages do not move, so hints are checked and accepted, and the attributes answer
 * that none was given. */
#include <string.h>

#include "context.h"
#include "function_table.h"
#include "memory.h"
#include "state.h"
#include "stream.h"

#define LAST_ADVICE    6
#define FIRST_LOCATION 2 /* CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION */
#define ACCESSED_BY    3
#define LAST_ATTRIBUTE 8
#define DEVICE_INVALID (-2)

static bool is_location(const CUmemLocation *location)
{
    switch (location->type) {
    case CU_MEM_LOCATION_TYPE_DEVICE: return location->id >= 0 && location->id < sim_device_count;
    case CU_MEM_LOCATION_TYPE_HOST:
    case CU_MEM_LOCATION_TYPE_HOST_NUMA:
    case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT: return true;
    default: return false;
    }
}

static CUmemLocation location_of(CUdevice device)
{
    if (device == CU_DEVICE_CPU)
        return (CUmemLocation){ CU_MEM_LOCATION_TYPE_HOST, 0 };
    return (CUmemLocation){ CU_MEM_LOCATION_TYPE_DEVICE, device };
}

/* CUDA_SUCCESS if all `bytes` at `address` are managed. Called with sim_lock held. */
static CUresult check_managed(CUdeviceptr address, size_t bytes)
{
    const struct range *range = range_find(address);
    if (bytes == 0 || range == NULL || range->kind != RANGE_MANAGED ||
        bytes > range->extent_bytes - (address - range->base))
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

CUresult sim_cuMemAdvise_v2(CUdeviceptr address, size_t bytes, CUmem_advise advice,
                            CUmemLocation location)
{
    if (advice < 1 || advice > LAST_ADVICE)
        return CUDA_ERROR_INVALID_VALUE;
    bool wants_location = advice != CU_MEM_ADVISE_SET_READ_MOSTLY &&
                          advice != CU_MEM_ADVISE_UNSET_READ_MOSTLY &&
                          advice != CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION;
    if (wants_location && !is_location(&location))
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock_all();
    return sim_unlock_with(check_managed(address, bytes));
}

CUresult sim_cuMemAdvise(CUdeviceptr address, size_t bytes, CUmem_advise advice, CUdevice device)
{
    return sim_cuMemAdvise_v2(address, bytes, advice, location_of(device));
}

CUresult sim_cuMemPrefetchAsync_v2(CUdeviceptr address, size_t bytes, CUmemLocation location,
                                   unsigned int flags, CUstream stream)
{
    if (flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (!is_location(&location))
        return CUDA_ERROR_INVALID_DEVICE;
    CUresult result = stream_check(stream);
    if (result != CUDA_SUCCESS)
        return result;
    sim_lock_all();
    return sim_unlock_with(check_managed(address, bytes));
}

CUresult sim_cuMemPrefetchAsync(CUdeviceptr address, size_t bytes, CUdevice device, CUstream stream)
{
    return sim_cuMemPrefetchAsync_v2(address, bytes, location_of(device), 0, stream);
}

/* Nothing is read-mostly, preferred anywhere or prefetched: zero, or "no device" for each location
 * that is given as a device. */
static CUresult answer(void *data, size_t bytes, CUmem_range_attribute attribute)
{
    if (data == NULL || attribute < 1 || attribute > LAST_ATTRIBUTE || bytes < sizeof(int32_t) ||
        bytes % sizeof(int32_t) != 0 || (attribute != ACCESSED_BY && bytes != sizeof(int32_t)))
        return CUDA_ERROR_INVALID_VALUE;
    int32_t value = attribute >= FIRST_LOCATION && attribute <= 4 ? DEVICE_INVALID : 0;
    for (size_t i = 0; i < bytes; i += sizeof(value))
        memcpy((char *)data + i, &value, sizeof(value));
    return CUDA_SUCCESS;
}

CUresult sim_cuMemRangeGetAttribute(void *data, size_t bytes, CUmem_range_attribute attribute,
                                    CUdeviceptr address, size_t count)
{
    sim_lock_all();
    CUresult result = check_managed(address, count);
    if (result == CUDA_SUCCESS)
        result = answer(data, bytes, attribute);
    return sim_unlock_with(result);
}

CUresult sim_cuMemRangeGetAttributes(void **data, size_t *bytes, CUmem_range_attribute *attributes,
                                     size_t attribute_count, CUdeviceptr address, size_t count)
{
    if (data == NULL || bytes == NULL || attributes == NULL || attribute_count == 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    CUresult result = check_managed(address, count);
    for (size_t i = 0; result == CUDA_SUCCESS && i < attribute_count; i++)
        result = answer(data[i], bytes[i], attributes[i]);
    return sim_unlock_with(result);
}
