/* Wrappers of the functions that pin host memory. It is counted apart from the device's. */
#include "guard/guard.h"
#include "guard/spilled_free.h"
#include "hook/wrappers.h"

static uint64_t address_number(const void *address)
{
    return (uint64_t)(uintptr_t)address;
}

/* `taken`: where the memory lies, once the call has succeeded. */
#define DEFINE_PINNED(symbol, kind, parameters, arguments, taken)                                  \
    CUresult symbol parameters                                                                     \
    {                                                                                              \
        struct vg_call call;                                                                       \
        if (!vg_guard_begin(&call, VG_FN_##symbol, bytes))                                         \
            return VG_PASS(symbol, arguments);                                                     \
        do                                                                                         \
            call.result = vg_next.symbol arguments;                                                \
        while (vg_guard_again(&call));                                                             \
        if (call.result == CUDA_SUCCESS)                                                           \
            vg_guard_record(&call, kind, address_number(taken), bytes);                            \
        return vg_guard_end(&call);                                                                \
    }

DEFINE_PINNED(cuMemHostAlloc, VG_KIND_PINNED, (void **address, size_t bytes, unsigned int flags),
              (address, bytes, flags), *address)
DEFINE_PINNED(cuMemAllocHost, VG_KIND_PINNED, (void **address, unsigned int bytes),
              (address, bytes), *address)
DEFINE_PINNED(cuMemAllocHost_v2, VG_KIND_PINNED, (void **address, size_t bytes), (address, bytes),
              *address)
DEFINE_PINNED(cuMemHostRegister, VG_KIND_REGISTERED,
              (void *address, size_t bytes, unsigned int flags), (address, bytes, flags), address)
DEFINE_PINNED(cuMemHostRegister_v2, VG_KIND_REGISTERED,
              (void *address, size_t bytes, unsigned int flags), (address, bytes, flags), address)

CUresult cuMemFreeHost(void *address)
{
    struct vg_free_call call;
    struct vg_spilled_range range;
    if (vg_guard_find_spilled(address_number(address), &range))
        return CUDA_ERROR_INVALID_VALUE; /* the program has it for device memory */
    if (!vg_guard_begin_free(&call, VG_FN_cuMemFreeHost, address_number(address)))
        return VG_PASS(cuMemFreeHost, (address));
    return vg_guard_end_free(&call, vg_next.cuMemFreeHost(address));
}

CUresult cuMemHostUnregister(void *address)
{
    struct vg_free_call call;
    if (!vg_guard_begin_free(&call, VG_FN_cuMemHostUnregister, address_number(address)))
        return VG_PASS(cuMemHostUnregister, (address));
    return vg_guard_end_free(&call, vg_next.cuMemHostUnregister(address));
}
