/* Contexts and the stacks of current ones ("CUDA Driver API", sections "Context Management" and
 * "Primary Context Management"). */
#include "context.h"

#include <pthread.h>
#include <stdlib.h>

#include "function_table.h"
#include "object.h"
#include "resources.h"
#include "shared.h"
#include "small.h"
#include "state.h"

#define INITIAL_STACK 8
#define API_VERSION   3020

static const size_t default_limits[LIMIT_COUNT] = { 1024, 1 << 20, 8 << 20, 2, 2048, 64, 0 };

struct stack {
    struct context **items;
    int depth, room;
};

static _Thread_local struct stack *stack;
static pthread_key_t stack_key;
static pthread_once_t stack_key_once = PTHREAD_ONCE_INIT;
static unsigned long long last_id;
static struct context primaries[MAX_DEVICES];
static struct context *ended_contexts; /* kept for the stacks that may still have them */

static void free_stack(void *ended)
{
    struct stack *mine = ended;
    free(mine->items);
    free(mine);
    stack = NULL;
}

static void create_stack_key(void)
{
    pthread_key_create(&stack_key, free_stack);
}

static int push_context(struct context *context)
{
    if (stack == NULL) {
        pthread_once(&stack_key_once, create_stack_key);
        stack = calloc(1, sizeof(*stack));
        if (stack == NULL)
            return -1;
        pthread_setspecific(stack_key, stack);
    }
    if (stack->depth == stack->room) {
        int room = stack->room * 2 + INITIAL_STACK;
        struct context **items = realloc(stack->items, (size_t)room * sizeof(*items));
        if (items == NULL)
            return -1;
        stack->items = items;
        stack->room = room;
    }
    stack->items[stack->depth++] = context;
    return 0;
}

static struct context *top_context(void)
{
    return stack != NULL && stack->depth > 0 ? stack->items[stack->depth - 1] : NULL;
}

