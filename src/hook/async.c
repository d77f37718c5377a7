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

static int pool_device(const struct vg_call *call, CUmemoryPool pool)
{
    return vg_pools_device(&call->state->pools, (uint64_t)(uintptr_t)pool);
}

/* Each function is there twice: `_ptsz` for programs whose default stream is the thread's. The two
 * differ in what they ask the driver about the stream. `chosen_device`: of what pool the memory
 * comes. */
#define DEFINE_ALLOC(symbol, is_capturing, parameters, arguments, chosen_device)                   \
    CUresult symbol parameters                                                                     \
    {                                                                                              \
        struct vg_call call;                                                                       \
        if (!vg_guard_begin(&call, VG_FN_##symbol, bytes))                                         \
            return VG_PASS(symbol, arguments);                                                     \
        note_capture(&call, vg_driver.is_capturing, stream);                                       \
        call.device = (chosen_device);                                                             \
        do                                                                                         \
            call.result =                                                                          \
                vg_guard_admits(&call) ? vg_next.symbol arguments : CUDA_ERROR_OUT_OF_MEMORY;      \
        while (vg_guard_again(&call));                                                             \
        if (call.result == CUDA_SUCCESS &&                                                         \
            !vg_driver_is_capturing(vg_driver.is_capturing, stream))                               \
            vg_guard_record(&call, VG_KIND_ASYNC, *address, bytes);                                \
        return vg_guard_end(&call);                                                                \
    }

DEFINE_ALLOC(cuMemAllocAsync, cuStreamIsCapturing,
             (CUdeviceptr * address, size_t bytes, CUstream stream), (address, bytes, stream),
             call.device)
DEFINE_ALLOC(cuMemAllocAsync_ptsz, cuStreamIsCapturing_ptsz,
             (CUdeviceptr * address, size_t bytes, CUstream stream), (address, bytes, stream),
             call.device)
DEFINE_ALLOC(cuMemAllocFromPoolAsync, cuStreamIsCapturing,
             (CUdeviceptr * address, size_t bytes, CUmemoryPool pool, CUstream stream),
             (address, bytes, pool, stream), pool_device(&call, pool))
DEFINE_ALLOC(cuMemAllocFromPoolAsync_ptsz, cuStreamIsCapturing_ptsz,
             (CUdeviceptr * address, size_t bytes, CUmemoryPool pool, CUstream stream),
             (address, bytes, pool, stream), pool_device(&call, pool))

#define DEFINE_FREE(symbol, per_thread)                                                            \
    CUresult symbol(CUdeviceptr address, CUstream stream)                                          \
    {                                                                                              \
        struct vg_free_call call;                                                                  \
        CUresult result;                                                                           \
        if (vg_spilled_any() && vg_guard_free_spilled_async(address, stream, per_thread, &result)) \
            return result;                                                                         \
        if (!vg_guard_begin_free(&call, VG_FN_##symbol, address))                                  \
            return VG_PASS(symbol, (address, stream));                                             \
        return vg_guard_end_free(&call, vg_next.symbol(address, stream));                          \
    }

DEFINE_FREE(cuMemFreeAsync, false)
DEFINE_FREE(cuMemFreeAsync_ptsz, true)

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
