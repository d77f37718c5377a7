#include "oom/deferred_oom.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "driver/cuda_abi.h"
#include "oom/emit.h"

/* An entry goes through these states, and the bits above count how often: who takes one out cannot
 * mistake a later failure for the one that it has read. */
enum { FREE, WRITING, OPEN, STATE_MASK = 3 };

uint16_t vg_deferred_oom_note(struct vg_deferred_oom *passed, const struct vg_failure *failure)
{
    for (uint16_t i = 0; i < VG_DEFERRED_OOM_MAX; i++) {
        struct vg_deferred_oom_entry *const entry = &passed->entries[i];
        uint64_t state = atomic_load(&entry->state);
        if ((state & STATE_MASK) != FREE ||
            !atomic_compare_exchange_strong(&entry->state, &state, state + WRITING))
            continue;
        entry->failure = (struct vg_deferred_failure){
            .api = failure->api,
            .asked_bytes = failure->asked_bytes,
            .free_bytes = failure->free_bytes,
            .total_bytes = failure->total_bytes,
            .realtime_ns = vg_clock_ns(CLOCK_REALTIME),
            .monotonic_ns = vg_clock_monotonic_ns(),
            .thread_id = failure->thread_id,
            .stack_id = failure->stack_id,
            .device = failure->device,
            .refused_by = failure->refused_by,
        };
        atomic_store(&entry->state, state + OPEN);
        return i + 1;
    }
    return 0;
}

bool vg_deferred_oom_take(struct vg_deferred_oom *passed, uint16_t place,
                          struct vg_deferred_failure *out)
{
    struct vg_deferred_oom_entry *const entry = &passed->entries[place - 1];
    uint64_t state = atomic_load(&entry->state);
    if ((state & STATE_MASK) != OPEN)
        return false;
    *out = entry->failure;
    return atomic_compare_exchange_strong(&entry->state, &state, state - OPEN + STATE_MASK + 1);
}

void vg_deferred_oom_report(const struct vg_deferred_failure *passed,
                            const struct vg_tables *tables, bool survived)
{
    struct vg_failure failure = {
        .tables = *tables,
        .api = passed->api,
        .error = CUDA_ERROR_OUT_OF_MEMORY,
        .device = passed->device,
        .asked_bytes = passed->asked_bytes,
        .free_bytes = passed->free_bytes,
        .total_bytes = passed->total_bytes,
        .realtime_ns = passed->realtime_ns,
        .thread_id = passed->thread_id,
        .stack_id = passed->stack_id,
        .refused_by = passed->refused_by,
        .survived = survived,
        .failure_number = atomic_fetch_add(&tables->recorder->header->failure_count, 1) + 1,
        .action_count = 1,
    };
    snprintf(failure.actions[0].name, sizeof failure.actions[0].name, "nothing");
    vg_outcome_add(&failure.actions[0], (struct vg_outcome){ .code = VG_OUTCOME_NOT_ASKED_AGAIN },
                   NULL);
    failure.actions[0].duration_ns = vg_clock_monotonic_ns() - passed->monotonic_ns;
    vg_report_failure(&failure);
}
