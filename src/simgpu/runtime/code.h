/* Device code: what host functions and host variables stand for. Code is registered when a program
 * or library is loaded, loaded into the driver at its first use, and never executed: the
 * simulation has no device to run it on. */
#ifndef SIMGPU_CUDART_CODE_H
#define SIMGPU_CUDART_CODE_H

#include "driver.h"

/* The kernel that `func` names: a registered host function, or a kernel handle that a call of this
 * runtime returned. The driver must be loaded. Returns cudaErrorInvalidDeviceFunction for any
 * other pointer, else what the driver said to loading the code. */
cudaError_t rt_kernel_of(const void *func, cudaKernel_t *kernel);

/* The same as a function of the current context; `func` may be a function handle, too. */
cudaError_t rt_function_of(const void *func, cudaFunction_t *function);

/* Remembers a handle given to the program, so that it can be told from a wild pointer. `library` is
 * the one the kernel belongs to. Returns cudaSuccess or cudaErrorMemoryAllocation. */
cudaError_t rt_remember_kernel(cudaKernel_t kernel, cudaLibrary_t library);
cudaError_t rt_remember_function(cudaFunction_t function);

/* Forgets the kernels of `library`, which is about to be unloaded. */
void rt_forget_library(cudaLibrary_t library);

/* The device memory of the registered variable whose host side is at `symbol`, in the current
 * context. Returns cudaErrorInvalidSymbol for any other pointer. Either output may be NULL. */
cudaError_t rt_variable_of(const void *symbol, devptr *address, size_t *bytes);

/* Forgets where variables are: their memory went with the context (cudaDeviceReset). */
void rt_lose_variables(void);

#endif
