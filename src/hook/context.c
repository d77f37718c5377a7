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

/* A function that ends a context: what it was told to end is dropped when it has. */
#define DEFINE_ENDING(symbol, what, drop)                                                          \
    CUresult symbol(what which)                                                                    \
    {                                                                                              \
        const CUresult result = VG_PASS(symbol, (which));                                          \
        if (result == CUDA_SUCCESS)                                                                \
            drop(which);                                                                           \
        return result;                                                                             \
    }

DEFINE_ENDING(cuCtxDestroy, CUcontext, vg_guard_drop_context)
DEFINE_ENDING(cuCtxDestroy_v2, CUcontext, vg_guard_drop_context)

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

DEFINE_ENDING(cuDevicePrimaryCtxRelease, CUdevice, drop_primary_if_inactive)
DEFINE_ENDING(cuDevicePrimaryCtxRelease_v2, CUdevice, drop_primary_if_inactive)
DEFINE_ENDING(cuDevicePrimaryCtxReset, CUdevice, drop_primary)
DEFINE_ENDING(cuDevicePrimaryCtxReset_v2, CUdevice, drop_primary)
