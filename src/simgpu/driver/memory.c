/* cuMemAlloc and its relatives ("CUDA Driver API", section "Memory Management"). */
#include "memory.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "arena.h"
#include "capture.h"
#include "device_attributes.h"
#include "function_table.h"
#include "graph_memory.h"
#include "ipc.h"
#include "managed.h"
#include "pool.h"
#include "shared.h"
#include "small.h"
#include "state.h"
#include "virtual.h"

#define PITCH_ALIGNMENT 512
#define PAGE_BYTES      4096

uint64_t memory_round_up(uint64_t bytes)
{
    return bytes > UINT64_MAX - BLOCK_BYTES ? 0
                                            : (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
}

static CUresult take_blocks(struct context *context, uint64_t bytes,
                            uint64_t (*take)(uint64_t bytes), CUdeviceptr *address)
{
    uint64_t extent = memory_round_up(bytes);
    if (extent == 0 || shared_take(context->device, extent) != 0)
        return CUDA_ERROR_OUT_OF_MEMORY;
    uint64_t base = take(extent);
    struct range *range = base != 0 ? calloc(1, sizeof(*range)) : NULL;
    if (range == NULL) {
        if (base != 0)
            arena_give(base, extent);
        shared_give(context->device, extent);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    range->kind = RANGE_DEVICE;
    range->base = base;
    range->bytes = bytes;
    range->extent_bytes = extent;
    range->serial = range_new_serial();
    range->context = context;
    range_add(range);
    *address = base;
    return CUDA_SUCCESS;
}

CUresult memory_take(struct context *context, uint64_t bytes, CUdeviceptr *address)
{
    if (bytes >= SMALL_LIMIT_BYTES)
        return take_blocks(context, bytes, arena_take, address);
    uint64_t base;
    if (small_take(context->heap, bytes, range_new_serial(), &base) != 0)
        return CUDA_ERROR_OUT_OF_MEMORY;
    *address = base;
    return CUDA_SUCCESS;
}

CUresult memory_take_low(struct context *context, uint64_t bytes, CUdeviceptr *address)
{
    return take_blocks(context, bytes, arena_take_low, address);
}

void *memory_map_pages(uint64_t bytes)
{
    void *pages = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return pages != MAP_FAILED ? pages : NULL;
}

void memory_unmap_pages(void *pages, uint64_t bytes)
{
    munmap(pages, bytes);
}

void memory_end_range(struct range *range)
{
    switch (range->kind) {
    case RANGE_POOL: pool_end_range(range); return;
    case RANGE_GRAPH: graph_memory_end_range(range); return;
    case RANGE_IMPORTED: ipc_end_range(range); return;
    default: break;
    }
    range_remove(range);
    if (range->kind == RANGE_DEVICE) {
        arena_give(range->base, range->extent_bytes);
        shared_give(range->context->device, range->extent_bytes);
    } else {
        memory_unmap_pages((void *)(uintptr_t)range->base, range->extent_bytes);
        free(range->detail); /* what was advised about managed memory */
    }
    free(range);
}

CUresult memory_give(CUdeviceptr address)
{
    if (small_give(address) == 0)
        return CUDA_SUCCESS;
    struct range *range = range_find(address);
    bool ours = range != NULL && (range->kind == RANGE_DEVICE || range->kind == RANGE_MANAGED ||
                                  range->kind == RANGE_POOL || range->kind == RANGE_GRAPH);
    if (!ours || range->base != address)
        return CUDA_ERROR_INVALID_VALUE;
    memory_end_range(range);
    return CUDA_SUCCESS;
}

static void look_at_range(struct range *range, struct memory_view *view)
{
    bool host = range->kind == RANGE_HOST || range->kind == RANGE_REGISTERED;
    *view = (struct memory_view){
        .base = range->base,
        .bytes = range->bytes,
        .extent_bytes = range->extent_bytes,
        .serial = range->serial,
        .context = range->context,
        .ordinal = !host && range->context != NULL ? range->context->ordinal : -1,
        .kind = range->kind,
        .range = range,
        .sync_memops = range->sync_memops,
    };
    if (range->kind == RANGE_MAPPED)
        view->ordinal = virtual_physical(range)->ordinal;
    else if (range->kind == RANGE_IMPORTED)
        view->ordinal = ipc_ordinal(range);
}

bool memory_look(uint64_t address, struct memory_view *view)
{
    struct small_allocation small;
    if (small_find(address, &small)) {
        struct context *context = small_heap_owner(small.heap);
        *view = (struct memory_view){
            .base = small.base,
            .bytes = small.bytes,
            .extent_bytes = small.bytes,
            .serial = small.serial,
            .context = context,
            .ordinal = context->ordinal,
            .kind = RANGE_DEVICE,
            .sync_memops = small.sync_memops,
        };
        return true;
    }
    struct range *range = range_find(address);
    if (range != NULL)
        look_at_range(range, view);
    return range != NULL;
}

CUresult sim_cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
    if (address == NULL || bytes == 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS)
        result = capture_check_unsafe();
    if (result == CUDA_SUCCESS)
        result = memory_take(context, bytes, address);
    return sim_unlock_with(result);
}

CUresult sim_cuMemFree_v2(CUdeviceptr address)
{
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS)
        result = capture_check_unsafe();
    if (result == CUDA_SUCCESS && address != 0)
        result = memory_give(address);
    return sim_unlock_with(result);
}

