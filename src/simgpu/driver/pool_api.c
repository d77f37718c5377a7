/* The functions of the "Stream Ordered Memory Allocator" section of the "CUDA Driver API". Work is
 * done at once here, so stream order holds by itself. */
#include <string.h>

#include "capture.h"
#include "function_table.h"
#include "memory.h"
#include "pool_internal.h"
#include "state.h"
#include "stream.h"

#define ATTR_REUSE_FIRST       1
#define ATTR_REUSE_LAST        3
#define ATTR_RELEASE_THRESHOLD 4
#define ATTR_RESERVED_CURRENT  5
#define ATTR_RESERVED_HIGH     6
#define ATTR_USED_CURRENT      7
#define ATTR_USED_HIGH         8
#define ALLOCATION_PINNED      1

static struct pool *default_pools[MAX_DEVICES]; /* by ordinal; made on first use */
static struct pool *current_pools[MAX_DEVICES];

static bool is_device(int ordinal)
{
    return ordinal >= 0 && ordinal < sim_device_count;
}

/* The device's default pool, or NULL: out of host memory. */
static struct pool *default_pool(int ordinal)
{
    if (default_pools[ordinal] == NULL) {
        default_pools[ordinal] = pool_create(ordinal, sim_devices[ordinal]);
        if (default_pools[ordinal] != NULL)
            default_pools[ordinal]->is_default = true;
    }
    return default_pools[ordinal];
}

static struct pool *current_pool(int ordinal)
{
    return current_pools[ordinal] != NULL ? current_pools[ordinal] : default_pool(ordinal);
}