CUresult context_current(struct context **context)
{
    *context = top_context();
    if (*context == NULL)
        return CUDA_ERROR_INVALID_CONTEXT;
    return (*context)->alive ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

CUresult context_named(CUcontext handle, struct context **context)
{
    if (handle == NULL)
        return context_current(context);
    *context = OBJECT(OBJECT_CONTEXT, handle);
    if (*context == NULL)
        return CUDA_ERROR_INVALID_CONTEXT;
    return (*context)->alive ? CUDA_SUCCESS : CUDA_ERROR_CONTEXT_IS_DESTROYED;
}

struct context *context_primary(int ordinal)
{
    return &primaries[ordinal];
}

/* Makes the context live: pays its price and gives it a heap. */
static CUresult start_context(struct context *context, int ordinal)
{
    int device = sim_devices[ordinal];
    uint64_t price = sim_options.context_bytes;
    if (shared_take(device, price) != 0)
        return CUDA_ERROR_OUT_OF_MEMORY;
    context->heap = small_heap_create(device, context);
    if (context->handle == NULL)
        context->handle = (CUcontext)(uintptr_t)object_add(OBJECT_CONTEXT, context, NULL);
    if (context->heap == NULL || context->handle == NULL) {
        shared_give(device, price);
        if (context->heap != NULL)
            small_heap_destroy(context->heap);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    context->id = ++last_id;
    context->ordinal = ordinal;
    context->device = device;
    context->charged_bytes = price;
    context->cache_config = 0;
    context->shared_memory_config = 0;
    context->peers = 0;
    context->ranges = NULL;
    for (int i = 0; i < LIMIT_COUNT; i++)
        context->limits[i] = default_limits[i];
    context->alive = true;
    shared_count_context(device, +1);
    return CUDA_SUCCESS;
}

/* Ends everything in the context and the context itself; its memory comes back. */
static void end_context(struct context *context)
{
    resources_end_all(context);
    small_heap_destroy(context->heap);
    context->heap = NULL;
    context->alive = false;
    shared_give(context->device, context->charged_bytes);
    shared_count_context(context->device, -1);
}

static CUresult check_device(CUdevice device)
{
    return device >= 0 && device < sim_device_count ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

/* At most one scheduling flag, and none that is unknown. */
static CUresult check_flags(unsigned int flags)
{
    unsigned int scheduling = flags & CU_CTX_SCHED_MASK;
    if ((flags & ~(unsigned int)CU_CTX_FLAGS_MASK) != 0 || (scheduling & (scheduling - 1)) != 0)
        return CUDA_ERROR_INVALID_VALUE;
    return CUDA_SUCCESS;
}

CUresult sim_cuCtxCreate_v2(CUcontext *handle, unsigned int flags, CUdevice device)
{
    if (handle == NULL || check_flags(flags) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_VALUE;
    if (check_device(device) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    struct context *context = calloc(1, sizeof(*context));
    if (context == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;

    sim_lock_all();
    CUresult result = start_context(context, device);
    if (result == CUDA_SUCCESS && push_context(context) != 0) {
        end_context(context);
        object_remove((uint64_t)(uintptr_t)context->handle);
        result = CUDA_ERROR_OUT_OF_MEMORY;
    }
    if (result == CUDA_SUCCESS) {
        context->flags = flags;
        *handle = context->handle;
    } else {
        free(context);
    }
    return sim_unlock_with(result);
}

CUresult sim_cuCtxCreate(CUcontext *handle, unsigned int flags, CUdevice device)
{
    return sim_cuCtxCreate_v2(handle, flags, device);
}

/* Execution affinity partitions an MPS client's multiprocessors; there is no MPS here. */
CUresult sim_cuCtxCreate_v3(CUcontext *handle, CUexecAffinityParam *affinity, int affinity_count,
                            unsigned int flags, CUdevice device)
{
    if (affinity_count < 0 || (affinity_count > 0 && affinity == NULL))
        return CUDA_ERROR_INVALID_VALUE;
    if (affinity_count > 0)
        return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
    return sim_cuCtxCreate_v2(handle, flags, device);
}

CUresult sim_cuCtxCreate_v4(CUcontext *handle, CUctxCreateParams *params, unsigned int flags,
                            CUdevice device)
{
    if (params != NULL && params->cigParams != NULL)
        return CUDA_ERROR_NOT_SUPPORTED;
    if (params != NULL && params->numExecAffinityParams != 0)
        return CUDA_ERROR_UNSUPPORTED_EXEC_AFFINITY;
    return sim_cuCtxCreate_v2(handle, flags, device);
}

/* Documented: if the context is current to the calling thread it is popped; on other threads it
 * stays and their calls fail. */
CUresult sim_cuCtxDestroy_v2(CUcontext handle)
{
    sim_lock_all();
    struct context *context = OBJECT(OBJECT_CONTEXT, handle);
    if (context == NULL || context->primary)
        return sim_unlock_with(CUDA_ERROR_INVALID_CONTEXT);
    end_context(context);
    object_remove((uint64_t)(uintptr_t)handle);
    context->next_ended = ended_contexts;
    ended_contexts = context;
    if (top_context() == context)
        stack->depth--;
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuCtxDestroy(CUcontext handle)
{
    return sim_cuCtxDestroy_v2(handle);
}

/* Documented: flags must be 0; superseded by cuCtxPushCurrent and usage counts of the caller's own.
 * A context that was attached to needs as many detaches, of which the last destroys it. */
CUresult sim_cuCtxAttach(CUcontext *handle, unsigned int flags)
{
    if (handle == NULL || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS) {
        context->retains++;
        *handle = context->handle;
    }
    return sim_unlock_with(result);
}

CUresult sim_cuCtxDetach(CUcontext handle)
{
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS && context->handle != handle)
        result = CUDA_ERROR_INVALID_CONTEXT;
    bool last = result == CUDA_SUCCESS && context->retains == 0;
    if (result == CUDA_SUCCESS && !last)
        context->retains--;
    sim_unlock_all();
    return last ? sim_cuCtxDestroy_v2(handle) : result;
}

CUresult sim_cuCtxPushCurrent_v2(CUcontext handle)
{
    sim_lock_all();
    struct context *context = OBJECT(OBJECT_CONTEXT, handle);
    CUresult result = CUDA_SUCCESS;
    if (context == NULL)
        result = CUDA_ERROR_INVALID_CONTEXT;
    else if (push_context(context) != 0)
        result = CUDA_ERROR_OUT_OF_MEMORY;
    return sim_unlock_with(result);
}

CUresult sim_cuCtxPushCurrent(CUcontext handle)
{
    return sim_cuCtxPushCurrent_v2(handle);
}

CUresult sim_cuCtxPopCurrent_v2(CUcontext *handle)
{
    struct context *context = top_context();
    if (context == NULL)
        return CUDA_ERROR_INVALID_CONTEXT;
    stack->depth--;
    if (handle != NULL)
        *handle = context->handle;
    return CUDA_SUCCESS;
}

CUresult sim_cuCtxPopCurrent(CUcontext *handle)
{
    return sim_cuCtxPopCurrent_v2(handle);
}

/* Documented: replaces the top of the stack; NULL pops it. */
CUresult sim_cuCtxSetCurrent(CUcontext handle)
{
    if (handle == NULL) {
        if (top_context() != NULL)
            stack->depth--;
        return CUDA_SUCCESS;
    }
    sim_lock_all();
    struct context *context = OBJECT(OBJECT_CONTEXT, handle);
    CUresult result = CUDA_SUCCESS;
    if (context == NULL)
        result = CUDA_ERROR_INVALID_CONTEXT;
    else if (top_context() != NULL)
        stack->items[stack->depth - 1] = context;
    else if (push_context(context) != 0)
        result = CUDA_ERROR_OUT_OF_MEMORY;
    return sim_unlock_with(result);
}

CUresult sim_cuCtxGetCurrent(CUcontext *handle)
{
    if (handle == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *handle = top_context() != NULL ? top_context()->handle : NULL;
    return CUDA_SUCCESS;
}

CUresult sim_cuCtxGetApiVersion(CUcontext handle, unsigned int *version)
{
    if (version == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_named(handle, &context);
    if (result == CUDA_SUCCESS)
        *version = API_VERSION;
    return sim_unlock_with(result);
}

CUresult sim_cuDevicePrimaryCtxRetain(CUcontext *handle, CUdevice device)
{
    if (handle == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (check_device(device) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock_all();
    struct context *primary = &primaries[device];
    primary->primary = true;
    CUresult result = primary->alive ? CUDA_SUCCESS : start_context(primary, device);
    if (result == CUDA_SUCCESS) {
        primary->retains++;
        *handle = primary->handle;
    }
    return sim_unlock_with(result);
}

CUresult sim_cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
    if (check_device(device) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock_all();
    struct context *primary = &primaries[device];
    CUresult result = primary->retains > 0 ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
    if (result == CUDA_SUCCESS && --primary->retains == 0 && primary->alive)
        end_context(primary);
    return sim_unlock_with(result);
}

CUresult sim_cuDevicePrimaryCtxRelease(CUdevice device)
{
    return sim_cuDevicePrimaryCtxRelease_v2(device);
}

/* Documented: a reset does not release; whoever retained the context still has to. */
CUresult sim_cuDevicePrimaryCtxReset_v2(CUdevice device)
{
    if (check_device(device) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock_all();
    if (primaries[device].alive)
        end_context(&primaries[device]);
    primaries[device].flags = 0;
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuDevicePrimaryCtxReset(CUdevice device)
{
    return sim_cuDevicePrimaryCtxReset_v2(device);
}

CUresult sim_cuDevicePrimaryCtxSetFlags_v2(CUdevice device, unsigned int flags)
{
    if (check_device(device) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    if (check_flags(flags) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    primaries[device].flags = flags;
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuDevicePrimaryCtxSetFlags(CUdevice device, unsigned int flags)
{
    return sim_cuDevicePrimaryCtxSetFlags_v2(device, flags);
}

CUresult sim_cuDevicePrimaryCtxGetState(CUdevice device, unsigned int *flags, int *active)
{
    if (flags == NULL || active == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (check_device(device) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock_all();
    *flags = primaries[device].flags;
    *active = primaries[device].alive;
    return sim_unlock_with(CUDA_SUCCESS);
}
