/* Per-thread and per-process state: last error, current device, primary contexts. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "code.h"
#include "cudart_errors.h"
#include "runtime.h"

enum { MAX_DEVICES = 64 };

struct primary {
    CUcontext context; /* stays known after a reset, to recognise a thread that still has it */
    bool retained;
};

static pthread_mutex_t primary_lock = PTHREAD_MUTEX_INITIALIZER;
static struct primary primaries[MAX_DEVICES]; /* guarded by primary_lock */
static atomic_bool any_reset;                 /* keeps the usual process off that lock */

static _Thread_local cudaError_t last_error;
static _Thread_local int thread_device; /* the device for when no context is current */

/* Errors after which the context is unusable; the documentation of each says that the process must
 * be terminated and relaunched. Reading such an error does not clear it. */
static bool is_sticky(cudaError_t err)
{
    switch (err) {
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorLaunchFailure: return true;
    default: return false;
    }
}

cudaError_t rt_done(cudaError_t err)
{
    if (err != cudaSuccess)
        last_error = err;
    return err;
}

void rt_forget_error(void)
{
    last_error = cudaSuccess;
}

RT_API cudaError_t cudaPeekAtLastError(void)
{
    return last_error;
}

RT_API cudaError_t cudaGetLastError(void)
{
    cudaError_t err = last_error;
    if (!is_sticky(err))
        last_error = cudaSuccess;
    return err;
}

cudaError_t rt_need_driver(void)
{
    return rt_driver_load();
}

/* True for a primary context that was reset and so must be retained again before use. The driver
 * keeps giving the same handle, so a thread may still have it as its current context. */
static bool is_reset_primary(CUcontext context)
{
    bool found = false;
    if (!atomic_load(&any_reset))
        return false;
    pthread_mutex_lock(&primary_lock);
    for (int i = 0; i < MAX_DEVICES && !found; i++)
        found = primaries[i].context == context && !primaries[i].retained;
    pthread_mutex_unlock(&primary_lock);
    return found;
}

cudaError_t rt_primary_context(int device, CUcontext *context)
{
    if (device < 0 || device >= MAX_DEVICES)
        return cudaErrorInvalidDevice;
    cudaError_t err = cudaSuccess;
    pthread_mutex_lock(&primary_lock);
    struct primary *primary = &primaries[device];
    if (!primary->retained)
        err = drv.cuDevicePrimaryCtxRetain(&primary->context, device);
    if (err == cudaSuccess) {
        primary->retained = true;
        *context = primary->context;
    }
    pthread_mutex_unlock(&primary_lock);
    return err;
}

cudaError_t rt_need_context(void)
{
    cudaError_t err = rt_need_driver();
    if (err != cudaSuccess)
        return err;
    CUcontext context = NULL;
    err = drv.cuCtxGetCurrent(&context);
    if (err != cudaSuccess)
        return err;
    if (context && !is_reset_primary(context))
        return cudaSuccess;
    err = rt_primary_context(thread_device, &context);
    return err ? err : drv.cuCtxSetCurrent(context);
}

cudaError_t rt_current_device(int *device)
{
    CUcontext context = NULL;
    cudaError_t err = drv.cuCtxGetCurrent(&context);
    if (err == cudaSuccess && context && !is_reset_primary(context))
        return drv.cuCtxGetDevice(device);
    *device = thread_device;
    return err;
}

RT_API cudaError_t cudaGetDevice(int *device)
{
    cudaError_t err = device ? rt_need_driver() : cudaErrorInvalidValue;
    return rt_done(err ? err : rt_current_device(device));
}

RT_API cudaError_t cudaSetDevice(int device)
{
    CUcontext context;
    cudaError_t err = rt_need_driver();
    if (err == cudaSuccess)
        err = rt_primary_context(device, &context);
    if (err == cudaSuccess)
        err = drv.cuCtxSetCurrent(context);
    if (err == cudaSuccess)
        thread_device = device;
    return rt_done(err);
}

/* Flags count only for a context that does not exist yet or is the primary one; the driver keeps
 * them per device. */
RT_API cudaError_t cudaInitDevice(int device, unsigned int device_flags, unsigned int flags)
{
    CUcontext context;
    cudaError_t err = rt_need_driver();
    if (err == cudaSuccess && (flags & ~(unsigned int)cudaInitDeviceFlagsAreValid))
        err = cudaErrorInvalidValue;
    if (err == cudaSuccess && (flags & cudaInitDeviceFlagsAreValid))
        err = drv.cuDevicePrimaryCtxSetFlags(device, device_flags);
    return rt_done(err ? err : rt_primary_context(device, &context));
}

RT_API cudaError_t cudaDeviceReset(void)
{
    int device = 0;
    cudaError_t err = rt_need_driver();
    if (err == cudaSuccess)
        err = rt_current_device(&device);
    if (err == cudaSuccess)
        err = drv.cuDevicePrimaryCtxReset(device);
    if (err == cudaSuccess) {
        pthread_mutex_lock(&primary_lock);
        primaries[device].retained = false;
        atomic_store(&any_reset, true);
        pthread_mutex_unlock(&primary_lock);
        rt_lose_variables();
        rt_forget_error();
    }
    return rt_done(err);
}

RT_API cudaError_t cudaSetDeviceFlags(unsigned int flags)
{
    int device = 0;
    cudaError_t err = rt_need_driver();
    if (err == cudaSuccess)
        err = rt_current_device(&device);
    return rt_done(err ? err : drv.cuDevicePrimaryCtxSetFlags(device, flags));
}

RT_API cudaError_t cudaGetDeviceFlags(unsigned int *flags)
{
    int device = 0;
    int active = 0;
    CUcontext context = NULL;
    cudaError_t err = flags ? rt_need_driver() : cudaErrorInvalidValue;
    if (err == cudaSuccess)
        err = drv.cuCtxGetCurrent(&context);
    if (err == cudaSuccess && context)
        return rt_done(drv.cuCtxGetFlags(flags));
    if (err == cudaSuccess)
        err = rt_current_device(&device);
    return rt_done(err ? err : drv.cuDevicePrimaryCtxGetState(device, flags, &active));
}
