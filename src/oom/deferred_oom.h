/* Failures that went to PyTorch's allocator untouched because it empties its cache and asks again
 * (oom/oom_classify.h). If it does not, nothing has been said of them yet: they are noted here
 * until the second try, or a sign that there will be none. */
#ifndef VRAMGUARD_OOM_DEFERRED_OOM_H
#define VRAMGUARD_OOM_DEFERRED_OOM_H

#include <stdbool.h>
#include <stdint.h>

#include "analyze/collect.h"

enum { VG_DEFERRED_OOM_MAX = 32 };

struct vg_deferred_failure {
    const char *api;
    uint64_t asked_bytes, free_bytes, total_bytes;
    uint64_t realtime_ns, monotonic_ns;
    uint32_t thread_id, stack_id;
    int32_t device;
    enum vg_refusal refused_by;
};

struct vg_deferred_oom {
    struct vg_deferred_oom_entry {
        _Atomic uint64_t state; /* its two lowest bits: 0 free, 1 being written, 2 open */
        struct vg_deferred_failure failure;
    } entries[VG_DEFERRED_OOM_MAX];
};

/* Notes `failure`. Returns its place, from 1; 0 when there is no room. Any thread, no locks. */
uint16_t vg_deferred_oom_note(struct vg_deferred_oom *passed, const struct vg_failure *failure);

/* Takes the failure at `place` out. Returns false when another thread has done so. */
bool vg_deferred_oom_take(struct vg_deferred_oom *passed, uint16_t place,
                          struct vg_deferred_failure *out);

/* Reports a failure that has been taken out: the program has not asked again. `survived`: and has
 * gone on. Same contract as vg_report_failure. */
void vg_deferred_oom_report(const struct vg_deferred_failure *failure,
                            const struct vg_tables *tables, bool survived);

#endif
