/* For unit tests of the counters of sites: a model that remembers all of a site each time the peak
 * rises, and the sum of what the counters say. */
#ifndef VRAMGUARD_TEST_SITE_MODEL_H
#define VRAMGUARD_TEST_SITE_MODEL_H

#include <stdint.h>

#include "heap/site_counters.h"

struct site_model {
    uint64_t allocations, frees, live_bytes, allocated_bytes, peak_bytes, peak_count;
};

/* The peak has risen: what `count` sites have live they hold at it. */
static inline void note_peak(struct site_model *sites, int count)
{
    for (int i = 0; i < count; i++) {
        sites[i].peak_bytes = sites[i].live_bytes;
        sites[i].peak_count = sites[i].allocations - sites[i].frees;
    }
}

static inline void add_counters(struct site_model *sum, const struct vg_site_slot *slot,
                                uint64_t epoch)
{
    uint64_t bytes, count;
    vg_site_at_peak(slot, epoch, &bytes, &count);
    sum->allocations += slot->allocations;
    sum->frees += slot->frees;
    sum->live_bytes += slot->live_bytes;
    sum->allocated_bytes += slot->allocated_bytes;
    sum->peak_bytes += bytes;
    sum->peak_count += count;
}

#endif
