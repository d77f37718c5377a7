/* Devices ("CUDA Driver API", section "Device Management"). */
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "context.h"
#include "device_attributes.h"
#include "function_table.h"
#include "options.h"
#include "shared.h"
#include "state.h"

static CUresult check_device(CUdevice device)
{
    return device >= 0 && device < sim_device_count ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult sim_cuDeviceGet(CUdevice *device, int ordinal)
{
    if (device == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (check_device(ordinal) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    *device = ordinal;
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceGetCount(int *count)
{
    if (count == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    *count = sim_device_count;
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceGetName(char *name, int length, CUdevice device)
{
    if (name == NULL || length <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (check_device(device) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    snprintf(name, (size_t)length, "%s", DEVICE_NAME);
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceGetUuid(CUuuid *uuid, CUdevice device)
{
    if (uuid == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (check_device(device) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    unsigned char bytes[UUID_BYTES];
    shared_device_uuid(sim_devices[device], bytes);
    memcpy(uuid->bytes, bytes, sizeof(uuid->bytes));
    return CUDA_SUCCESS;
}

/* Differs from the first version under MIG only. */
CUresult sim_cuDeviceGetUuid_v2(CUuuid *uuid, CUdevice device)
{
    return sim_cuDeviceGetUuid(uuid, device);
}

/* Locally unique identifiers exist on Windows only. */
CUresult sim_cuDeviceGetLuid(char *luid, unsigned int *node_mask, CUdevice device)
{
    (void)luid;
    (void)node_mask;
    return check_device(device) != CUDA_SUCCESS ? CUDA_ERROR_INVALID_DEVICE
                                                : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult sim_cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
    if (bytes == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (check_device(device) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    *bytes = shared_total_bytes(sim_devices[device]);
    return CUDA_SUCCESS;
}

/* 32 bits: what does not fit is reported as the most that does. */
CUresult sim_cuDeviceTotalMem(unsigned int *bytes, CUdevice device)
{
    size_t total;
    CUresult result =
        bytes != NULL ? sim_cuDeviceTotalMem_v2(&total, device) : CUDA_ERROR_INVALID_VALUE;
    if (result == CUDA_SUCCESS)
        *bytes = total > UINT32_MAX ? UINT32_MAX : (unsigned int)total;
    return result;
}

CUresult sim_cuDeviceGetAttribute(int *value, CUdevice_attribute attribute, CUdevice device)
{
    if (value == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (check_device(device) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    return device_attribute(sim_devices[device], attribute, value);
}

static int attribute_of(CUdevice device, CUdevice_attribute attribute)
{
    int value = 0;
    device_attribute(sim_devices[device], attribute, &value);
    return value;
}

CUresult sim_cuDeviceGetProperties(CUdevprop *properties, CUdevice device)
{
    if (properties == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (check_device(device) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    properties->maxThreadsPerBlock = attribute_of(device, ATTRIBUTE_MAX_THREADS_PER_BLOCK);
    for (int i = 0; i < 3; i++) {
        properties->maxThreadsDim[i] = attribute_of(device, ATTRIBUTE_MAX_BLOCK_DIM_X + i);
        properties->maxGridSize[i] = attribute_of(device, ATTRIBUTE_MAX_GRID_DIM_X + i);
    }
    properties->sharedMemPerBlock = attribute_of(device, ATTRIBUTE_SHARED_MEMORY_PER_BLOCK);
    properties->totalConstantMemory = attribute_of(device, ATTRIBUTE_CONSTANT_MEMORY);
    properties->SIMDWidth = attribute_of(device, ATTRIBUTE_WARP_SIZE);
    properties->memPitch = attribute_of(device, ATTRIBUTE_MAX_PITCH);
    properties->regsPerBlock = attribute_of(device, ATTRIBUTE_REGISTERS_PER_BLOCK);
    properties->clockRate = attribute_of(device, ATTRIBUTE_CLOCK_RATE);
    properties->textureAlign = attribute_of(device, ATTRIBUTE_TEXTURE_ALIGNMENT);
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceComputeCapability(int *major, int *minor, CUdevice device)
{
    if (major == NULL || minor == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (check_device(device) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    *major = attribute_of(device, ATTRIBUTE_CAPABILITY_MAJOR);
    *minor = attribute_of(device, ATTRIBUTE_CAPABILITY_MINOR);
    return CUDA_SUCCESS;
}

/* Accepts the documented forms [domain]:[bus]:[device].[function], [domain]:[bus]:[device] and
 * [bus]:[device].[function], all in hexadecimal. */
CUresult sim_cuDeviceGetByPCIBusId(CUdevice *device, const char *id)
{
    if (device == NULL || id == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    unsigned int domain = 0, bus, slot, function = 0;
    int end = 0;
    bool valid = (sscanf(id, "%x:%x:%x.%x%n", &domain, &bus, &slot, &function, &end) == 4 ||
                  sscanf(id, "%x:%x:%x%n", &domain, &bus, &slot, &end) == 3 ||
                  (domain = 0, sscanf(id, "%x:%x.%x%n", &bus, &slot, &function, &end) == 3)) &&
                 id[end] == '\0';
    if (!valid)
        return CUDA_ERROR_INVALID_VALUE;
    for (int i = 0; i < sim_device_count; i++) {
        if (domain == 0 && (int)bus == device_pci_bus(sim_devices[i]) && slot == 0 &&
            function == 0) {
            *device = i;
            return CUDA_SUCCESS;
        }
    }
    return CUDA_ERROR_INVALID_DEVICE;
}

CUresult sim_cuDeviceGetPCIBusId(char *id, int length, CUdevice device)
{
    if (id == NULL || length <= 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (check_device(device) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    snprintf(id, (size_t)length, "0000:%02x:00.0", (unsigned)device_pci_bus(sim_devices[device]));
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceCanAccessPeer(int *can, CUdevice device, CUdevice peer)
{
    if (can == NULL)
        return CUDA_ERROR_INVALID_VALUE;
    if (check_device(device) != CUDA_SUCCESS || check_device(peer) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    *can = device != peer;
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceGetP2PAttribute(int *value, CUdevice_P2PAttribute attribute, CUdevice from,
                                     CUdevice to)
{
    if (value == NULL || attribute < 1 || attribute > 5)
        return CUDA_ERROR_INVALID_VALUE;
    if (check_device(from) != CUDA_SUCCESS || check_device(to) != CUDA_SUCCESS || from == to)
        return CUDA_ERROR_INVALID_DEVICE;
    static const int answers[] = { 0, 0, 1, 1, 1, 0 }; /* by attribute: rank 0, all access, ... */
    *value = answers[attribute];
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceGetTexture1DLinearMaxWidth(size_t *width, CUarray_format format,
                                                unsigned int channels, CUdevice device)
{
    (void)format;
    if (width == NULL || channels == 0 || channels > 4)
        return CUDA_ERROR_INVALID_VALUE;
    if (check_device(device) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    *width = (size_t)attribute_of(device, ATTRIBUTE_TEXTURE1D_LINEAR_WIDTH);
    return CUDA_SUCCESS;
}

CUresult sim_cuDeviceGetExecAffinitySupport(int *supported, CUexecAffinityType type,
                                            CUdevice device)
{
    if (supported == NULL || type != 0)
        return CUDA_ERROR_INVALID_VALUE;
    if (check_device(device) != CUDA_SUCCESS)
        return CUDA_ERROR_INVALID_DEVICE;
    *supported = 0;
    return CUDA_SUCCESS;
}
