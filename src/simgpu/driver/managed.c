/* Hints about managed memory ("CUDA Driver API", sections "Memory Management" and "Unified
 * Addressing"). Pages do not move: hints are checked, kept and told again, and have no effect. They
 * are kept for an allocation as a whole, not page by page. */
#include "managed.h"

#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "function_table.h"
#include "memory.h"
#include "state.h"
#include "stream.h"

#define DEVICE_INVALID (-2)

/* CUmem_range_attribute */
#define READ_MOSTLY             1
#define PREFERRED_LOCATION      2
#define ACCESSED_BY             3
#define LAST_PREFETCH_LOCATION  4
#define PREFERRED_LOCATION_TYPE 5
#define PREFERRED_LOCATION_ID   6
#define LAST_PREFETCH_TYPE      7
#define LAST_PREFETCH_ID        8

struct managed {
    bool read_mostly;
    CUmemLocation preferred, prefetched; /* type 0: nowhere */
    uint32_t accessed_by;                /* bit per ordinal */
    bool accessed_by_host;
};

struct managed *managed_create(void)
{
    return calloc(1, sizeof(struct managed));
}

static bool is_host(const CUmemLocation *location)
{
    return location->type == CU_MEM_LOCATION_TYPE_HOST ||
           location->type == CU_MEM_LOCATION_TYPE_HOST_NUMA ||
           location->type == CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT;
}

static bool is_location(const CUmemLocation *location)
{
    bool device = location->type == CU_MEM_LOCATION_TYPE_DEVICE && location->id >= 0 &&
                  location->id < sim_device_count;
    return device || is_host(location);
}

static CUmemLocation location_of(CUdevice device)
{
    if (device == CU_DEVICE_CPU)
        return (CUmemLocation){ CU_MEM_LOCATION_TYPE_HOST, 0 };
    return (CUmemLocation){ CU_MEM_LOCATION_TYPE_DEVICE, device };
}

/* The notes about the allocation that has all `bytes` at `address`; NULL if that is not managed. */
static struct managed *find_managed(CUdeviceptr address, size_t bytes)
{
    const struct range *range = range_find(address);
    if (bytes == 0 || range == NULL || range->kind != RANGE_MANAGED ||
        bytes > range->extent_bytes - (address - range->base))
        return NULL;
    return range->detail;
}

static void set_accessed_by(struct managed *managed, const CUmemLocation *location, bool set)
{
    if (is_host(location))
        managed->accessed_by_host = set;
    else if (set)
        managed->accessed_by |= 1u << location->id;
    else
        managed->accessed_by &= ~(1u << location->id);
}

static void apply_advice(struct managed *managed, CUmem_advise advice,
                         const CUmemLocation *location)
{
    switch (advice) {
    case CU_MEM_ADVISE_SET_READ_MOSTLY: managed->read_mostly = true; break;
    case CU_MEM_ADVISE_UNSET_READ_MOSTLY: managed->read_mostly = false; break;
    case CU_MEM_ADVISE_SET_PREFERRED_LOCATION: managed->preferred = *location; break;
    case CU_MEM_ADVISE_UNSET_PREFERRED_LOCATION:
        managed->preferred = (CUmemLocation){ 0, 0 };
        break;
    case CU_MEM_ADVISE_SET_ACCESSED_BY: set_accessed_by(managed, location, true); break;
    default: set_accessed_by(managed, location, false); break;
    }
}

/* Documented: three of the advices mean no location, and ignore what is given. */
CUresult sim_cuMemAdvise_v2(CUdeviceptr address, size_t bytes, CUmem_advise advice,
                            CUmemLocation location)
{
    if (advice < CU_MEM_ADVISE_SET_READ_MOSTLY || advice > CU_MEM_ADVISE_UNSET_ACCESSED_BY)
        return CUDA_ERROR_INVALID_VALUE;
    bool wants_location =
        advice == CU_MEM_ADVISE_SET_PREFERRED_LOCATION || advice >= CU_MEM_ADVISE_SET_ACCESSED_BY;
    if (wants_location && !is_location(&location))
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock_all();
    struct managed *managed = find_managed(address, bytes);
    if (managed != NULL)
        apply_advice(managed, advice, &location);
    return sim_unlock_with(managed != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
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
    struct managed *managed = find_managed(address, bytes);
    if (managed != NULL)
        managed->prefetched = location;
    return sim_unlock_with(managed != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

CUresult sim_cuMemPrefetchAsync(CUdeviceptr address, size_t bytes, CUdevice device, CUstream stream)
{
    return sim_cuMemPrefetchAsync_v2(address, bytes, location_of(device), 0, stream);
}

/* A location as the older attributes give it: a device, the host, or nowhere. */
static int32_t device_of(const CUmemLocation *location)
{
    if (location->type == 0)
        return DEVICE_INVALID;
    return is_host(location) ? CU_DEVICE_CPU : location->id;
}

static void put_value(void *data, size_t index, int32_t value)
{
    memcpy((char *)data + index * sizeof(value), &value, sizeof(value));
}

/* Documented: the devices, and "none" for the places that are left. */
static void list_accessed_by(const struct managed *managed, void *data, size_t places)
{
    size_t used = 0;
    for (int i = 0; i < sim_device_count && used < places; i++)
        if ((managed->accessed_by >> i & 1) != 0)
            put_value(data, used++, i);
    if (managed->accessed_by_host && used < places)
        put_value(data, used++, CU_DEVICE_CPU);
    while (used < places)
        put_value(data, used++, DEVICE_INVALID);
}

static CUresult answer_attribute(const struct managed *managed, CUmem_range_attribute attribute,
                                 void *data, size_t bytes)
{
    if (data == NULL || bytes == 0 || bytes % sizeof(int32_t) != 0 ||
        (attribute != ACCESSED_BY && bytes != sizeof(int32_t)))
        return CUDA_ERROR_INVALID_VALUE;
    switch (attribute) {
    case READ_MOSTLY: put_value(data, 0, managed->read_mostly); break;
    case PREFERRED_LOCATION: put_value(data, 0, device_of(&managed->preferred)); break;
    case ACCESSED_BY: list_accessed_by(managed, data, bytes / sizeof(int32_t)); break;
    case LAST_PREFETCH_LOCATION: put_value(data, 0, device_of(&managed->prefetched)); break;
    case PREFERRED_LOCATION_TYPE: put_value(data, 0, managed->preferred.type); break;
    case PREFERRED_LOCATION_ID: put_value(data, 0, managed->preferred.id); break;
    case LAST_PREFETCH_TYPE: put_value(data, 0, managed->prefetched.type); break;
    case LAST_PREFETCH_ID: put_value(data, 0, managed->prefetched.id); break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

CUresult sim_cuMemRangeGetAttribute(void *data, size_t bytes, CUmem_range_attribute attribute,
                                    CUdeviceptr address, size_t count)
{
    return sim_cuMemRangeGetAttributes(&data, &bytes, &attribute, 1, address, count);
}

CUresult sim_cuMemRangeGetAttributes(void **data, size_t *bytes, CUmem_range_attribute *attributes,
                                     size_t attribute_count, CUdeviceptr address, size_t count)
{
    if (data == NULL || bytes == NULL || attributes == NULL || attribute_count == 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct managed *managed = find_managed(address, count);
    CUresult result = managed != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; result == CUDA_SUCCESS && i < attribute_count; i++)
        result = answer_attribute(managed, attributes[i], data[i], bytes[i]);
    return sim_unlock_with(result);
}
