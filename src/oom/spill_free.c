/* The end of spilled memory. A cuMemFree of it becomes a cuMemFreeHost. cuMemFreeAsync has no such
 * counterpart: the memory is kept until an event behind the work that was queued before has come to
 * pass, and given back by a later call, so that nobody waits for a stream. */
#include "driver/driver.h"
#include "oom/action_spill.h"

enum { REAPED_AT_ONCE = 8 };

static void *pointer_at(uint64_t address)
{
    return (void *)(uintptr_t)address;
}

bool vg_spill_free(struct vg_spilled *spilled, CUdeviceptr address, CUresult *out_result)
{
    vg_spill_reap(spilled);
    struct vg_spilled_node *const node = vg_spilled_take(spilled, address);
    if (!node)
        return false;
    *out_result = vg_driver.cuMemFreeHost(pointer_at(address));
    if (*out_result == CUDA_SUCCESS)
        vg_spilled_forget(spilled, node);
    else
        vg_spilled_restore(spilled, node);
    return true;
}

/* A stream that is being captured takes no memory but its graph's (CUDA Driver API,
 * cuMemFreeAsync): then the driver is to say so. */
static bool is_captured(CUstream stream, bool per_thread)
{
    return vg_driver_is_capturing(
        per_thread ? vg_driver.cuStreamIsCapturing_ptsz : vg_driver.cuStreamIsCapturing, stream);
}

/* An event behind what is queued in the stream now, NULL when none can be had, as for a stream of
 * another context than the current one. */
static CUevent record_event(CUstream stream, bool per_thread)
{
    CUevent event;
    CUresult (*const record)(CUevent, CUstream) =
        per_thread ? vg_driver.cuEventRecord_ptsz : vg_driver.cuEventRecord;
    if (!record || !vg_driver.cuEventCreate || !vg_driver.cuEventQuery ||
        !vg_driver.cuEventDestroy_v2 ||
        vg_driver.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING) != CUDA_SUCCESS)
        return NULL;
    if (record(event, stream) == CUDA_SUCCESS)
        return event;
    vg_driver.cuEventDestroy_v2(event);
    return NULL;
}

/* Without an event: the work is waited for, as cuMemFree would, and the memory given back. */
static CUresult wait_and_free(CUdeviceptr address, CUstream stream, bool per_thread)
{
    CUresult (*const wait)(CUstream) =
        per_thread ? vg_driver.cuStreamSynchronize_ptsz : vg_driver.cuStreamSynchronize;
    const CUresult result = wait ? wait(stream) : CUDA_ERROR_NOT_SUPPORTED;
    return result == CUDA_SUCCESS ? vg_driver.cuMemFreeHost(pointer_at(address)) : result;
}

bool vg_spill_free_async(struct vg_spilled *spilled, CUdeviceptr address, CUstream stream,
                         bool per_thread, CUresult *out_result)
{
    if (is_captured(stream, per_thread))
        return false;
    struct vg_spilled_node *const node = vg_spilled_take(spilled, address);
    if (!node)
        return false;
    const CUevent event = record_event(stream, per_thread);
    *out_result = event ? CUDA_SUCCESS : wait_and_free(address, stream, per_thread);
    if (event)
        vg_spilled_defer(spilled, node, event);
    else if (*out_result == CUDA_SUCCESS)
        vg_spilled_forget(spilled, node);
    else
        vg_spilled_restore(spilled, node);
    vg_spill_reap(spilled);
    return true;
}

/* Returns whether the memory has been given back. Whatever the event says but "not yet": its work
 * is over, be it that it failed. */
static bool free_if_done(CUevent event, uint64_t address)
{
    if (vg_driver.cuEventQuery(event) == CUDA_ERROR_NOT_READY ||
        vg_driver.cuMemFreeHost(pointer_at(address)) != CUDA_SUCCESS)
        return false;
    vg_driver.cuEventDestroy_v2(event);
    return true;
}

void vg_spill_reap(struct vg_spilled *spilled)
{
    CUstreamCaptureMode mode;
    struct vg_spilled_node *node;
    uint64_t address;
    void *event;
    if (spilled->deferred_count == 0)
        return;
    const bool relaxed = vg_driver_relax(&mode) == 0;
    for (int i = 0; i < REAPED_AT_ONCE; i++) {
        node = vg_spilled_next_deferred(spilled, &event, &address);
        if (!node)
            break;
        if (free_if_done(event, address))
            vg_spilled_forget(spilled, node);
        else
            vg_spilled_defer(spilled, node, event);
    }
    if (relaxed)
        vg_driver_restore(mode);
}
