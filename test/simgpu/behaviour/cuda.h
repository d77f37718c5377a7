/* The driver, reached as an application without a toolkit reaches it: dlopen and dlsym. */
#ifndef BEHAVIOUR_CUDA_H
#define BEHAVIOUR_CUDA_H

#include "simgpu/abi.h"

struct cuda {
#define CALL(name, symbol, params) CUresult(*name) params;
#include "cuda_list.def"
};

extern struct cuda cuda;

/* Loads libcuda.so.1. Ends the program, saying so, if there is none. A function that the driver
 * does not have is NULL: a check that needs a newer driver asks first. */
void cuda_load(void);

/* cuda_load, cuInit and the primary context of device 0 made current. Ends the program if there is
 * no device. */
void cuda_start(void);

/* Free bytes of the current device. */
size_t cuda_free_bytes(void);

/* The address of any exported symbol, or NULL. */
void *cuda_symbol(const char *name);

#endif
