/* The facts of a call that lacks memory: who made it, where, of how much, and what there was. */
#ifndef VRAMGUARD_GUARD_OOM_FACTS_H
#define VRAMGUARD_GUARD_OOM_FACTS_H

#include "oom/policy.h"

struct vg_call;
struct vg_process_state;

/* Fills in what the device has free, and in all; VG_BYTES_UNKNOWN where the driver does not tell.
 * Calls the driver. */
void vg_oom_facts_measure_device(struct vg_failure *failure);

/* Fills in what a limit allows of failure->device, and leaves. */
void vg_oom_facts_measure_limit(struct vg_process_state *state, struct vg_failure *failure);

/* Describes the call, which has just returned out of memory, completely: captures its stack, waits
 * for what is known of its device, measures, judges who calls. Counts it as failed on its device.
 * No lock of ours may be held. */
void vg_oom_facts_describe(struct vg_call *call, struct vg_failure *out);

#endif
