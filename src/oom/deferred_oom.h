/* Failures that went back to PyTorch's allocator and are not told yet: the first one of an
 * allocation, after which it empties its cache and asks again (oom/oom_classify.h), and the last
 * one, after which it says itself that it gives up, where this PyTorch does. They are noted here
 * until then, or until a sign that it will not come to that. */
#ifndef VRAMGUARD_OOM_DEFERRED_OOM_H
#define VRAMGUARD_OOM_DEFERRED_OOM_H

#include <stdbool.h>
#include <stdint.h>

#include "analyze/collect.h"

enum { VG_DEFERRED_OOM_MAX = 32 };

enum vg_deferred_stage {
    VG_DEFERRED_FIRST,    /* PyTorch is to empty its cache and to ask again */
    VG_DEFERRED_TRIED,    /* all was tried: PyTorch is to say that it gives up, or its
                             cudaMallocAsync backend to empty its pool and to ask again, or to look
                             how much is free, which comes before its error */
    VG_DEFERRED_GIVEN_UP, /* it has said so, and is to call its observers */
};

struct vg_deferred_failure {
    enum vg_deferred_stage stage;
    uint64_t realtime_ns, monotonic_ns; /* when it was noted */
    struct vg_failure failure;          /* without its frames: the stack has an id, or is lost */
};

/* The states lie together: all are looked at when the process ends, and the failures are large. */
struct vg_deferred_oom {
    _Atomic uint64_t states[VG_DEFERRED_OOM_MAX]; /* the two lowest bits: 0 free, 1 being written,
                                                     2 open */
    struct vg_deferred_failure failures[VG_DEFERRED_OOM_MAX];
};

/* Notes `failure`. Returns its place, from 1; 0 when there is no room. Any thread, no locks. */
uint16_t vg_deferred_oom_note(struct vg_deferred_oom *passed, enum vg_deferred_stage stage,
                              const struct vg_failure *failure);

/* Takes the failure at `place` out. Returns false when another thread has done so. */
bool vg_deferred_oom_take(struct vg_deferred_oom *passed, uint16_t place,
                          struct vg_deferred_failure *out);

/* Reports a failure that has been taken out, late: what was to come did not. `survived`: and the
 * program has gone on. Changes what it is given. Same contract as vg_report_failure. */
void vg_deferred_oom_report(struct vg_deferred_failure *failure, bool survived);

#endif
