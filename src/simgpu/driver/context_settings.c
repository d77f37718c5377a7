/* Properties of the current context ("CUDA Driver API", section "Context Management"). */
#include "capture.h"
#include "context.h"
#include "function_table.h"
#include "object.h"
#include "pool.h"
#include "state.h"

#define LOWEST_PRIORITY  0
#define HIGHEST_PRIORITY (-5)

CUresult sim_cuCtxGetDevice(CUdevice *device)
{
    if (device == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS)
        *device = context->ordinal;
    return sim_unlock_with(result);
}

CUresult sim_cuCtxGetDevice_v2(CUdevice *device, CUcontext handle)
{
    if (device == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_named(handle, &context);
    if (result == CUDA_SUCCESS)
        *device = context->ordinal;
    return sim_unlock_with(result);
}

CUresult sim_cuCtxGetId(CUcontext handle, unsigned long long *id)
{
    if (id == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_named(handle, &context);
    if (result == CUDA_SUCCESS)
        *id = context->id;
    return sim_unlock_with(result);
}

CUresult sim_cuCtxGetFlags(unsigned int *flags)
{
    if (flags == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS)
        *flags = context->flags;
    return sim_unlock_with(result);
}

CUresult sim_cuCtxSetFlags(unsigned int flags)
{
    if ((flags & ~(unsigned int)CU_CTX_FLAGS_MASK) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS)
        context->flags = flags;
    return sim_unlock_with(result);
}

/* All work is done when the call that asked for it returns; what synchronising still does is to let
 * pools return memory. */
CUresult sim_cuCtxSynchronize(void)
{
    return sim_cuCtxSynchronize_v2(NULL);
}

CUresult sim_cuCtxSynchronize_v2(CUcontext handle)
{
    sim_lock_all();
    struct context *context;
    CUresult result = context_named(handle, &context);
    if (result == CUDA_SUCCESS)
        result = capture_check_context(context);
    if (result == CUDA_SUCCESS)
        result = capture_check_unsafe();
    if (result == CUDA_SUCCESS)
        pool_synchronised();
    return sim_unlock_with(result);
}

CUresult sim_cuCtxSetLimit(CUlimit limit, size_t value)
{
    if (limit < 0 || limit >= LIMIT_COUNT)
        return CUDA_ERROR_UNSUPPORTED_LIMIT;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS)
        context->limits[limit] = value;
    return sim_unlock_with(result);
}

CUresult sim_cuCtxGetLimit(size_t *value, CUlimit limit)
{
    if (value == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (limit < 0 || limit >= LIMIT_COUNT)
        return CUDA_ERROR_UNSUPPORTED_LIMIT;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS)
        *value = context->limits[limit];
    return sim_unlock_with(result);
}

CUresult sim_cuCtxGetCacheConfig(CUfunc_cache *config)
{
    if (config == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS)
        *config = context->cache_config;
    return sim_unlock_with(result);
}

CUresult sim_cuCtxSetCacheConfig(CUfunc_cache config)
{
    if (config < 0 || config > 3)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS)
        context->cache_config = config;
    return sim_unlock_with(result);
}

CUresult sim_cuCtxGetSharedMemConfig(CUsharedconfig *config)
{
    if (config == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS)
        *config = context->shared_memory_config;
    return sim_unlock_with(result);
}

CUresult sim_cuCtxSetSharedMemConfig(CUsharedconfig config)
{
    if (config < 0 || config > 2)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS)
        context->shared_memory_config = config;
    return sim_unlock_with(result);
}

CUresult sim_cuCtxGetStreamPriorityRange(int *least, int *greatest)
{
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS) {
        if (least != NULL)
            *least = LOWEST_PRIORITY;
        if (greatest != NULL)
            *greatest = HIGHEST_PRIORITY;
    }
    return sim_unlock_with(result);
}

static CUresult check_current(void)
{
    sim_lock_all();
    struct context *context;
    return sim_unlock_with(context_current(&context));
}

CUresult sim_cuCtxResetPersistingL2Cache(void)
{
    return check_current();
}

CUresult sim_cuFlushGPUDirectRDMAWrites(CUflushGPUDirectRDMAWritesTarget target,
                                        CUflushGPUDirectRDMAWritesScope scope)
{
    (void)target;
    (void)scope;
    return check_current();
}

/* Sets `*context` to the current context and `*peer` to the named one, on another device. */
static CUresult resolve_peers(CUcontext peer_handle, struct context **context,
                              struct context **peer)
{
    CUresult result = context_current(context);
    if (result != CUDA_SUCCESS)
        return result;
    *peer = OBJECT(OBJECT_CONTEXT, peer_handle);
    if (*peer == NULL || !(*peer)->alive)
        return CUDA_ERROR_INVALID_CONTEXT;
    return (*peer)->device != (*context)->device ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult sim_cuCtxEnablePeerAccess(CUcontext peer_handle, unsigned int flags)
{
    if (flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context, *peer;
    CUresult result = resolve_peers(peer_handle, &context, &peer);
    if (result != CUDA_SUCCESS)
        return sim_unlock_with(result);
    uint32_t bit = 1u << peer->ordinal;
    if ((context->peers & bit) != 0)
        return sim_unlock_with(CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED);
    context->peers |= bit;
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuCtxDisablePeerAccess(CUcontext peer_handle)
{
    sim_lock_all();
    struct context *context, *peer;
    CUresult result = resolve_peers(peer_handle, &context, &peer);
    if (result != CUDA_SUCCESS)
        return sim_unlock_with(result);
    uint32_t bit = 1u << peer->ordinal;
    if ((context->peers & bit) == 0)
        return sim_unlock_with(CUDA_ERROR_PEER_ACCESS_NOT_ENABLED);
    context->peers &= ~bit;
    return sim_unlock_with(CUDA_SUCCESS);
}
