#include "graph_memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "arena.h"
#include "function_table.h"
#include "memory.h"
#include "range.h"
#include "shared.h"
#include "state.h"

#define ATTR_USED_CURRENT     0
#define ATTR_USED_HIGH        1
#define ATTR_RESERVED_CURRENT 2
#define ATTR_RESERVED_HIGH    3

struct account {
    uint64_t live;   /* bytes of allocations */
    uint64_t mapped; /* bytes that executable graphs have memory behind */
    uint64_t used, used_high, reserved, reserved_high; /* bytes; used: live or mapped */
    uint64_t trims;
};

static struct account accounts[MAX_DEVICES]; /* by ordinal */
static struct graph_memory *memories;

struct graph_memory *graph_memory_create(int ordinal, uint64_t bytes)
{
    struct graph_memory *memory = calloc(1, sizeof(*memory));
    uint64_t extent = memory_round_up(bytes);
    uint64_t address = memory != NULL && extent != 0 ? arena_take(extent) : 0;
    if (address == 0) {
        free(memory);
        return NULL;
    }
    *memory = (struct graph_memory){ memories, ordinal, address, bytes, extent, 1, NULL };
    memories = memory;
    return memory;
}

void graph_memory_hold(struct graph_memory *memory)
{
    memory->holders++;
}

/* The address is given up when no node has it and no allocation lives at it. */
static void end_if_unused(struct graph_memory *memory)
{
    if (memory->holders > 0 || memory->range != NULL)
        return;
    struct graph_memory **link = &memories;
    while (*link != memory)
        link = &(*link)->next;
    *link = memory->next;
    arena_give(memory->address, memory->extent_bytes);
    free(memory);
}

void graph_memory_drop(struct graph_memory *memory)
{
    memory->holders--;
    end_if_unused(memory);
}

struct graph_memory *graph_memory_find(uint64_t address)
{
    struct graph_memory *memory = memories;
    while (memory != NULL && memory->address != address)
        memory = memory->next;
    return memory;
}

static void raise_high(uint64_t current, uint64_t *high)
{
    if (current > *high)
        *high = current;
}

/* Live allocations lie in memory that is mapped, or was when they were made. */
static void update_used(struct account *account)
{
    account->used = account->live > account->mapped ? account->live : account->mapped;
    raise_high(account->used, &account->used_high);
}

uint64_t graph_memory_live(int ordinal)
{
    return accounts[ordinal].live;
}

void graph_memory_set_mapped(int ordinal, uint64_t bytes)
{
    accounts[ordinal].mapped = bytes;
    update_used(&accounts[ordinal]);
}

uint64_t graph_memory_trims(int ordinal)
{
    return accounts[ordinal].trims;
}

CUresult graph_memory_reserve(int ordinal, uint64_t bytes)
{
    struct account *account = &accounts[ordinal];
    if (bytes <= account->reserved)
        return CUDA_SUCCESS;
    if (shared_take(sim_devices[ordinal], bytes - account->reserved) != 0)
        return CUDA_ERROR_OUT_OF_MEMORY;
    account->reserved = bytes;
    raise_high(account->reserved, &account->reserved_high);
    return CUDA_SUCCESS;
}

CUresult graph_memory_begin(struct graph_memory *memory, struct context *context)
{
    struct range *range = calloc(1, sizeof(*range));
    if (range == NULL)
        return CUDA_ERROR_OUT_OF_MEMORY;
    range->kind = RANGE_GRAPH;
    range->base = memory->address;
    range->bytes = memory->bytes;
    range->extent_bytes = memory->extent_bytes;
    range->serial = range_new_serial();
    range->context = context;
    range->detail = memory;
    range_add(range);
    memory->range = range;
    accounts[memory->ordinal].live += memory->extent_bytes;
    update_used(&accounts[memory->ordinal]);
    return CUDA_SUCCESS;
}

void graph_memory_end(struct graph_memory *memory)
{
    range_remove(memory->range);
    free(memory->range);
    memory->range = NULL;
    accounts[memory->ordinal].live -= memory->extent_bytes;
    update_used(&accounts[memory->ordinal]);
    madvise((void *)(uintptr_t)memory->address, memory->extent_bytes, MADV_DONTNEED);
    end_if_unused(memory);
}

void graph_memory_end_range(struct range *range)
{
    graph_memory_end(range->detail);
}

/* Documented: what no allocation lives in and no graph is running on goes, even if graphs have
 * memory behind them; they get it anew when they are launched again. */
void graph_memory_trim(int ordinal)
{
    struct account *account = &accounts[ordinal];
    account->trims++;
    account->mapped = 0;
    update_used(account);
    if (account->reserved > account->used)
        shared_give(sim_devices[ordinal], account->reserved - account->used);
    account->reserved = account->used;
}

static uint64_t *account_counter(int ordinal, CUgraphMem_attribute attribute)
{
    struct account *account = &accounts[ordinal];
    switch (attribute) {
    case ATTR_USED_CURRENT: return &account->used;
    case ATTR_USED_HIGH: return &account->used_high;
    case ATTR_RESERVED_CURRENT: return &account->reserved;
    case ATTR_RESERVED_HIGH: return &account->reserved_high;
    default: return NULL;
    }
}

CUresult sim_cuDeviceGetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attribute,
                                          void *value)
{
    if (device < 0 || device >= sim_device_count)
        return CUDA_ERROR_INVALID_DEVICE;
    const uint64_t *bytes = account_counter(device, attribute);
    if (value == NULL || bytes == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    memcpy(value, bytes, sizeof(*bytes));
    return sim_unlock_with(CUDA_SUCCESS);
}

/* Documented: the high-water marks can be reset, by setting them to 0. */
CUresult sim_cuDeviceSetGraphMemAttribute(CUdevice device, CUgraphMem_attribute attribute,
                                          void *value)
{
    if (device < 0 || device >= sim_device_count)
        return CUDA_ERROR_INVALID_DEVICE;
    uint64_t bytes;
    if (value == NULL || (attribute != ATTR_USED_HIGH && attribute != ATTR_RESERVED_HIGH))
        return CUDA_ERROR_INVALID_VALUE;
    memcpy(&bytes, value, sizeof(bytes));
    if (bytes != 0)
        return CUDA_ERROR_INVALID_VALUE;
    sim_lock_all();
    *account_counter(device, attribute) =
        *account_counter(device, attribute - 1); /* the current value */
    return sim_unlock_with(CUDA_SUCCESS);
}

CUresult sim_cuDeviceGraphMemTrim(CUdevice device)
{
    if (device < 0 || device >= sim_device_count)
        return CUDA_ERROR_INVALID_DEVICE;
    sim_lock_all();
    graph_memory_trim(device);
    return sim_unlock_with(CUDA_SUCCESS);
}
