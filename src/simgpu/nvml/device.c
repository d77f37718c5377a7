/* Devices and their memory ("NVML API Reference Guide", section "Device Queries"). NVML counts all
 * devices of the machine: CUDA_VISIBLE_DEVICES means nothing to it. */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "../driver/device_attributes.h"
#include "../driver/options.h"
#include "../driver/shared.h"
#include "../driver/visible.h"
#include "nvml.h"

#define MEMORY_V2_VERSION (sizeof(nvmlMemory_v2_t) | 2u << 24)
#define IDLE_CELSIUS      30
#define IDLE_MILLIWATTS   50000

EXPORT nvmlReturn_t nvmlDeviceGetCount(unsigned int *count);
EXPORT nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count);
EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned int index, nvmlDevice_t *handle);
EXPORT nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *handle);
EXPORT nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *handle);
EXPORT nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char *id, nvmlDevice_t *handle);
EXPORT nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *id, nvmlDevice_t *handle);
EXPORT nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t handle, char *name, unsigned int length);
EXPORT nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t handle, char *uuid, unsigned int length);
EXPORT nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t handle, unsigned int *index);
EXPORT nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t handle, unsigned int *minor);
EXPORT nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t handle, nvmlPciInfo_t *info);
EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t handle, nvmlMemory_t *memory);
EXPORT nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t handle, nvmlMemory_v2_t *memory);
EXPORT nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t handle, unsigned int *current,
                                         unsigned int *pending);
EXPORT nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t handle, nvmlUtilization_t *rates);
EXPORT nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t handle, int sensor,
                                             unsigned int *celsius);
EXPORT nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t handle, unsigned int *milliwatts);
EXPORT nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t handle, int *major, int *minor);
EXPORT nvmlReturn_t nvmlDeviceGetComputeMode(nvmlDevice_t handle, int *mode);

/* Handles are addresses in this array. */
static struct nvml_device {
    char unused;
} handles[MAX_DEVICES];

