/* Wrappers of the memory functions. Each makes the program's own call with the program's own
 * arguments, says what a success is recorded as, and leaves everything else to the guard. */
#include "guard/guard.h"
#include "guard/spilled_free.h"
#include "heap/managed.h"
#include "hook/wrappers.h"

CUresult cuMemAlloc(CUdeviceptr_v1 *address, unsigned int bytes)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemAlloc, bytes))
        return VG_PASS(cuMemAlloc, (address, bytes));
    do
        call.result =
            vg_guard_admits(&call) ? vg_next.cuMemAlloc(address, bytes) : CUDA_ERROR_OUT_OF_MEMORY;
    while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS)
        vg_guard_record(&call, VG_KIND_DEVICE, *address, bytes);
    return vg_guard_end(&call);
}

CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemAlloc_v2, bytes))
        return VG_PASS(cuMemAlloc_v2, (address, bytes));
    do
        call.result = vg_guard_admits(&call) ? vg_next.cuMemAlloc_v2(address, bytes)
                                             : CUDA_ERROR_OUT_OF_MEMORY;
    while (
        VG_GUARD_AGAIN_FOR(&call, .shape = VG_REQUEST_LINEAR, .bytes = bytes, .answer = address));
    if (call.result == CUDA_SUCCESS)
        vg_guard_record(&call, VG_KIND_DEVICE, *address, bytes);
    return vg_guard_end(&call);
}

/* The driver chooses the pitch, so the amount is known only afterwards. What a limit does not allow
 * then is freed at once; until it is allowed the program's outputs are left alone. */
#define DEFINE_PITCHED(name, symbol, free_symbol, address_type, number_type)                       \
    static CUresult name(struct vg_call *call, address_type *address, number_type *pitch_bytes,    \
                         number_type width_bytes, number_type height, unsigned int element_bytes)  \
    {                                                                                              \
        address_type got;                                                                          \
        number_type got_pitch;                                                                     \
        if (!call->charge.held || !address || !pitch_bytes || !vg_driver.free_symbol)              \
            return vg_next.symbol(address, pitch_bytes, width_bytes, height, element_bytes);       \
        const CUresult result =                                                                    \
            vg_next.symbol(&got, &got_pitch, width_bytes, height, element_bytes);                  \
        if (result != CUDA_SUCCESS)                                                                \
            return result;                                                                         \
        if (!vg_guard_allows(call, (uint64_t)got_pitch * height)) {                                \
            vg_next.free_symbol(got);                                                              \
            return CUDA_ERROR_OUT_OF_MEMORY;                                                       \
        }                                                                                          \
        *address = got;                                                                            \
        *pitch_bytes = got_pitch;                                                                  \
        return CUDA_SUCCESS;                                                                       \
    }

DEFINE_PITCHED(alloc_pitched, cuMemAllocPitch, cuMemFree, CUdeviceptr_v1, unsigned int)
DEFINE_PITCHED(alloc_pitched_v2, cuMemAllocPitch_v2, cuMemFree_v2, CUdeviceptr, size_t)

/* The report says what was asked for at the least. */
CUresult cuMemAllocPitch(CUdeviceptr_v1 *address, unsigned int *pitch_bytes,
                         unsigned int width_bytes, unsigned int height, unsigned int element_bytes)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemAllocPitch, (uint64_t)width_bytes * height))
        return VG_PASS(cuMemAllocPitch, (address, pitch_bytes, width_bytes, height, element_bytes));
    do
        call.result = vg_guard_admits(&call) ? alloc_pitched(&call, address, pitch_bytes,
                                                             width_bytes, height, element_bytes)
                                             : CUDA_ERROR_OUT_OF_MEMORY;
    while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS)
        vg_guard_record(&call, VG_KIND_PITCH, *address, (uint64_t)*pitch_bytes * height);
    return vg_guard_end(&call);
}

CUresult cuMemAllocPitch_v2(CUdeviceptr *address, size_t *pitch_bytes, size_t width_bytes,
                            size_t height, unsigned int element_bytes)
{
    struct vg_call call;
    uint64_t asked_bytes;
    if (__builtin_mul_overflow(width_bytes, height, &asked_bytes))
        asked_bytes = VG_BYTES_UNKNOWN;
    if (!vg_guard_begin(&call, VG_FN_cuMemAllocPitch_v2, asked_bytes))
        return VG_PASS(cuMemAllocPitch_v2,
                       (address, pitch_bytes, width_bytes, height, element_bytes));
    do
        call.result = vg_guard_admits(&call) ? alloc_pitched_v2(&call, address, pitch_bytes,
                                                                width_bytes, height, element_bytes)
                                             : CUDA_ERROR_OUT_OF_MEMORY;
    while (VG_GUARD_AGAIN_FOR(&call, .shape = VG_REQUEST_PITCHED, .width_bytes = width_bytes,
                              .height = height, .answer = address, .pitch_bytes = pitch_bytes));
    if (call.result == CUDA_SUCCESS)
        vg_guard_record(&call, VG_KIND_PITCH, *address, *pitch_bytes * height);
    return vg_guard_end(&call);
}

CUresult cuMemAllocManaged(CUdeviceptr *address, size_t bytes, unsigned int flags)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemAllocManaged, bytes))
        return VG_PASS(cuMemAllocManaged, (address, bytes, flags));
    do
        call.result = vg_guard_admits(&call) ? vg_next.cuMemAllocManaged(address, bytes, flags)
                                             : CUDA_ERROR_OUT_OF_MEMORY;
    while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS) {
        vg_managed_note();
        vg_guard_record(&call, VG_KIND_MANAGED, *address, bytes);
    }
    return vg_guard_end(&call);
}

CUresult cuMemFree(CUdeviceptr_v1 address)
{
    struct vg_free_call call;
    if (!vg_guard_begin_free(&call, VG_FN_cuMemFree, address))
        return VG_PASS(cuMemFree, (address));
    return vg_guard_end_free(&call, vg_next.cuMemFree(address));
}

CUresult cuMemFree_v2(CUdeviceptr address)
{
    struct vg_free_call call;
    CUresult result;
    if (vg_spilled_any() && vg_guard_free_spilled(address, &result))
        return result;
    if (!vg_guard_begin_free(&call, VG_FN_cuMemFree_v2, address))
        return VG_PASS(cuMemFree_v2, (address));
    return vg_guard_end_free(&call, vg_next.cuMemFree_v2(address));
}
