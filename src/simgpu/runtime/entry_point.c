/* cudaGetDriverEntryPoint: the way applications reach driver functions beside the runtime. */
#include "cudart_errors.h"
#include "runtime.h"

/* A name that is not found, or not in this version, is no error: *fn becomes null and *status says
 * which it was. Only a failure of the lookup itself is returned. */
static cudaError_t entry_point(enum default_stream mode, const char *symbol, void **fn,
                               unsigned int version, unsigned long long flags, int *status)
{
    void *found = NULL;
    int answer = cudaDriverEntryPointSuccess;
    if (!symbol || !*symbol || !fn)
        return rt_done(cudaErrorInvalidValue);
    cudaError_t err = rt_need_driver();
    if (err != cudaSuccess)
        return rt_done(err);
    if (flags == cudaEnableDefault)
        flags =
            mode == PER_THREAD_STREAM ? cudaEnablePerThreadDefaultStream : cudaEnableLegacyStream;
    err = drv.cuGetProcAddress(symbol, &found, (int)version, flags, &answer);
    if (err == CUDA_ERROR_NOT_FOUND)
        err = cudaSuccess;
    if (err == cudaSuccess) {
        *fn = found;
        if (status)
            *status = answer;
    }
    return rt_done(err);
}

static cudaError_t of_this_version(enum default_stream mode, const char *symbol, void **fn,
                                   unsigned long long flags, int *status)
{
    int version = 0;
    cudaRuntimeGetVersion(&version);
    return entry_point(mode, symbol, fn, (unsigned int)version, flags, status);
}

#if CUDART_MAJOR >= 12
RT_PTSZ(cudaGetDriverEntryPoint, of_this_version,
        (const char *symbol, void **fn, unsigned long long flags, int *status), symbol, fn, flags,
        status)
#else
RT_PTSZ(cudaGetDriverEntryPoint, of_this_version,
        (const char *symbol, void **fn, unsigned long long flags), symbol, fn, flags, NULL)
#endif
RT_PTSZ(cudaGetDriverEntryPointByVersion, entry_point,
        (const char *symbol, void **fn, unsigned int version, unsigned long long flags,
         int *status),
        symbol, fn, version, flags, status)
