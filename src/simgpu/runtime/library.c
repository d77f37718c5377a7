/* Libraries of device code that a program loads itself. Handles are the driver's. */
#include "code.h"
#include "cudart_errors.h"
#include "runtime.h"

RT_API cudaError_t cudaLibraryLoadData(cudaLibrary_t *library, const void *code, int *jit_options,
                                       void **jit_values, unsigned int jit_count, int *options,
                                       void **values, unsigned int count)
{
    cudaError_t err = library && code ? rt_need_driver() : cudaErrorInvalidValue;
    return rt_done(err ? err
                       : drv.cuLibraryLoadData(library, code, jit_options, jit_values, jit_count,
                                               options, values, count));
}

RT_API cudaError_t cudaLibraryLoadFromFile(cudaLibrary_t *library, const char *file,
                                           int *jit_options, void **jit_values,
                                           unsigned int jit_count, int *options, void **values,
                                           unsigned int count)
{
    cudaError_t err = library && file ? rt_need_driver() : cudaErrorInvalidValue;
    return rt_done(err ? err
                       : drv.cuLibraryLoadFromFile(library, file, jit_options, jit_values,
                                                   jit_count, options, values, count));
}

RT_API cudaError_t cudaLibraryUnload(cudaLibrary_t library)
{
    cudaError_t err = rt_need_driver();
    if (err == cudaSuccess)
        rt_forget_library(library);
    return rt_done(err ? err : drv.cuLibraryUnload(library));
}

RT_API cudaError_t cudaLibraryGetKernel(cudaKernel_t *kernel, cudaLibrary_t library,
                                        const char *name)
{
    cudaError_t err = kernel && name ? rt_need_driver() : cudaErrorInvalidValue;
    if (err == cudaSuccess)
        err = drv.cuLibraryGetKernel(kernel, library, name);
    return rt_done(err ? err : rt_remember_kernel(*kernel, library));
}

RT_API cudaError_t cudaLibraryEnumerateKernels(cudaKernel_t *kernels, unsigned int count,
                                               cudaLibrary_t library)
{
    cudaError_t err = kernels && count ? rt_need_driver() : cudaErrorInvalidValue;
    unsigned int available = 0;
    if (err == cudaSuccess)
        err = drv.cuLibraryGetKernelCount(&available, library);
    if (err == cudaSuccess)
        err = drv.cuLibraryEnumerateKernels(kernels, count, library);
    for (unsigned int i = 0; i < count && i < available && err == cudaSuccess; i++)
        err = rt_remember_kernel(kernels[i], library);
    return rt_done(err);
}

RT_API cudaError_t cudaLibraryGetGlobal(void **ptr, size_t *bytes, cudaLibrary_t library,
                                        const char *name)
{
    devptr address = 0;
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess)
        err = drv.cuLibraryGetGlobal(&address, bytes, library, name);
    if (err == cudaSuccess && ptr)
        *ptr = rt_pointer(address);
    return rt_done(err);
}

RT_API cudaError_t cudaLibraryGetManaged(void **ptr, size_t *bytes, cudaLibrary_t library,
                                         const char *name)
{
    devptr address = 0;
    cudaError_t err = rt_need_context();
    if (err == cudaSuccess)
        err = drv.cuLibraryGetManaged(&address, bytes, library, name);
    if (err == cudaSuccess && ptr)
        *ptr = rt_pointer(address);
    return rt_done(err);
}

RT_PASS(cudaLibraryGetUnifiedFunction, cuLibraryGetUnifiedFunction,
        (void **fn, cudaLibrary_t library, const char *name), fn, library, name)
RT_PASS(cudaLibraryGetKernelCount, cuLibraryGetKernelCount,
        (unsigned int *count, cudaLibrary_t library), count, library)
