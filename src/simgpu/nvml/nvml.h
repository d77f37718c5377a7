/* What the parts of the simulated NVML share. */
#ifndef SIMGPU_NVML_H
#define SIMGPU_NVML_H

#include "nvml_abi.h"

#define EXPORT __attribute__((visibility("default")))

/* Between nvmlInit and nvmlShutdown? Returns NVML_SUCCESS or NVML_ERROR_UNINITIALIZED. */
nvmlReturn_t nvml_check_initialised(void);

/* Resolves a handle to an index of the shared state's devices. Also checks that NVML is
 * initialised. Returns NVML_SUCCESS, NVML_ERROR_UNINITIALIZED or NVML_ERROR_INVALID_ARGUMENT. */
nvmlReturn_t nvml_resolve(nvmlDevice_t handle, int *device);

/* Copies `text` to the caller's buffer, or returns NVML_ERROR_INSUFFICIENT_SIZE or, for NULL,
 * NVML_ERROR_INVALID_ARGUMENT. */
nvmlReturn_t nvml_give_text(const char *text, char *buffer, unsigned int length);

#endif
