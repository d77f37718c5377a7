#include "heap/graph_pools.h"

#include <stdatomic.h>

#include "base/size.h"

static void follow_capture(struct vg_graph_pools *pools, uint32_t capture)
{
    if (atomic_load(&pools->capture) == capture)
        return;
    atomic_store(&pools->segment_bytes, 0);
    atomic_store(&pools->before_bytes, VG_BYTES_UNKNOWN);
    atomic_store(&pools->capture, capture);
}

void vg_graph_pools_add_segment(struct vg_graph_pools *pools, uint32_t capture, uint64_t bytes)
{
    follow_capture(pools, capture);
    atomic_fetch_add(&pools->segment_bytes, bytes);
}

void vg_graph_pools_add_block(struct vg_graph_pools *pools, uint32_t capture, uint64_t bytes,
                              uint64_t allocated_bytes)
{
    follow_capture(pools, capture);
    uint64_t before_bytes = atomic_load(&pools->before_bytes);
    if (before_bytes == VG_BYTES_UNKNOWN) {
        before_bytes = allocated_bytes > bytes ? allocated_bytes - bytes : 0;
        atomic_store(&pools->before_bytes, before_bytes);
    }
    if (allocated_bytes <= before_bytes ||
        allocated_bytes - before_bytes <= atomic_load(&pools->segment_bytes) ||
        atomic_exchange(&pools->last_reuser, capture) == capture)
        return;
    atomic_fetch_add(&pools->reuser_count, 1);
}
