/* Whether a failing call may wait for other processes, for how long, and if not, why not. Decided
 * from facts gathered before: nothing here asks anybody. */
#ifndef VRAMGUARD_OOM_WAIT_REASON_H
#define VRAMGUARD_OOM_WAIT_REASON_H

#include <stdbool.h>
#include <stdint.h>

#include "machine/machine.h"
#include "oom/policy.h"

enum {
    VG_WAIT_GIL_MS = 500,       /* while the failing thread holds Python's GIL */
    VG_WAIT_SURVIVES_MS = 1000, /* in a program that has handled an earlier failure */
    VG_WAIT_RECLAIM_MS = 500,   /* for processes of the own program to give back what they keep */
};

/* What this process holds of the failure's device for certain: managed memory makes room. */
uint64_t vg_wait_own_bytes(const struct vg_failure *failure);

/* All that is known at the start of a wait. */
struct vg_wait_facts {
    const struct vg_rescue *rescue;
    const struct vg_machine_gpu *gpu; /* with VG_MACHINE_RELATIONS */
    uint64_t free_bytes;              /* now; VG_BYTES_UNKNOWN if it cannot be measured */
    uint64_t own_bytes;               /* vg_wait_own_bytes */
    uint64_t fingerprint;             /* of what others hold (vg_machine_fingerprint) */
    bool holds_gil;                   /* the failing thread holds Python's GIL */
};

/* Why waiting cannot help, as far as the process itself knows; code VG_OUTCOME_NONE: it may. */
struct vg_outcome vg_wait_reason_of_own(const struct vg_rescue *rescue);

/* The same by what others hold. Where the memory belongs to processes of the own program, which do
 * not free it while this one waits, `pid` is the largest of them. */
struct vg_outcome vg_wait_reason_of_others(const struct vg_wait_facts *facts);

struct vg_wait_time {
    uint64_t ms;
    uint16_t why_short; /* enum vg_outcome_code: it is shorter than the policy says because of
                           this; VG_OUTCOME_NONE: it is not, or there is nothing to say */
    struct vg_outcome skipped; /* code VG_OUTCOME_NONE: there is time */
    struct vg_outcome instead; /* if nothing comes free, this is why it waited no longer: the memory
                                  is the own program's, which was asked for what it only keeps; code
                                  VG_OUTCOME_NONE: it is not */
};

/* How long it may take: what was asked for, what a distributed job bears, what is left of this
 * hour's budget, what the program bears. Notes the beginning of an hour in the history. */
struct vg_wait_time vg_wait_allowed(const struct vg_wait_facts *facts);

/* What other processes may hold at the most; VG_BYTES_UNKNOWN when nothing is known. */
uint64_t vg_wait_held_by_others(const struct vg_wait_facts *facts);

#endif
