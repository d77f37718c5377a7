/* Names and descriptions of the driver's error codes. */
#ifndef SIMGPU_ERROR_NAMES_H
#define SIMGPU_ERROR_NAMES_H

#include "../abi.h"

/* Finds the code of a name such as "CUDA_ERROR_OUT_OF_MEMORY". Returns 0 or -EINVAL. */
int error_find(const char *name, CUresult *error);

#endif
