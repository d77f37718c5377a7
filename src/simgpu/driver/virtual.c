/* The functions of the "Virtual Memory Management" section of the "CUDA Driver API". */
#include "virtual.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "function_table.h"
#include "options.h"
#include "physical.h"
#include "state.h"
#include "tree.h"

#define GRANULARITY       BLOCK_BYTES
#define ALLOCATION_PINNED 1
#define HANDLE_FD         1
#define ACCESS_READ       1
#define ACCESS_READ_WRITE 3
#define HOST_SLOT         MAX_DEVICES /* in the access flags, behind the devices */

struct reservation {
    struct tree_node node;
    uint64_t base, bytes;
};

struct mapping {
    struct physical *physical;
    int access[MAX_DEVICES + 1]; /* CUmemAccess_flags by ordinal */
};

static int order_by_base(const struct tree_node *a, const struct tree_node *b)
{
    uint64_t x = TREE_ENTRY(a, const struct reservation, node)->base;
    uint64_t y = TREE_ENTRY(b, const struct reservation, node)->base;
    return (x > y) - (x < y);
}

static struct tree reservations = { NULL, order_by_base };

static struct reservation *find_reservation(uint64_t address)
{
    struct reservation key = { .base = address };
    struct tree_node *node = tree_floor(&reservations, &key.node);
    struct reservation *found = node != NULL ? TREE_ENTRY(node, struct reservation, node) : NULL;
    return found != NULL && address - found->base < found->bytes ? found : NULL;
}

static bool is_whole(uint64_t bytes)
{
    return bytes > 0 && bytes % GRANULARITY == 0;
}

static void *pages_at(uint64_t address)
{
    return (void *)(uintptr_t)address;
}

const struct physical *virtual_physical(const struct range *range)
{
    return ((const struct mapping *)range->detail)->physical;
}

bool virtual_is_accessible(const struct range *range)
{
    const struct mapping *mapping = range->detail;
    for (int i = 0; i <= HOST_SLOT; i++)
        if (mapping->access[i] != 0)
            return true;
    return false;
}

/* Reserves at the hint if that is free, and anywhere else if not. */
static uint64_t reserve_pages(uint64_t hint, uint64_t bytes, uint64_t alignment)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    if (hint != 0 && hint % alignment == 0 &&
        mmap(pages_at(hint), bytes, PROT_NONE, flags | MAP_FIXED_NOREPLACE, -1, 0) ==
            pages_at(hint))
        return hint;
    void *pages = mmap(NULL, bytes + alignment, PROT_NONE, flags, -1, 0);
    if (pages == MAP_FAILED)
        return 0;
    uint64_t first = (uint64_t)(uintptr_t)pages;
    uint64_t base = (first + alignment - 1) / alignment * alignment;
    if (base > first)
        munmap(pages, base - first);
    munmap(pages_at(base + bytes), first + alignment - base);
    return base;
}

