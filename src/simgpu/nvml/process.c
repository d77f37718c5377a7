/* Who uses a device ("NVML API Reference Guide", section "Device Queries"): the live processes of
 * the shared state with their bytes. */
#include <stdlib.h>

#include "../driver/shared.h"
#include "nvml.h"

#define MAX_PROCESSES 8192
#define NO_INSTANCE   0xffffffffu

EXPORT nvmlReturn_t nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t handle, unsigned int *count,
                                                         nvmlProcessInfo_v1_t *processes);
EXPORT nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t handle,
                                                            unsigned int *count,
                                                            nvmlProcessInfo_t *processes);
EXPORT nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t handle,
                                                            unsigned int *count,
                                                            nvmlProcessInfo_t *processes);
EXPORT nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses(nvmlDevice_t handle, unsigned int *count,
                                                          nvmlProcessInfo_v1_t *processes);
EXPORT nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v2(nvmlDevice_t handle,
                                                             unsigned int *count,
                                                             nvmlProcessInfo_t *processes);
EXPORT nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t handle,
                                                             unsigned int *count,
                                                             nvmlProcessInfo_t *processes);

/* Documented: the caller asks with its capacity in `*count`, gets the number in it, and
 * NVML_ERROR_INSUFFICIENT_SIZE if that is more. On NVML_SUCCESS `*holders` is the caller's to free.
 */
static nvmlReturn_t list_holders(nvmlDevice_t handle, unsigned int *count, const void *processes,
                                 struct shared_holder **holders)
{
    int device;
    nvmlReturn_t result = nvml_resolve(handle, &device);
    if (result != NVML_SUCCESS)
        return result;
    if (count == NULL || (*count > 0 && processes == NULL))
        return NVML_ERROR_INVALID_ARGUMENT;
    *holders = calloc(MAX_PROCESSES, sizeof(**holders));
    if (*holders == NULL)
        return NVML_ERROR_MEMORY;
    unsigned int capacity = *count;
    *count = (unsigned int)shared_holders(device, *holders, MAX_PROCESSES);
    if (*count <= capacity)
        return NVML_SUCCESS;
    free(*holders);
    return NVML_ERROR_INSUFFICIENT_SIZE;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t handle, unsigned int *count,
                                                     nvmlProcessInfo_t *processes)
{
    struct shared_holder *holders;
    nvmlReturn_t result = list_holders(handle, count, processes, &holders);
    if (result != NVML_SUCCESS)
        return result;
    for (unsigned int i = 0; i < *count; i++)
        processes[i] = (nvmlProcessInfo_t){ (unsigned int)holders[i].pid, holders[i].used_bytes,
                                            NO_INSTANCE, NO_INSTANCE };
    free(holders);
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v2(nvmlDevice_t handle, unsigned int *count,
                                                     nvmlProcessInfo_t *processes)
{
    return nvmlDeviceGetComputeRunningProcesses_v3(handle, count, processes);
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t handle, unsigned int *count,
                                                  nvmlProcessInfo_v1_t *processes)
{
    struct shared_holder *holders;
    nvmlReturn_t result = list_holders(handle, count, processes, &holders);
    if (result != NVML_SUCCESS)
        return result;
    for (unsigned int i = 0; i < *count; i++)
        processes[i] =
            (nvmlProcessInfo_v1_t){ (unsigned int)holders[i].pid, holders[i].used_bytes };
    free(holders);
    return NVML_SUCCESS;
}

/* No process draws on the simulated device. */
nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t handle, unsigned int *count,
                                                      nvmlProcessInfo_t *processes)
{
    (void)processes;
    int device;
    nvmlReturn_t result = nvml_resolve(handle, &device);
    if (result != NVML_SUCCESS)
        return result;
    if (count == NULL)
        return NVML_ERROR_INVALID_ARGUMENT;
    *count = 0;
    return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v2(nvmlDevice_t handle, unsigned int *count,
                                                      nvmlProcessInfo_t *processes)
{
    return nvmlDeviceGetGraphicsRunningProcesses_v3(handle, count, processes);
}

nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses(nvmlDevice_t handle, unsigned int *count,
                                                   nvmlProcessInfo_v1_t *processes)
{
    (void)processes;
    return nvmlDeviceGetGraphicsRunningProcesses_v3(handle, count, NULL);
}
