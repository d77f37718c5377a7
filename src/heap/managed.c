#include "heap/managed.h"

#include <stdatomic.h>

#include "record/kind.h"

/* Inherited by forked children, where it means a walk for nothing. */
static atomic_bool any_managed;

void vg_managed_note(void)
{
    if (!atomic_load_explicit(&any_managed, memory_order_relaxed))
        atomic_store_explicit(&any_managed, true, memory_order_relaxed);
}

struct managed_sum {
    int device;
    uint64_t bytes;
};

static void add_managed(const struct vg_allocation *allocation, void *argument)
{
    struct managed_sum *const sum = argument;
    if (allocation->device == sum->device &&
        (vg_kind_traits(allocation->kind) & VG_TRAIT_MOVES) != 0)
        sum->bytes += allocation->bytes;
}

uint64_t vg_managed_live_bytes(const struct vg_live_index *track, int device)
{
    struct managed_sum sum = { .device = device };
    if (atomic_load_explicit(&any_managed, memory_order_relaxed))
        vg_live_index_each(track, add_managed, &sum);
    return sum.bytes;
}