CUresult sim_cuMemAddressReserve(CUdeviceptr *address, size_t bytes, size_t alignment,
                                 CUdeviceptr hint, unsigned long long flags)
{
    if (address == NULL || !is_whole(bytes) || bytes > SIZE_MAX / 2 || flags != 0 ||
        (alignment & (alignment - 1)) != 0 || alignment > SIZE_MAX / 4)
        return CUDA_ERROR_INVALID_VALUE;
    struct reservation *reservation = calloc(1, sizeof(*reservation));
    if (reservation == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    reservation->bytes = bytes;
    reservation->base =
        reserve_pages(hint, bytes, alignment > GRANULARITY ? alignment : GRANULARITY);
    if (reservation->base == 0) {
        free(reservation);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    sim_lock_all();
    tree_insert(&reservations, &reservation->node);
    sim_unlock_all();
    *address = reservation->base;
    return CUDA_SUCCESS;
}

CUresult sim_cuMemAddressFree(CUdeviceptr address, size_t bytes)
{
    sim_lock_all();
    struct reservation *reservation = find_reservation(address);
    if (reservation == NULL || reservation->base != address || reservation->bytes != bytes ||
        range_overlaps(address, bytes))
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    tree_remove(&reservations, &reservation->node);
    munmap(pages_at(address), bytes);
    free(reservation);
    return sim_unlock_with(CUDA_SUCCESS);
}

/* Checks the properties and finds whose memory is asked for: `*ordinal` is -1 for the host's. */
static CUresult check_properties(const CUmemAllocationProp *properties, int *ordinal)
{
    if (properties == NULL || properties->type != ALLOCATION_PINNED)
        return CUDA_ERROR_INVALID_VALUE;
    if (properties->requestedHandleTypes != 0 && properties->requestedHandleTypes != HANDLE_FD)
        return CUDA_ERROR_NOT_SUPPORTED;
    switch (properties->location.type) {
    case CU_MEM_LOCATION_TYPE_DEVICE:
        *ordinal = properties->location.id;
        return *ordinal >= 0 && *ordinal < sim_device_count ? CUDA_SUCCESS
                                                            : CUDA_ERROR_INVALID_DEVICE;
    case CU_MEM_LOCATION_TYPE_HOST:
    case CU_MEM_LOCATION_TYPE_HOST_NUMA:
    case CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT: *ordinal = -1; return CUDA_SUCCESS;
    default: return CUDA_ERROR_INVALID_VALUE;
    }
}

CUresult sim_cuMemGetAllocationGranularity(size_t *granularity,
                                           const CUmemAllocationProp *properties,
                                           CUmemAllocationGranularity_flags option)
{
    int ordinal;
    if (granularity == NULL || option < 0 || option > 1)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = check_properties(properties, &ordinal);
    if (result == CUDA_SUCCESS)
        *granularity = GRANULARITY;
    return result;
}

CUresult sim_cuMemCreate(CUmemGenericAllocationHandle *handle, size_t bytes,
                         const CUmemAllocationProp *properties, unsigned long long flags)
{
    int ordinal;
    if (handle == NULL || !is_whole(bytes) || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    CUresult result = check_properties(properties, &ordinal);
    if (result != CUDA_SUCCESS)
        return result;
    sim_lock_all();
    struct physical *physical;
    result = physical_create(properties, bytes, ordinal, &physical);
    if (result == CUDA_SUCCESS)
        *handle = physical->handle;
    return sim_unlock_with(result);
}

CUresult sim_cuMemRelease(CUmemGenericAllocationHandle handle)
{
    sim_lock_all();
    struct physical *physical = physical_get(handle);
    if (physical != NULL)
        physical_release(physical);
    return sim_unlock_with(physical != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

/* Documented: the same handle as was mapped, with one more reference. */
CUresult sim_cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *address)
{
    if (handle == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct range *range = range_find((uint64_t)(uintptr_t)address);
    if (range == NULL || range->kind != RANGE_MAPPED)
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    struct physical *physical = ((struct mapping *)range->detail)->physical;
    physical->references++;
    *handle = physical->handle;
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp *properties,
                                                    CUmemGenericAllocationHandle handle)
{
    if (properties == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct physical *physical = physical_get(handle);
    if (physical != NULL)
        *properties = physical->properties;
    return sim_unlock_with(physical != NULL ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

/* Maps the handle's pages without access. Called with sim_lock held, all arguments checked. */
static CUresult map_pages(uint64_t address, uint64_t bytes, struct physical *physical)
{
    struct range *range = calloc(1, sizeof(*range));
    struct mapping *mapping = calloc(1, sizeof(*mapping));
    void *pages = MAP_FAILED;
    uint64_t offset;
    int fd = physical_file(physical, &offset);
    if (range != NULL && mapping != NULL)
        pages =
            mmap(pages_at(address), bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, fd, (off_t)offset);
    if (pages == MAP_FAILED) {
        free(range);
        free(mapping);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    mapping->physical = physical;
    physical->mappings++;
    range->kind = RANGE_MAPPED;
    range->base = address;
    range->bytes = bytes;
    range->extent_bytes = bytes;
    range->serial = range_new_serial();
    range->detail = mapping;
    range_add(range);
    return CUDA_SUCCESS;
}

CUresult sim_cuMemMap(CUdeviceptr address, size_t bytes, size_t offset,
                      CUmemGenericAllocationHandle handle, unsigned long long flags)
{
    if (!is_whole(bytes) || address % GRANULARITY != 0 || offset != 0 || flags != 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct physical *physical = physical_get(handle);
    const struct reservation *reservation = find_reservation(address);
    if (physical == NULL || bytes > physical->bytes || reservation == NULL ||
        bytes > reservation->bytes - (address - reservation->base) ||
        range_overlaps(address, bytes))
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    return sim_unlock_with(map_pages(address, bytes, physical));
}

/* Whether [address, address + bytes) consists of whole mappings without a gap. */
static bool is_mapped(uint64_t address, uint64_t bytes)
{
    uint64_t end = address + bytes;
    if (bytes == 0 || end < address)
        return false;
    while (address < end) {
        const struct range *range = range_find_base(address, RANGE_MAPPED);
        if (range == NULL || range->bytes > end - address)
            return false;
        address += range->bytes;
    }
    return true;
}

/* Documented: a mapping cannot be unmapped in part. */
CUresult sim_cuMemUnmap(CUdeviceptr address, size_t bytes)
{
    sim_lock_all();
    if (!is_mapped(address, bytes))
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    /* One call for all: the addresses stay reserved. */
    if (mmap(pages_at(address), bytes, PROT_NONE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == MAP_FAILED)
        return sim_unlock_with(CUDA_ERROR_UNKNOWN);
    for (uint64_t end = address + bytes; address < end;) {
        struct range *range = range_find_base(address, RANGE_MAPPED);
        struct mapping *mapping = range->detail;
        address += range->bytes;
        range_remove(range);
        physical_unmapped(mapping->physical);
        free(mapping);
        free(range);
    }
    return sim_unlock_with(CUDA_SUCCESS);
}

/* The place of a location in the access flags, or -1. */
static int access_slot(const CUmemLocation *location)
{
    if (location->type == CU_MEM_LOCATION_TYPE_DEVICE)
        return location->id >= 0 && location->id < sim_device_count ? location->id : -1;
    bool host = location->type == CU_MEM_LOCATION_TYPE_HOST ||
                location->type == CU_MEM_LOCATION_TYPE_HOST_NUMA ||
                location->type == CU_MEM_LOCATION_TYPE_HOST_NUMA_CURRENT;
    return host ? HOST_SLOT : -1;
}

/* The pages get the widest access that any location has: here all of them are the same host. */
static int page_protection(const struct mapping *mapping)
{
    int flags = 0;
    for (int i = 0; i <= HOST_SLOT; i++)
        flags |= mapping->access[i];
    return flags == ACCESS_READ_WRITE ? PROT_READ | PROT_WRITE
           : flags == ACCESS_READ     ? PROT_READ
                                      : PROT_NONE;
}

CUresult sim_cuMemSetAccess(CUdeviceptr address, size_t bytes, const CUmemAccessDesc *access,
                            size_t count)
{
    if (access == NULL || count == 0)
        return CUDA_ERROR_INVALID_VALUE;
    for (size_t i = 0; i < count; i++) {
        if (access[i].flags != 0 && access[i].flags != ACCESS_READ &&
            access[i].flags != ACCESS_READ_WRITE)
            return CUDA_ERROR_INVALID_VALUE;
        if (access_slot(&access[i].location) < 0)
            return CUDA_ERROR_INVALID_DEVICE;
    }
    sim_lock_all();
    if (!is_mapped(address, bytes))
        return sim_unlock_with(CUDA_ERROR_INVALID_VALUE);
    for (uint64_t end = address + bytes; address < end;) {
        struct range *range = range_find_base(address, RANGE_MAPPED);
        struct mapping *mapping = range->detail;
        for (size_t i = 0; i < count; i++)
            mapping->access[access_slot(&access[i].location)] = access[i].flags;
        mprotect(pages_at(address), range->bytes, page_protection(mapping));
        address += range->bytes;
    }
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuMemGetAccess(unsigned long long *flags, const CUmemLocation *location,
                            CUdeviceptr address)
{
    if (flags == NULL || location == NULL || access_slot(location) < 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct range *range = range_find(address);
    bool mapped = range != NULL && range->kind == RANGE_MAPPED;
    if (mapped)
        *flags = (unsigned)((const struct mapping *)range->detail)->access[access_slot(location)];
    return sim_unlock_with(mapped ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE);
}

/* Documented: only memory created with the handle type can be exported as that type. */
CUresult sim_cuMemExportToShareableHandle(void *shareable, CUmemGenericAllocationHandle handle,
                                          CUmemAllocationHandleType type, unsigned long long flags)
{
    if (shareable == NULL || flags != 0 || type != HANDLE_FD)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    const struct physical *physical = physical_get(handle);
    int fd = physical != NULL ? physical_export(physical) : -EINVAL;
    if (fd >= 0)
        *(int *)shareable = fd;
    return sim_unlock_with(fd >= 0         ? CUDA_SUCCESS
                           : fd == -EINVAL ? CUDA_ERROR_INVALID_VALUE
                                           : CUDA_ERROR_OPERATING_SYSTEM);
}

/* Documented: a file descriptor is passed by value, cast to a pointer. */
CUresult sim_cuMemImportFromShareableHandle(CUmemGenericAllocationHandle *handle, void *shareable,
                                            CUmemAllocationHandleType type)
{
    if (handle == NULL || type != HANDLE_FD)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    struct physical *physical;
    CUresult result = physical_import((int)(intptr_t)shareable, &physical);
    if (result == CUDA_SUCCESS)
        *handle = physical->handle;
    return sim_unlock_with(result);
}
