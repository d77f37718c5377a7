/* Wrappers of the functions that pin host memory. It is counted apart from the device's. */
#include "guard/guard.h"
#include "guard/spilled_free.h"
#include "hook/wrappers.h"

static uint64_t address_number(const void *address)
{
    return (uint64_t)(uintptr_t)address;
}

CUresult cuMemHostAlloc(void **address, size_t bytes, unsigned int flags)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemHostAlloc, bytes))
        return VG_PASS(cuMemHostAlloc, (address, bytes, flags));
    do
        call.result = vg_next.cuMemHostAlloc(address, bytes, flags);
    while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS)
        vg_guard_record(&call, VG_KIND_PINNED, address_number(*address), bytes);
    return vg_guard_end(&call);
}

CUresult cuMemAllocHost(void **address, unsigned int bytes)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemAllocHost, bytes))
        return VG_PASS(cuMemAllocHost, (address, bytes));
    do
        call.result = vg_next.cuMemAllocHost(address, bytes);
    while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS)
        vg_guard_record(&call, VG_KIND_PINNED, address_number(*address), bytes);
    return vg_guard_end(&call);
}

CUresult cuMemAllocHost_v2(void **address, size_t bytes)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemAllocHost_v2, bytes))
        return VG_PASS(cuMemAllocHost_v2, (address, bytes));
    do
        call.result = vg_next.cuMemAllocHost_v2(address, bytes);
    while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS)
        vg_guard_record(&call, VG_KIND_PINNED, address_number(*address), bytes);
    return vg_guard_end(&call);
}

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

CUresult cuMemHostRegister(void *address, size_t bytes, unsigned int flags)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemHostRegister, bytes))
        return VG_PASS(cuMemHostRegister, (address, bytes, flags));
    do
        call.result = vg_next.cuMemHostRegister(address, bytes, flags);
    while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS)
        vg_guard_record(&call, VG_KIND_REGISTERED, address_number(address), bytes);
    return vg_guard_end(&call);
}

CUresult cuMemHostRegister_v2(void *address, size_t bytes, unsigned int flags)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemHostRegister_v2, bytes))
        return VG_PASS(cuMemHostRegister_v2, (address, bytes, flags));
    do
        call.result = vg_next.cuMemHostRegister_v2(address, bytes, flags);
    while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS)
        vg_guard_record(&call, VG_KIND_REGISTERED, address_number(address), bytes);
    return vg_guard_end(&call);
}

CUresult cuMemHostUnregister(void *address)
{
    struct vg_free_call call;
    if (!vg_guard_begin_free(&call, VG_FN_cuMemHostUnregister, address_number(address)))
        return VG_PASS(cuMemHostUnregister, (address));
    return vg_guard_end_free(&call, vg_next.cuMemHostUnregister(address));
}