nvmlReturn_t nvml_resolve(nvmlDevice_t handle, int *device)
{
    nvmlReturn_t result = nvml_check_initialised();
    if (result != NVML_SUCCESS)
        return result;
    for (int i = 0; i < shared_device_count(); i++) {
        if (handle == &handles[i]) {
            *device = i;
            return NVML_SUCCESS;
        }
    }
    return NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *count)
{
    nvmlReturn_t result = nvml_check_initialised();
    if (result != NVML_SUCCESS)
        return result;
    if (count == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *count = (unsigned int)shared_device_count();
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCount(unsigned int *count)
{
    return nvmlDeviceGetCount_v2(count);
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *handle)
{
    nvmlReturn_t result = nvml_check_initialised();
    if (result != NVML_SUCCESS)
        return result;
    if (handle == NULL || index >= (unsigned int)shared_device_count())
        return NVML_ERROR_INVALID_ARGUMENT;
    *handle = &handles[index];
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned int index, nvmlDevice_t *handle)
{
    return nvmlDeviceGetHandleByIndex_v2(index, handle);
}

nvmlReturn_t nvmlDeviceGetHandleByUUID(const char *uuid, nvmlDevice_t *handle)
{
    nvmlReturn_t result = nvml_check_initialised();
    if (result != NVML_SUCCESS)
        return result;
    if (uuid == NULL || handle == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (int i = 0; i < shared_device_count(); i++) {
        char text[41];
        visible_uuid_text(i, text);
        if (strcasecmp(text, uuid) == 0) {
            *handle = &handles[i];
            return NVML_SUCCESS;
        }
    }
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId_v2(const char *id, nvmlDevice_t *handle)
{
    nvmlReturn_t result = nvml_check_initialised();
    if (result != NVML_SUCCESS)
        return result;
    unsigned int domain = 0, bus, slot;
    if (id == NULL || handle == NULL ||
        (sscanf(id, "%x:%x:%x", &domain, &bus, &slot) != 3 &&
         (domain = 0, sscanf(id, "%x:%x", &bus, &slot)) != 2))
        return NVML_ERROR_INVALID_ARGUMENT;
    for (int i = 0; i < shared_device_count(); i++) {
        if (domain == 0 && (int)bus == device_pci_bus(i) && slot == 0) {
            *handle = &handles[i];
            return NVML_SUCCESS;
        }
    }
    return NVML_ERROR_NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetHandleByPciBusId(const char *id, nvmlDevice_t *handle)
{
    return nvmlDeviceGetHandleByPciBusId_v2(id, handle);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t handle, char *name, unsigned int length)
{
    int device;
    nvmlReturn_t result = nvml_resolve(handle, &device);
    return result == NVML_SUCCESS ? nvml_give_text(DEVICE_NAME, name, length) : result;
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t handle, char *uuid, unsigned int length)
{
    int device;
    nvmlReturn_t result = nvml_resolve(handle, &device);
    if (result != NVML_SUCCESS)
        return result;
    char text[41];
    visible_uuid_text(device, text);
    return nvml_give_text(text, uuid, length);
}

nvmlReturn_t nvmlDeviceGetIndex(nvmlDevice_t handle, unsigned int *index)
{
    int device;
    nvmlReturn_t result = nvml_resolve(handle, &device);
    if (result != NVML_SUCCESS)
        return result;
    if (index == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *index = (unsigned int)device;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t handle, unsigned int *minor)
{
    return nvmlDeviceGetIndex(handle, minor);
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t handle, nvmlPciInfo_t *info)
{
    int device;
    nvmlReturn_t result = nvml_resolve(handle, &device);
    if (result != NVML_SUCCESS)
        return result;
    if (info == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    memset(info, 0, sizeof(*info));
    info->bus = (unsigned int)device_pci_bus(device);
    snprintf(info->busIdLegacy, sizeof(info->busIdLegacy), "0000:%02X:00.0", info->bus);
    snprintf(info->busId, sizeof(info->busId), "00000000:%02X:00.0", info->bus);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t handle, nvmlMemory_t *memory)
{
    int device;
    nvmlReturn_t result = nvml_resolve(handle, &device);
    if (result != NVML_SUCCESS)
        return result;
    if (memory == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    memory->total = shared_total_bytes(device);
    memory->used = shared_used_bytes(device);
    memory->free = memory->total - memory->used;
    return NVML_SUCCESS;
}

/* The simulated device keeps nothing back for itself. */
nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t handle, nvmlMemory_v2_t *memory)
{
    if (memory != NULL && memory->version != MEMORY_V2_VERSION)
        return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
    nvmlMemory_t plain;
    nvmlReturn_t result = nvmlDeviceGetMemoryInfo(handle, memory != NULL ? &plain : NULL);
    if (result != NVML_SUCCESS)
        return result;
    memory->total = plain.total;
    memory->reserved = 0;
    memory->free = plain.free;
    memory->used = plain.used;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t handle, unsigned int *current, unsigned int *pending)
{
    (void)current;
    (void)pending;
    int device;
    nvmlReturn_t result = nvml_resolve(handle, &device);
    return result == NVML_SUCCESS ? NVML_ERROR_NOT_SUPPORTED : result;
}

/* Nothing ever runs on the device. */
nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t handle, nvmlUtilization_t *rates)
{
    int device;
    nvmlReturn_t result = nvml_resolve(handle, &device);
    if (result != NVML_SUCCESS)
        return result;
    if (rates == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *rates = (nvmlUtilization_t){ 0, 0 };
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t handle, int sensor, unsigned int *celsius)
{
    int device;
    nvmlReturn_t result = nvml_resolve(handle, &device);
    if (result != NVML_SUCCESS)
        return result;
    if (celsius == NULL || sensor != 0)
        return NVML_ERROR_INVALID_ARGUMENT;
    *celsius = IDLE_CELSIUS;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t handle, unsigned int *milliwatts)
{
    int device;
    nvmlReturn_t result = nvml_resolve(handle, &device);
    if (result != NVML_SUCCESS)
        return result;
    if (milliwatts == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *milliwatts = IDLE_MILLIWATTS;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t handle, int *major, int *minor)
{
    int device;
    nvmlReturn_t result = nvml_resolve(handle, &device);
    if (result != NVML_SUCCESS)
        return result;
    if (major == NULL || minor == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    device_attribute(device, ATTRIBUTE_CAPABILITY_MAJOR, major);
    device_attribute(device, ATTRIBUTE_CAPABILITY_MINOR, minor);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeMode(nvmlDevice_t handle, int *mode)
{
    int device;
    nvmlReturn_t result = nvml_resolve(handle, &device);
    if (result != NVML_SUCCESS)
        return result;
    if (mode == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *mode = 0; /* shared by all processes */
    return NVML_SUCCESS;
}
