#include "heap/pools.h"

void vg_pools_add(struct vg_pools *pools, uint64_t handle, int device)
{
    vg_lock_take(&pools->lock);
    if (pools->count < VG_POOLS_MAX) {
        pools->pools[pools->count].handle = handle;
        pools->pools[pools->count].device = device;
        pools->count++;
    }
    vg_lock_release(&pools->lock);
}

void vg_pools_remove(struct vg_pools *pools, uint64_t handle)
{
    vg_lock_take(&pools->lock);
    for (size_t i = 0; i < pools->count; i++)
        if (pools->pools[i].handle == handle) {
            pools->pools[i] = pools->pools[--pools->count];
            break;
        }
    vg_lock_release(&pools->lock);
}

int vg_pools_device(struct vg_pools *pools, uint64_t handle)
{
    int device = -1;
    vg_lock_take(&pools->lock);
    for (size_t i = 0; i < pools->count && device < 0; i++)
        if (pools->pools[i].handle == handle)
            device = pools->pools[i].device;
    vg_lock_release(&pools->lock);
    return device;
}

size_t vg_pools_on_device(struct vg_pools *pools, int device, uint64_t *out, size_t cap)
{
    size_t count = 0;
    vg_lock_take(&pools->lock);
    for (size_t i = 0; i < pools->count && count < cap; i++)
        if (pools->pools[i].device == device)
            out[count++] = pools->pools[i].handle;
    vg_lock_release(&pools->lock);
    return count;
}
