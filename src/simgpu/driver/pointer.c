/* Pointer attributes ("CUDA Driver API", section "Unified Addressing"). */
#include <string.h>

#include "context.h"
#include "function_table.h"
#include "memory.h"
#include "pool.h"
#include "small.h"
#include "state.h"
#include "virtual.h"

#define ACCESS_READ_WRITE 3

/* The value of an attribute and its size in the caller's memory. */
struct answer {
    uint64_t value;
    size_t bytes;
};

static bool is_host(const struct memory_view *view)
{
    return view->kind == RANGE_HOST || view->kind == RANGE_REGISTERED ||
           (view->kind == RANGE_MAPPED && view->ordinal < 0);
}

/* CUmemAllocationHandleType bits as which the memory may be exported. */
static uint64_t handle_types(const struct memory_view *view)
{
    if (view->kind != RANGE_MAPPED)
        return 0;
    return (uint64_t)virtual_physical(view->range)->properties.requestedHandleTypes;
}

static struct answer answer_number(uint64_t value, size_t bytes)
{
    return (struct answer){ value, bytes };
}

static CUresult describe_attribute(const struct memory_view *view, CUpointer_attribute attribute,
                                   uint64_t address, struct answer *answer)
{
    bool host = is_host(view), managed = view->kind == RANGE_MANAGED;
    int ordinal = host && view->context != NULL ? view->context->ordinal : view->ordinal;
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_CONTEXT:
        *answer = answer_number(view->context != NULL ? (uintptr_t)view->context->handle : 0, 8);
        break;
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        *answer = answer_number(host ? CU_MEMORYTYPE_HOST : CU_MEMORYTYPE_DEVICE, 4);
        break;
    case CU_POINTER_ATTRIBUTE_DEVICE_POINTER: *answer = answer_number(address, 8); break;
    case CU_POINTER_ATTRIBUTE_HOST_POINTER:
        if (!host && !managed)
            return CUDA_ERROR_INVALID_VALUE;
        *answer = answer_number(address, 8);
        break;
    case CU_POINTER_ATTRIBUTE_SYNC_MEMOPS: *answer = answer_number(view->sync_memops, 4); break;
    case CU_POINTER_ATTRIBUTE_BUFFER_ID: *answer = answer_number(view->serial, 8); break;
    case CU_POINTER_ATTRIBUTE_IS_MANAGED: *answer = answer_number(managed, 4); break;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: *answer = answer_number((uint32_t)ordinal, 4); break;
    case CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE:
        *answer = answer_number(view->kind == RANGE_DEVICE, 4);
        break;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: *answer = answer_number(view->base, 8); break;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE: *answer = answer_number(view->bytes, 8); break;
    case CU_POINTER_ATTRIBUTE_MAPPED: *answer = answer_number(1, 4); break;
    case CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES:
        *answer = answer_number(handle_types(view), 8);
        break;
    case CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE: *answer = answer_number(0, 4); break;
    case CU_POINTER_ATTRIBUTE_ACCESS_FLAGS: *answer = answer_number(ACCESS_READ_WRITE, 4); break;
    case CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE:
        *answer =
            answer_number(view->kind == RANGE_POOL ? (uintptr_t)pool_of_range(view->range) : 0, 8);
        break;
    case CU_POINTER_ATTRIBUTE_MAPPING_SIZE: *answer = answer_number(view->extent_bytes, 8); break;
    case CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR: *answer = answer_number(view->base, 8); break;
    case CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID: *answer = answer_number(view->serial, 8); break;
    case CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE: *answer = answer_number(0, 4); break;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
    return CUDA_SUCCESS;
}

CUresult sim_cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr address)
{
    if (data == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct memory_view view;
    struct answer answer;
    CUresult result = CUDA_ERROR_INVALID_VALUE;
    if (memory_look(address, &view))
        result = describe_attribute(&view, attribute, address, &answer);
    if (result == CUDA_SUCCESS)
        memcpy(data, &answer.value, answer.bytes);
    return sim_unlock_with(result);
}

/* The size of an attribute's value; 0 if it is none. */
static size_t attribute_bytes(CUpointer_attribute attribute)
{
    static const struct memory_view any = { .kind = RANGE_MANAGED };
    struct answer answer;
    return describe_attribute(&any, attribute, 0, &answer) == CUDA_SUCCESS ? answer.bytes : 0;
}

/* Documented: an attribute that the pointer does not have is answered with its default, which is
 * zero but for the device ordinal, and the call succeeds. */
CUresult sim_cuPointerGetAttributes(unsigned int count, CUpointer_attribute *attributes,
                                    void **data, CUdeviceptr address)
{
    if (attributes == NULL || data == NULL || count == 0)
        return CUDA_ERROR_INVALID_VALUE;
    for (unsigned int i = 0; i < count; i++)
        if (attribute_bytes(attributes[i]) == 0 || data[i] == NULL)
            return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct memory_view view;
    bool known = memory_look(address, &view);
    for (unsigned int i = 0; i < count; i++) {
        struct answer answer = answer_number(0, attribute_bytes(attributes[i]));
        if (attributes[i] == CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL)
            answer.value = UINT32_MAX - 1; /* CU_DEVICE_INVALID */
        if (known)
            describe_attribute(&view, attributes[i], address, &answer);
        memcpy(data[i], &answer.value, answer.bytes);
    }
    return sim_unlock_with(CUDA_SUCCESS);
}

/* SYNC_MEMOPS is the one that can be set; copies are synchronous anyway. */
CUresult sim_cuPointerSetAttribute(const void *value, CUpointer_attribute attribute,
                                   CUdeviceptr address)
{
    if (value == NULL || attribute != CU_POINTER_ATTRIBUTE_SYNC_MEMOPS)
        return CUDA_ERROR_INVALID_VALUE;
    unsigned int set;
    memcpy(&set, value, sizeof(set));
    sim_lock_all();
    struct memory_view view;
    if (!memory_look(address, &view))
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    if (view.range != NULL)
        view.range->sync_memops = set != 0;
    else
        small_set_sync_memops(address, set != 0);
    return sim_unlock_with(CUDA_SUCCESS);
}
