/* Wrappers of the NVML functions that tell how much memory a device has: of a device that is
 * limited, and that the program can use through CUDA, they tell the limit. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/plain_text.h"
#include "guard/guard.h"
#include "hook/nvml.h"

/* The program's ordinal of the device, -1 when CUDA does not know it (yet): NVML numbers devices
 * otherwise, so the UUID decides. A MIG instance is "MIG-" to NVML and "GPU-" with the same digits
 * to CUDA. Creates no context. */
static int ordinal_of(nvmlDevice_t device)
{
    enum { PREFIX = 4 };
    char wanted[96], uuid[48];
    int count = 0;
    if (!vg_nvml_real.nvmlDeviceGetUUID || !vg_driver.cuDeviceGetCount ||
        vg_nvml_real.nvmlDeviceGetUUID(device, wanted, sizeof wanted) != NVML_SUCCESS ||
        vg_driver.cuDeviceGetCount(&count) != CUDA_SUCCESS || strlen(wanted) <= PREFIX)
        return -1;
    for (int ordinal = 0; ordinal < count; ordinal++) {
        vg_driver_device_uuid(ordinal, uuid, sizeof uuid);
        if (strlen(uuid) > PREFIX && strcasecmp(uuid + PREFIX, wanted + PREFIX) == 0)
            return ordinal;
    }
    return -1;
}

/* The limit of the device and what it leaves. A process that has not loaded CUDA is not looked at.
 */
static bool limit_of(nvmlDevice_t device, uint64_t *out_limit_bytes, uint64_t *out_left_bytes)
{
    const int saved_errno = errno;
    bool limited = false;
    if (vg_driver_bind() && vg_process_limited()) {
        const int ordinal = ordinal_of(device);
        limited = ordinal >= 0 && vg_process_limit_of(ordinal, out_limit_bytes, out_left_bytes);
    }
    errno = saved_errno;
    return limited;
}

static unsigned long long lesser_bytes(unsigned long long a, uint64_t b)
{
    return a < b ? a : b;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *memory)
{
    uint64_t limit_bytes, left_bytes;
    if (!vg_nvml_bind())
        return NVML_ERROR_UNINITIALIZED;
    if (!vg_nvml_real.nvmlDeviceGetMemoryInfo)
        return NVML_ERROR_FUNCTION_NOT_FOUND;
    const nvmlReturn_t result = vg_nvml_real.nvmlDeviceGetMemoryInfo(device, memory);
    if (result != NVML_SUCCESS || !limit_of(device, &limit_bytes, &left_bytes))
        return result;
    memory->total = lesser_bytes(memory->total, limit_bytes);
    memory->free = lesser_bytes(memory->free, left_bytes);
    memory->used = memory->total - memory->free;
    return result;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *memory)
{
    uint64_t limit_bytes, left_bytes;
    if (!vg_nvml_bind())
        return NVML_ERROR_UNINITIALIZED;
    if (!vg_nvml_real.nvmlDeviceGetMemoryInfo_v2)
        return NVML_ERROR_FUNCTION_NOT_FOUND;
    const nvmlReturn_t result = vg_nvml_real.nvmlDeviceGetMemoryInfo_v2(device, memory);
    if (result != NVML_SUCCESS || !limit_of(device, &limit_bytes, &left_bytes))
        return result;
    memory->total = lesser_bytes(memory->total, limit_bytes);
    memory->free = lesser_bytes(memory->free, left_bytes);
    memory->reserved = lesser_bytes(memory->reserved, memory->total - memory->free);
    memory->used = memory->total - memory->free - memory->reserved;
    return result;
}

static void *wrapper_of(int id)
{
    switch (id) {
#define VG_NVML(symbol, ...)                                                                       \
    case VG_NVML_FN_##symbol:                                                                      \
        return (void *)(uintptr_t)symbol;
#include "driver/nvml_table.h"
#undef VG_NVML
    }
    return NULL;
}

static int find_function(const char *symbol)
{
    for (int id = 0; id < VG_NVML_FN_COUNT; id++)
        if (vg_plain_equal(vg_nvml_symbols[id], symbol))
            return id;
    return -1;
}

void *vg_nvml_wrapper(const char *symbol)
{
    return wrapper_of(find_function(symbol));
}

void *vg_nvml_wrapper_for_symbol(const char *symbol, void *found)
{
    const int id = find_function(symbol);
    if (id < 0 || !found || !vg_nvml_bind() || vg_nvml_address((enum vg_nvml_id)id) != found)
        return found;
    return wrapper_of(id);
}
