/* Wrappers of the functions that make and end contexts. A context takes hundreds of MiB, so making
 * one is a common place to run out of memory, and it happens before there is a current device to
 * ask about: these calls name theirs. A context that ends takes its allocations with it. */
#include <stdatomic.h>

#include "hook/watched.h"

VG_DEFINE_WATCHED(cuCtxCreate, (CUcontext * context, unsigned int flags, CUdevice device),
                  (context, flags, device), device)

VG_DEFINE_WATCHED(cuCtxCreate_v2, (CUcontext * context, unsigned int flags, CUdevice device),
                  (context, flags, device), device)

VG_DEFINE_WATCHED(cuCtxCreate_v3,
                  (CUcontext * context, struct CUexecAffinityParam_st *affinity, int affinity_count,
                   unsigned int flags, CUdevice device),
                  (context, affinity, affinity_count, flags, device), device)

VG_DEFINE_WATCHED(cuCtxCreate_v4,
                  (CUcontext * context, struct CUctxCreateParams_st *how, unsigned int flags,
                   CUdevice device),
                  (context, how, flags, device), device)

CUresult cuCtxDestroy(CUcontext context)
{
    const CUresult result = VG_PASS(cuCtxDestroy, (context));
    if (result == CUDA_SUCCESS)
        vg_guard_drop_context(context);
    return result;
}

CUresult cuCtxDestroy_v2(CUcontext context)
{
    const CUresult result = VG_PASS(cuCtxDestroy_v2, (context));
    if (result == CUDA_SUCCESS)
        vg_guard_drop_context(context);
    return result;
}

/* The primary contexts that were retained: ending one names its device only. */
static _Atomic(CUcontext) primary_contexts[VG_FILE_DEVICES];

static bool has_place(CUdevice device)
{
    return device >= 0 && device < VG_FILE_DEVICES;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device)
{
    struct vg_call call;
    if (!vg_guard_begin_watched(&call, VG_FN_cuDevicePrimaryCtxRetain, device))
        return VG_PASS(cuDevicePrimaryCtxRetain, (context, device));
    do
        call.result = vg_next.cuDevicePrimaryCtxRetain(context, device);
    while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS && has_place(device))
        atomic_store(&primary_contexts[device], *context);
    return vg_guard_end(&call);
}

static void drop_primary(CUdevice device)
{
    if (has_place(device))
        vg_guard_drop_context(atomic_load(&primary_contexts[device]));
}

/* A release ends the context only when it is the last one. */
static void drop_primary_if_inactive(CUdevice device)
{
    unsigned int flags;
    int active = 1;
    if (vg_driver_has(VG_FN_cuDevicePrimaryCtxGetState) &&
        vg_driver.cuDevicePrimaryCtxGetState(device, &flags, &active) == CUDA_SUCCESS && !active)
        drop_primary(device);
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device)
{
    const CUresult result = VG_PASS(cuDevicePrimaryCtxRelease, (device));
    if (result == CUDA_SUCCESS)
        drop_primary_if_inactive(device);
    return result;
}

CUresult cuDevicePrimaryCtxRelease_v2(CUdevice device)
{
    const CUresult result = VG_PASS(cuDevicePrimaryCtxRelease_v2, (device));
    if (result == CUDA_SUCCESS)
        drop_primary_if_inactive(device);
    return result;
}

CUresult cuDevicePrimaryCtxReset(CUdevice device)
{
    const CUresult result = VG_PASS(cuDevicePrimaryCtxReset, (device));
    if (result == CUDA_SUCCESS)
        drop_primary(device);
    return result;
}

CUresult cuDevicePrimaryCtxReset_v2(CUdevice device)
{
    const CUresult result = VG_PASS(cuDevicePrimaryCtxReset_v2, (device));
    if (result == CUDA_SUCCESS)
        drop_primary(device);
    return result;
}
