/* From the slots that count what stacks allocate to the counters of a run: the same for the live
 * process and for a file. */
#ifndef VRAMGUARD_ANALYZE_COUNTER_VISIT_H
#define VRAMGUARD_ANALYZE_COUNTER_VISIT_H

#include "analyze/run_source.h"
#include "heap/site_counters.h"

struct vg_counter_visit {
    vg_run_counter_visit *visit;
    void *argument;
    enum vg_run_level level;
    uint64_t visited;
};

/* Passes the slot on, if it is of the level. `epoch` is its device's (site_counters.h). */
static inline void vg_counter_visit_slot(struct vg_counter_visit *visit,
                                         const struct vg_site_slot *slot, uint64_t epoch)
{
    struct vg_run_counter counter = { .allocation_count = slot->allocations,
                                      .free_count = slot->frees,
                                      .stack_id = slot->stack_id,
                                      .device = slot->device };
    if (slot->level != (visit->level == VG_LEVEL_BLOCKS ? VG_SITE_BLOCK : VG_SITE_ALLOCATION))
        return;
    vg_site_at_peak(slot, epoch, &counter.peak_bytes, &counter.peak_count);
    visit->visited++;
    visit->visit(&counter, visit->argument);
}

#endif
