/* Failures that went to PyTorch's allocator untouched because it empties its cache and asks again
 * (policy/triage.h). If it does not, nothing has been said of them yet: they are noted here until
 * the second try, or a sign that there will be none. */
#ifndef VRAMGUARD_GUARD_PASSED_H
#define VRAMGUARD_GUARD_PASSED_H

#include <stdbool.h>
#include <stdint.h>

#include "report/collect.h"

enum { VG_PASSED_MAX = 32 };

struct vg_passed_failure {
    const char *api;
    uint64_t asked_bytes, free_bytes, total_bytes;
    uint64_t realtime_ns, monotonic_ns;
    uint32_t thread_id, stack_id;
    int32_t device;
    enum vg_refusal refused_by;
};

struct vg_passed {
    struct vg_passed_entry {
        _Atomic uint64_t state; /* its two lowest bits: 0 free, 1 being written, 2 open */
        struct vg_passed_failure failure;
    } entries[VG_PASSED_MAX];
};

/* Notes `failure`. Returns its place, from 1; 0 when there is no room. Any thread, no locks. */
uint16_t vg_passed_note(struct vg_passed *passed, const struct vg_failure *failure);

/* Takes the failure at `place` out. Returns false when another thread has done so. */
bool vg_passed_take(struct vg_passed *passed, uint16_t place, struct vg_passed_failure *out);

/* Reports a failure that has been taken out: the program has not asked again. `survived`: and has
 * gone on. Same contract as vg_report_failure. */
void vg_passed_report(const struct vg_passed_failure *failure, const struct vg_tables *tables,
                      bool survived);

#endif
