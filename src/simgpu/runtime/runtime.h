/* What every entry point of the runtime is made of. The usual shape:
 *
 *     RT_API cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes)
 *     {
 *         cudaError_t err = rt_need_context();
 *         return rt_done(err ? err : drv.cuMemGetInfo(free_bytes, total_bytes));
 *     }
 *
 * CUresult and cudaError_t share their numbers since CUDA 10.1, so a driver's answer is returned
 * as it is. */
#ifndef SIMGPU_CUDART_RUNTIME_H
#define SIMGPU_CUDART_RUNTIME_H

#include <stdint.h>

#include "cudart_abi.h"
#include "driver.h"

/* Exported by the shared libraries; hidden in the static archive, as in the real one, so that a
 * library which contains the archive does not offer its runtime to others. */
#ifdef CUDART_STATIC
#define RT_API __attribute__((visibility("hidden")))
#else
#define RT_API __attribute__((visibility("default")))
#endif

/* Defines an entry point and its per-thread-default-stream twin over impl(mode, ...): `_ptsz` for
 * calls that take a stream, `_ptds` for those that use the default stream implicitly. */
#define RT_TWIN(name, twin, impl, params, ...)                                                     \
    RT_API cudaError_t name params;                                                                \
    RT_API cudaError_t twin params;                                                                \
    RT_API cudaError_t name params                                                                 \
    {                                                                                              \
        return impl(LEGACY_STREAM, __VA_ARGS__);                                                   \
    }                                                                                              \
    RT_API cudaError_t twin params                                                                 \
    {                                                                                              \
        return impl(PER_THREAD_STREAM, __VA_ARGS__);                                               \
    }
#define RT_PTSZ(name, impl, params, ...) RT_TWIN(name, name##_ptsz, impl, params, __VA_ARGS__)
#define RT_PTDS(name, impl, params, ...) RT_TWIN(name, name##_ptds, impl, params, __VA_ARGS__)

/* Defines an entry point that only needs a context and one driver function of the same meaning. */
#define RT_PASS(name, function, params, ...)                                                       \
    RT_API cudaError_t name params;                                                                \
    RT_API cudaError_t name params                                                                 \
    {                                                                                              \
        cudaError_t err = rt_need_context();                                                       \
        return rt_done(err ? err : drv.function(__VA_ARGS__));                                     \
    }

/* The same for a driver function with two forms: `name` and `name`_ptsz. */
#define RT_PASS_PTSZ(name, function, params, ...)                                                  \
    RT_PASS(name, function[LEGACY_STREAM], params, __VA_ARGS__)                                    \
    RT_PASS(name##_ptsz, function[PER_THREAD_STREAM], params, __VA_ARGS__)

/* Ends an entry point: an error becomes the calling thread's last error. Returns `err`. */
cudaError_t rt_done(cudaError_t err);

/* Forgets the calling thread's last error, sticky or not (cudaDeviceReset). */
void rt_forget_error(void);

/* Loads and initializes the driver if that has not happened. Returns rt_driver_load()'s codes. */
cudaError_t rt_need_driver(void);

/* Makes sure that a context is current in the calling thread: the one the driver API made
 * current if there is one, else the primary context of the thread's device, which is retained at
 * the first need in the process. Returns cudaSuccess or what the driver said, out-of-memory
 * included. */
cudaError_t rt_need_context(void);

/* The device that the calling thread's next call goes to, without creating a context. Driver must
 * be loaded. */
cudaError_t rt_current_device(int *device);

/* Retains the primary context of `device` once per process and returns it in *context. Returns
 * cudaErrorInvalidDevice for an ordinal that is not there, else what the driver said. */
cudaError_t rt_primary_context(int device, CUcontext *context);

/* cudaMemcpy and cudaMemcpyAsync, for either meaning of the default stream. They set the last
 * error. */
cudaError_t rt_copy(enum default_stream mode, void *dst, const void *src, size_t bytes, int kind);
cudaError_t rt_copy_async(enum default_stream mode, void *dst, const void *src, size_t bytes,
                          int kind, cudaStream_t stream);

/* A launch configuration in the driver's form. Shares the attributes with `config`. */
struct driver_launch_config rt_driver_launch_config(const cudaLaunchConfig_t *config);

/* Translates a three-dimensional copy into the driver's form. A context must be current where an
 * array takes part. Returns cudaSuccess, or cudaErrorInvalidValue or
 * cudaErrorInvalidMemcpyDirection for parameters that make no sense. */
cudaError_t rt_driver_copy_3d(const struct cudaMemcpy3DParms *p, struct driver_copy_3d *copy);

/* Device addresses are integers in the driver API and pointers in the runtime API. */
static inline devptr rt_devptr(const void *ptr)
{
    return (devptr)(uintptr_t)ptr;
}
static inline void *rt_pointer(devptr ptr)
{
    return (void *)(uintptr_t)ptr;
}

#endif
