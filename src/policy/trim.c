/* The action "trim": asks the driver to give back memory that it keeps for this process without
 * using it: the device's default memory pool and the memory of finished graphs. */
#include <stdio.h>

#include "driver/driver.h"
#include "policy/policy.h"

static uint64_t free_bytes(void)
{
    size_t available = 0, total = 0;
    if (!vg_driver.cuMemGetInfo_v2 || vg_driver.cuMemGetInfo_v2(&available, &total) != CUDA_SUCCESS)
        return 0;
    return available;
}

static enum vg_verdict trim(struct vg_rescue *rescue, struct vg_snapshot_action *told)
{
    const struct vg_failure *const failure = rescue->failure;
    /* Relaxed: a stream capture of this thread must not be invalidated by
     * calls of ours (CUDA Driver API, cuThreadExchangeStreamCaptureMode). */
    int mode = CU_STREAM_CAPTURE_MODE_RELAXED;
    CUmemoryPool pool;
    if (failure->device < 0) {
        snprintf(told->outcome, sizeof told->outcome, "no context");
        return VG_VERDICT_PASS;
    }
    if (vg_driver.cuThreadExchangeStreamCaptureMode &&
        vg_driver.cuThreadExchangeStreamCaptureMode(&mode) != CUDA_SUCCESS)
        return VG_VERDICT_PASS;
    const uint64_t before = free_bytes();
    if (vg_driver.cuDeviceGetDefaultMemPool && vg_driver.cuMemPoolTrimTo &&
        vg_driver.cuDeviceGetDefaultMemPool(&pool, failure->device) == CUDA_SUCCESS)
        vg_driver.cuMemPoolTrimTo(pool, 0);
    uint64_t pools[VG_POOLS_MAX];
    const size_t count =
        vg_pools_on_device(failure->tables.pools, failure->device, pools, VG_POOLS_MAX);
    for (size_t i = 0; vg_driver.cuMemPoolTrimTo && i < count; i++)
        vg_driver.cuMemPoolTrimTo((CUmemoryPool)(uintptr_t)pools[i], 0);
    if (vg_driver.cuDeviceGraphMemTrim)
        vg_driver.cuDeviceGraphMemTrim(failure->device);
    const uint64_t after = free_bytes();
    if (vg_driver.cuThreadExchangeStreamCaptureMode)
        vg_driver.cuThreadExchangeStreamCaptureMode(&mode);
    told->recovered_bytes = after > before ? after - before : 0;
    snprintf(told->outcome, sizeof told->outcome, "pools and graph memory");
    return told->recovered_bytes > 0 ? VG_VERDICT_RETRY : VG_VERDICT_PASS;
}

const struct vg_action vg_action_trim = {
    .name = "trim",
    .help = "give back what the driver's pools and finished graphs keep unused",
    .run = trim,
};