CUresult sim_cuMemAllocPitch_v2(CUdeviceptr *address, size_t *pitch, size_t width, size_t height,
                                unsigned int element_bytes)
{
    if (address == NULL || pitch == NULL || width == 0 || height == 0 || width > MAX_PITCH_BYTES)
        return CUDA_ERROR_INVALID_VALUE;
    if (element_bytes != 4 && element_bytes != 8 && element_bytes != 16)
        return CUDA_ERROR_INVALID_VALUE;
    size_t row = (width + PITCH_ALIGNMENT - 1) / PITCH_ALIGNMENT * PITCH_ALIGNMENT;
    if (height > SIZE_MAX / row)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = sim_cuMemAlloc_v2(address, row * height);
    if (result == CUDA_SUCCESS)
        *pitch = row;
    return result;
}

/* Managed memory takes no device memory: on devices that can fault, pages move there when a kernel
 * touches them, and here no kernel does. */
CUresult sim_cuMemAllocManaged(CUdeviceptr *address, size_t bytes, unsigned int flags)
{
    if (address == NULL || bytes == 0 || bytes > SIZE_MAX - PAGE_BYTES)
        return CUDA_ERROR_INVALID_VALUE;
    if (flags != CU_MEM_ATTACH_GLOBAL && flags != CU_MEM_ATTACH_HOST)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS)
        result = capture_check_unsafe();
    if (result != CUDA_SUCCESS)
        return sim_unlock_with(result);

    uint64_t extent = (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    void *pages = memory_map_pages(extent);
    struct range *range = calloc(1, sizeof(*range));
    struct managed *managed = managed_create();
    if (pages == NULL || range == NULL || managed == NULL) {
        if (pages != NULL)
            memory_unmap_pages(pages, extent);
        free(range);
        free(managed);
        return sim_unlock_with(CUDA_ERROR_OUT_OF_MEMORY);
    }
    range->kind = RANGE_MANAGED;
    range->base = (uint64_t)(uintptr_t)pages;
    range->bytes = bytes;
    range->extent_bytes = extent;
    range->serial = range_new_serial();
    range->context = context;
    range->flags = flags;
    range->detail = managed;
    range_add(range);
    *address = range->base;
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes)
{
    if (free_bytes == NULL || total_bytes == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct context *context;
    CUresult result = context_current(&context);
    int device = result == CUDA_SUCCESS ? context->device : 0;
    sim_unlock_all();
    if (result == CUDA_SUCCESS) {
        *total_bytes = shared_total_bytes(device);
        *free_bytes = *total_bytes - shared_used_bytes(device);
    }
    return result;
}

/* Documented: both outputs are optional. */
CUresult sim_cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *bytes, CUdeviceptr address)
{
    sim_lock_all();
    struct context *context;
    struct memory_view view;
    CUresult result = context_current(&context);
    if (result == CUDA_SUCCESS && !memory_look(address, &view))
        result = CUDA_ERROR_NOT_FOUND;
    if (result == CUDA_SUCCESS) {
        if (base != NULL)
            *base = view.base;
        if (bytes != NULL)
            *bytes = view.bytes;
    }
    return sim_unlock_with(result);
}
