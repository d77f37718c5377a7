#include "guard/idle_pools.h"

#include <errno.h>

#include "driver/driver.h"

/* Calls `visit` for the device's default pool and for each that the program has made there. */
static void each_pool(struct vg_pools *made, int device,
                      void (*visit)(CUmemoryPool pool, void *argument), void *argument)
{
    uint64_t handles[VG_POOLS_MAX];
    CUmemoryPool pool;
    if (vg_driver.cuDeviceGetDefaultMemPool &&
        vg_driver.cuDeviceGetDefaultMemPool(&pool, device) == CUDA_SUCCESS)
        visit(pool, argument);
    const size_t count = vg_pools_on_device(made, device, handles, VG_POOLS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (!vg_pools_hold(made, handles[i]))
            continue;
        visit((CUmemoryPool)(uintptr_t)handles[i], argument);
        vg_pools_release(made, handles[i]);
    }
}

static void add_kept(struct vg_idle_pools *to, uint64_t reserved_bytes, uint64_t used_bytes)
{
    to->reserved_bytes += reserved_bytes;
    to->unused_bytes += reserved_bytes > used_bytes ? reserved_bytes - used_bytes : 0;
}

static void measure_pool(CUmemoryPool pool, void *argument)
{
    add_kept(argument, vg_driver_pool_value(pool, CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT),
             vg_driver_pool_value(pool, CU_MEMPOOL_ATTR_USED_MEM_CURRENT));
}

void vg_idle_pools_measure(struct vg_pools *made, int device, struct vg_idle_pools *out)
{
    uint64_t reserved = 0, used = 0;
    *out = (struct vg_idle_pools){ .unused_bytes = 0 };
    each_pool(made, device, measure_pool, out);
    if (vg_driver.cuDeviceGetGraphMemAttribute &&
        vg_driver.cuDeviceGetGraphMemAttribute(device, CU_GRAPH_MEM_ATTR_RESERVED_MEM_CURRENT,
                                               &reserved) == CUDA_SUCCESS &&
        vg_driver.cuDeviceGetGraphMemAttribute(device, CU_GRAPH_MEM_ATTR_USED_MEM_CURRENT, &used) ==
            CUDA_SUCCESS)
        add_kept(out, reserved, used);
}

static void trim_pool(CUmemoryPool pool, void *unused)
{
    (void)unused;
    if (vg_driver.cuMemPoolTrimTo)
        vg_driver.cuMemPoolTrimTo(pool, 0);
}

void vg_idle_pools_trim(struct vg_pools *made, int device)
{
    CUstreamCaptureMode mode;
    const int error = vg_driver_relax(&mode);
    if (error == -EIO)
        return;
    each_pool(made, device, trim_pool, NULL);
    if (vg_driver.cuDeviceGraphMemTrim)
        vg_driver.cuDeviceGraphMemTrim(device);
    if (!error)
        vg_driver_restore(mode);
}
