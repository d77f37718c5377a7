/* Links ("NVML API Reference Guide", sections "Device Queries" and "Field Value Queries"): to the
 * host that of the GPU whose attributes the driver tells, at full speed; to other devices none. JAX
 * asks for both at its start. */
#include "nvml.h"

enum { LINK_GENERATION = 4, LINK_LANES = 16 };

EXPORT nvmlReturn_t nvmlDeviceGetMaxPcieLinkGeneration(nvmlDevice_t handle, unsigned int *out);
EXPORT nvmlReturn_t nvmlDeviceGetGpuMaxPcieLinkGeneration(nvmlDevice_t handle, unsigned int *out);
EXPORT nvmlReturn_t nvmlDeviceGetCurrPcieLinkGeneration(nvmlDevice_t handle, unsigned int *out);
EXPORT nvmlReturn_t nvmlDeviceGetMaxPcieLinkWidth(nvmlDevice_t handle, unsigned int *out);
EXPORT nvmlReturn_t nvmlDeviceGetCurrPcieLinkWidth(nvmlDevice_t handle, unsigned int *out);
EXPORT nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t handle, int count,
                                             nvmlFieldValue_t *values);

static nvmlReturn_t tell(nvmlDevice_t handle, unsigned int value, unsigned int *out)
{
    int device;
    nvmlReturn_t result = nvml_resolve(handle, &device);
    if (result != NVML_SUCCESS)
        return result;
    if (out == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *out = value;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMaxPcieLinkGeneration(nvmlDevice_t handle, unsigned int *out)
{
    return tell(handle, LINK_GENERATION, out);
}

nvmlReturn_t nvmlDeviceGetGpuMaxPcieLinkGeneration(nvmlDevice_t handle, unsigned int *out)
{
    return tell(handle, LINK_GENERATION, out);
}

nvmlReturn_t nvmlDeviceGetCurrPcieLinkGeneration(nvmlDevice_t handle, unsigned int *out)
{
    return tell(handle, LINK_GENERATION, out);
}

nvmlReturn_t nvmlDeviceGetMaxPcieLinkWidth(nvmlDevice_t handle, unsigned int *out)
{
    return tell(handle, LINK_LANES, out);
}

nvmlReturn_t nvmlDeviceGetCurrPcieLinkWidth(nvmlDevice_t handle, unsigned int *out)
{
    return tell(handle, LINK_LANES, out);
}

/* Documented: each value has a result of its own. Of the fields there is the number of NVLinks. */
nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t handle, int count, nvmlFieldValue_t *values)
{
    int device;
    nvmlReturn_t result = nvml_resolve(handle, &device);
    if (result != NVML_SUCCESS)
        return result;
    if (values == NULL || count < 0)
        return NVML_ERROR_INVALID_ARGUMENT;
    for (int i = 0; i < count; i++) {
        values[i].nvmlReturn = NVML_ERROR_NOT_SUPPORTED;
        if (values[i].fieldId != NVML_FI_DEV_NVLINK_LINK_COUNT)
            continue;
        values[i].timestamp = values[i].latencyUsec = 0;
        values[i].valueType = NVML_VALUE_TYPE_UNSIGNED_INT;
        values[i].value.uiVal = 0;
        values[i].nvmlReturn = NVML_SUCCESS;
    }
    return NVML_SUCCESS;
}