CUresult pool_take_current(struct context *context, uint64_t bytes, CUdeviceptr *address)
{
    struct pool *pool = current_pool(context->ordinal);
    return pool != NULL ? pool_take(pool, context, bytes, address) : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult sim_cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream handle)
{
    if (address == NULL || bytes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_use(handle, &stream, &context);
    if (result != CUDA_SUCCESS)
        return sim_unlock_with(result);
    if (stream_capture(stream) != NULL)
        return sim_unlock_with(capture_alloc(stream, context->ordinal, bytes, address));
    return sim_unlock_with(pool_take_current(context, bytes, address));
}

CUresult sim_cuMemAllocFromPoolAsync(CUdeviceptr *address, size_t bytes, CUmemoryPool pool_handle,
                                     CUstream handle)
{
    if (address == NULL || bytes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_use(handle, &stream, &context);
    struct pool *pool = OBJECT(OBJECT_POOL, pool_handle);
    if (result == CUDA_SUCCESS && pool == NULL)
        result = CUDA_ERROR_INVALID_VALUE;
    if (result != CUDA_SUCCESS)
        return sim_unlock_with(result);
    if (stream_capture(stream) != NULL)
        return sim_unlock_with(capture_alloc(stream, pool->ordinal, bytes, address));
    return sim_unlock_with(pool_take(pool, context, bytes, address));
}

/* Documented in the "CUDA C++ Programming Guide": memory of cuMemAlloc may be freed this way too.
 */
CUresult sim_cuMemFreeAsync(CUdeviceptr address, CUstream handle)
{
    if (address == 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct stream *stream;
    struct context *context;
    CUresult result = stream_use(handle, &stream, &context);
    if (result != CUDA_SUCCESS)
        return sim_unlock_with(result);
    if (stream_capture(stream) != NULL)
        return sim_unlock_with(capture_free(stream, address));
    return sim_unlock_with(memory_give(address));
}

CUresult sim_cuMemPoolCreate(CUmemoryPool *handle, const CUmemPoolProps *props)
{
    if (handle == NULL || props == NULL || props->allocType != ALLOCATION_PINNED)
        return CUDA_ERROR_INVALID_VALUE;
    if (props->location.type != CU_MEM_LOCATION_TYPE_DEVICE || props->handleTypes != 0)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (!is_device(props->location.id))
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock_all();
    struct pool *pool = pool_create(props->location.id, sim_devices[props->location.id]);
    if (pool == NULL)
        return sim_unlock_with(CUDA_ERROR_OUT_OF_MEMORY);
    pool->max_bytes = props->maxSize;
    *handle = pool->handle;
    return sim_unlock_with(CUDA_SUCCESS);
}

/* Documented: the default pool cannot be destroyed; destroying the current pool makes the default
 * pool current; allocations outlive the handle. */
CUresult sim_cuMemPoolDestroy(CUmemoryPool handle)
{
    sim_lock_all();
    struct pool *pool = OBJECT(OBJECT_POOL, handle);
    if (pool == NULL || pool->is_default)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    for (int i = 0; i < MAX_DEVICES; i++)
        if (current_pools[i] == pool)
            current_pools[i] = NULL;
    pool_destroy(pool);
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuMemPoolTrimTo(CUmemoryPool handle, size_t keep_bytes)
{
    sim_lock_all();
    struct pool *pool = OBJECT(OBJECT_POOL, handle);
    if (pool != NULL)
        pool_trim(pool, keep_bytes);
    return sim_unlock_with(pool != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

static uint64_t *pool_counter(struct pool *pool, CUmemPool_attribute attribute)
{
    switch (attribute) {
    case ATTR_RELEASE_THRESHOLD: return &pool->threshold_bytes;
    case ATTR_RESERVED_CURRENT: return &pool->reserved_bytes;
    case ATTR_RESERVED_HIGH: return &pool->reserved_high_bytes;
    case ATTR_USED_CURRENT: return &pool->used_bytes;
    case ATTR_USED_HIGH: return &pool->used_high_bytes;
    default: return NULL;
    }
}

CUresult sim_cuMemPoolGetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void *value)
{
    if (value == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct pool *pool = OBJECT(OBJECT_POOL, handle);
    const uint64_t *bytes = pool != NULL ? pool_counter(pool, attribute) : NULL;
    CUresult result = CUDA_SUCCESS;
    if (pool != NULL && attribute >= ATTR_REUSE_FIRST && attribute <= ATTR_REUSE_LAST)
        memcpy(value, &pool->reuse[attribute - ATTR_REUSE_FIRST], sizeof(int));
    else if (bytes != NULL)
        memcpy(value, bytes, sizeof(*bytes));
    else
        result = CUDA_ERROR_INVALID_VALUE;
    return sim_unlock_with(result);
}

/* Documented: the high-water marks can be reset to zero, which means to the current value; the
 * current values cannot be set. */
CUresult sim_cuMemPoolSetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void *value)
{
    if (value == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct pool *pool = OBJECT(OBJECT_POOL, handle);
    if (pool == NULL)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    if (attribute >= ATTR_REUSE_FIRST && attribute <= ATTR_REUSE_LAST) {
        memcpy(&pool->reuse[attribute - ATTR_REUSE_FIRST], value, sizeof(int));
        return sim_unlock_with(CUDA_SUCCESS);
    }
    uint64_t bytes;
    memcpy(&bytes, value, sizeof(bytes));
    if (attribute == ATTR_RELEASE_THRESHOLD)
        pool->threshold_bytes = bytes;
    else if (attribute == ATTR_RESERVED_HIGH && bytes == 0)
        pool->reserved_high_bytes = pool->reserved_bytes;
    else if (attribute == ATTR_USED_HIGH && bytes == 0)
        pool->used_high_bytes = pool->used_bytes;
    else
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    return sim_unlock_with(CUDA_SUCCESS);
}

/* Documented: the pool's own device always has access. */
CUresult sim_cuMemPoolSetAccess(CUmemoryPool handle, const CUmemAccessDesc *map, size_t count)
{
    if (map == NULL && count > 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct pool *pool = OBJECT(OBJECT_POOL, handle);
    CUresult result = pool != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; result == CUDA_SUCCESS && i < count; i++) {
        if (map[i].location.type != CU_MEM_LOCATION_TYPE_DEVICE || !is_device(map[i].location.id))
            result = CUDA_ERROR_INVALID_DEVICE;
        else if (map[i].flags != 0 && map[i].flags != ACCESS_READ_WRITE)
            result = CUDA_ERROR_INVALID_VALUE;
        else if (map[i].location.id == pool->ordinal && map[i].flags != ACCESS_READ_WRITE)
            result = CUDA_ERROR_INVALID_DEVICE;
    }
    for (size_t i = 0; result == CUDA_SUCCESS && i < count; i++)
        pool->access[map[i].location.id] = map[i].flags;
    return sim_unlock_with(result);
}

CUresult sim_cuMemPoolGetAccess(CUmemAccess_flags *flags, CUmemoryPool handle,
                                CUmemLocation *location)
{
    if (flags == NULL || location == NULL || location->type != CU_MEM_LOCATION_TYPE_DEVICE ||
        !is_device(location->id))
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct pool *pool = OBJECT(OBJECT_POOL, handle);
    if (pool != NULL)
        *flags = pool->access[location->id];
    return sim_unlock_with(pool != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

static CUresult give_handle(const struct pool *pool, CUmemoryPool *handle)
{
    if (pool == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *handle = pool->handle;
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceGetDefaultMemPool(CUmemoryPool *handle, CUdevice device)
{
    if (handle == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (!is_device(device))
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock_all();
    return sim_unlock_with(give_handle(default_pool(device), handle));
}

CUresult sim_cuDeviceGetMemPool(CUmemoryPool *handle, CUdevice device)
{
    if (handle == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (!is_device(device))
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock_all();
    return sim_unlock_with(give_handle(current_pool(device), handle));
}

/* Documented: the pool must be of the device. */
CUresult sim_cuDeviceSetMemPool(CUdevice device, CUmemoryPool handle)
{
    if (!is_device(device))
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock_all();
    struct pool *pool = OBJECT(OBJECT_POOL, handle);
    if (pool == NULL || pool->ordinal != device)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    current_pools[device] = pool->is_default ? NULL : pool;
    return sim_unlock_with(CUDA_SUCCESS);
}

/* The functions of CUDA 13 name a location instead of a device. Pools of host and managed memory
 * are not simulated. */
static CUresult check_location(const CUmemLocation *location, CUmemAllocationType type)
{
    if (location == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (location->type != CU_MEM_LOCATION_TYPE_DEVICE || type != ALLOCATION_PINNED)
        return CUDA_ERROR_NOT_SUPPORTED;
    return CUDA_SUCCESS;
}

CUresult sim_cuMemGetDefaultMemPool(CUmemoryPool *handle, CUmemLocation *location,
                                    CUmemAllocationType type)
{
    CUresult result = check_location(location, type);
    return result == CUDA_SUCCESS ? sim_cuDeviceGetDefaultMemPool(handle, location->id) : result;
}

CUresult sim_cuMemGetMemPool(CUmemoryPool *handle, CUmemLocation *location,
                             CUmemAllocationType type)
{
    CUresult result = check_location(location, type);
    return result == CUDA_SUCCESS ? sim_cuDeviceGetMemPool(handle, location->id) : result;
}

CUresult sim_cuMemSetMemPool(CUmemLocation *location, CUmemAllocationType type, CUmemoryPool handle)
{
    CUresult result = check_location(location, type);
    return result == CUDA_SUCCESS ? sim_cuDeviceSetMemPool(location->id, handle) : result;
}
