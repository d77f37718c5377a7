#include "heap/pools.h"

#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Who reads it without the lock sees the handle with its device or not at all. The lock is held. */
static void write_entry(struct vg_pools *pools, size_t at, uint64_t handle, int device)
{
    pools->pools[at].handle = 0;
    pools->pools[at].device = device;
    pools->pools[at].handle = handle;
}

void vg_pools_add(struct vg_pools *pools, uint64_t handle, int device)
{
    vg_lock_take(&pools->lock);
    if (pools->count < VG_POOLS_MAX) {
        write_entry(pools, pools->count, handle, device);
        pools->pools[pools->count].users = 0;
        pools->count++;
    }
    vg_lock_release(&pools->lock);
}

/* Its index, `pools->count` when it is not there. The lock is held. */
static size_t pool_index(const struct vg_pools *pools, uint64_t handle)
{
    size_t i = 0;
    while (i < pools->count && pools->pools[i].handle != handle)
        i++;
    return i;
}

bool vg_pools_hold(struct vg_pools *pools, uint64_t handle)
{
    vg_lock_take(&pools->lock);
    const size_t at = pool_index(pools, handle);
    const bool is_there = at < pools->count;
    if (is_there)
        pools->pools[at].users++;
    vg_lock_release(&pools->lock);
    return is_there;
}

void vg_pools_release(struct vg_pools *pools, uint64_t handle)
{
    vg_lock_take(&pools->lock);
    const size_t at = pool_index(pools, handle);
    if (at < pools->count && pools->pools[at].users > 0)
        pools->pools[at].users--;
    vg_lock_release(&pools->lock);
}

/* Takes it out unless somebody holds it. Returns whether it is not there any more. */
static bool try_remove(struct vg_pools *pools, uint64_t handle, bool at_any_rate)
{
    vg_lock_take(&pools->lock);
    const size_t at = pool_index(pools, handle);
    const bool is_held = at < pools->count && pools->pools[at].users > 0 && !at_any_rate;
    if (at < pools->count && !is_held) {
        const size_t last = pools->count - 1;
        write_entry(pools, at, pools->pools[last].handle, pools->pools[last].device);
        pools->pools[at].users = pools->pools[last].users;
        pools->count = last;
    }
    vg_lock_release(&pools->lock);
    return !is_held;
}

void vg_pools_remove(struct vg_pools *pools, uint64_t handle)
{
    const struct timespec pause = { .tv_nsec = 1000000 };
    int ms = 0;
    while (!try_remove(pools, handle, ms >= VG_POOLS_PATIENCE_MS)) {
        syscall(SYS_nanosleep, &pause, NULL); /* libc's is a cancellation point */
        ms++;
    }
}

int vg_pools_device(struct vg_pools *pools, uint64_t handle)
{
    const size_t count = atomic_load_explicit(&pools->count, memory_order_acquire);
    for (size_t i = 0; i < count; i++)
        if (pools->pools[i].handle == handle) {
            const int device = pools->pools[i].device;
            if (pools->pools[i].handle == handle)
                return device;
        }
    if (count == 0)
        return -1;
    vg_lock_take(&pools->lock); /* it may have been moved from behind to before those seen */
    const size_t at = pool_index(pools, handle);
    const int device = at < pools->count ? pools->pools[at].device : -1;
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
