/* Wrappers of stream-ordered allocation and of pools. An allocation made while its stream is being
 * captured becomes a node of the graph and is memory only when that is launched: it is not
 * recorded. */
#include "guard/guard.h"
#include "guard/spilled_free.h"
#include "hook/wrappers.h"

/* What stands before an allocation is for memory: one that becomes a node is none yet. */
static inline void note_capture(struct vg_call *call, vg_driver_capture_question ask,
                                CUstream stream)
{
    if (vg_guard_looks_ahead(call))
        call->is_graph_node = vg_driver_is_capturing(ask, stream);
}

CUresult cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream stream)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemAllocAsync, bytes))
        return VG_PASS(cuMemAllocAsync, (address, bytes, stream));
    note_capture(&call, vg_driver.cuStreamIsCapturing, stream);
    do
        call.result = vg_guard_admits(&call) ? vg_next.cuMemAllocAsync(address, bytes, stream)
                                             : CUDA_ERROR_OUT_OF_MEMORY;
    while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS &&
        !vg_driver_is_capturing(vg_driver.cuStreamIsCapturing, stream))
        vg_guard_record(&call, VG_KIND_ASYNC, *address, bytes);
    return vg_guard_end(&call);
}

CUresult cuMemAllocAsync_ptsz(CUdeviceptr *address, size_t bytes, CUstream stream)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemAllocAsync_ptsz, bytes))
        return VG_PASS(cuMemAllocAsync_ptsz, (address, bytes, stream));
    note_capture(&call, vg_driver.cuStreamIsCapturing_ptsz, stream);
    do
        call.result = vg_guard_admits(&call) ? vg_next.cuMemAllocAsync_ptsz(address, bytes, stream)
                                             : CUDA_ERROR_OUT_OF_MEMORY;
    while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS &&
        !vg_driver_is_capturing(vg_driver.cuStreamIsCapturing_ptsz, stream))
        vg_guard_record(&call, VG_KIND_ASYNC, *address, bytes);
    return vg_guard_end(&call);
}

static int pool_device(const struct vg_call *call, CUmemoryPool pool)
{
    return vg_pools_device(&call->state->pools, (uint64_t)(uintptr_t)pool);
}

CUresult cuMemAllocFromPoolAsync(CUdeviceptr *address, size_t bytes, CUmemoryPool pool,
                                 CUstream stream)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemAllocFromPoolAsync, bytes))
        return VG_PASS(cuMemAllocFromPoolAsync, (address, bytes, pool, stream));
    note_capture(&call, vg_driver.cuStreamIsCapturing, stream);
    call.device = pool_device(&call, pool);
    do
        call.result = vg_guard_admits(&call)
                          ? vg_next.cuMemAllocFromPoolAsync(address, bytes, pool, stream)
                          : CUDA_ERROR_OUT_OF_MEMORY;
    while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS &&
        !vg_driver_is_capturing(vg_driver.cuStreamIsCapturing, stream))
        vg_guard_record(&call, VG_KIND_ASYNC, *address, bytes);
    return vg_guard_end(&call);
}

CUresult cuMemAllocFromPoolAsync_ptsz(CUdeviceptr *address, size_t bytes, CUmemoryPool pool,
                                      CUstream stream)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemAllocFromPoolAsync_ptsz, bytes))
        return VG_PASS(cuMemAllocFromPoolAsync_ptsz, (address, bytes, pool, stream));
    note_capture(&call, vg_driver.cuStreamIsCapturing_ptsz, stream);
    call.device = pool_device(&call, pool);
    do
        call.result = vg_guard_admits(&call)
                          ? vg_next.cuMemAllocFromPoolAsync_ptsz(address, bytes, pool, stream)
                          : CUDA_ERROR_OUT_OF_MEMORY;
    while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS &&
        !vg_driver_is_capturing(vg_driver.cuStreamIsCapturing_ptsz, stream))
        vg_guard_record(&call, VG_KIND_ASYNC, *address, bytes);
    return vg_guard_end(&call);
}

CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream)
{
    struct vg_free_call call;
    CUresult result;
    if (vg_guard_free_spilled_async(address, stream, false, &result))
        return result;
    if (!vg_guard_begin_free(&call, VG_FN_cuMemFreeAsync, address))
        return VG_PASS(cuMemFreeAsync, (address, stream));
    return vg_guard_end_free(&call, vg_next.cuMemFreeAsync(address, stream));
}

CUresult cuMemFreeAsync_ptsz(CUdeviceptr address, CUstream stream)
{
    struct vg_free_call call;
    CUresult result;
    if (vg_guard_free_spilled_async(address, stream, true, &result))
        return result;
    if (!vg_guard_begin_free(&call, VG_FN_cuMemFreeAsync_ptsz, address))
        return VG_PASS(cuMemFreeAsync_ptsz, (address, stream));
    return vg_guard_end_free(&call, vg_next.cuMemFreeAsync_ptsz(address, stream));
}

CUresult cuMemPoolCreate(CUmemoryPool *pool, const CUmemPoolProps *properties)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemPoolCreate, VG_BYTES_UNKNOWN))
        return VG_PASS(cuMemPoolCreate, (pool, properties));
    do
        call.result = vg_next.cuMemPoolCreate(pool, properties);
    while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS && properties->location.type == CU_MEM_LOCATION_TYPE_DEVICE)
        vg_pools_add(&call.state->pools, (uint64_t)(uintptr_t)*pool, properties->location.id);
    return vg_guard_end(&call);
}

CUresult cuMemPoolDestroy(CUmemoryPool pool)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemPoolDestroy, VG_BYTES_UNKNOWN))
        return VG_PASS(cuMemPoolDestroy, (pool));
    const int device = pool_device(&call, pool);
    vg_pools_remove(&call.state->pools, (uint64_t)(uintptr_t)pool);
    call.result = vg_next.cuMemPoolDestroy(pool);
    if (call.result != CUDA_SUCCESS && device >= 0)
        vg_pools_add(&call.state->pools, (uint64_t)(uintptr_t)pool, device);
    return vg_guard_end(&call);
}
