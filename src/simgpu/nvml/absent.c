/* Functions of hardware that the simulated device does not have. Programs look them up and treat
 * their absence from the library as a fault, but not this answer (NVML API Reference,
 * NVML_ERROR_NOT_SUPPORTED).
 */
#include <stddef.h>

#include "nvml.h"

EXPORT nvmlReturn_t nvmlDeviceGetNvLinkRemoteDeviceType(nvmlDevice_t handle, unsigned int link,
                                                        int *type);
EXPORT nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlDevice_t handle, unsigned int link,
                                                        void *pci);
EXPORT nvmlReturn_t nvmlDeviceGetGpuFabricInfoV(nvmlDevice_t handle, void *info);

static nvmlReturn_t answer_not_supported(nvmlDevice_t handle, const void *out)
{
    int device;
    const nvmlReturn_t result = nvml_resolve(handle, &device);
    if (result != NVML_SUCCESS)
        return result;
    return out != NULL ? NVML_ERROR_NOT_SUPPORTED : NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlDeviceGetNvLinkRemoteDeviceType(nvmlDevice_t handle, unsigned int link, int *type)
{
    (void)link;
    return answer_not_supported(handle, type);
}

nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo_v2(nvmlDevice_t handle, unsigned int link, void *pci)
{
    (void)link;
    return answer_not_supported(handle, pci);
}

nvmlReturn_t nvmlDeviceGetGpuFabricInfoV(nvmlDevice_t handle, void *info)
{
    return answer_not_supported(handle, info);
}
