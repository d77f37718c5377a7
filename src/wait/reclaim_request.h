/* Who waits for memory of a GPU asks the other guarded processes to give back what they only keep
 * (shared/reclaim_slot.h), again and again but less and less often. */
#ifndef VRAMGUARD_WAIT_RECLAIM_REQUEST_H
#define VRAMGUARD_WAIT_RECLAIM_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyze/outcome.h"
#include "shared/registry.h"

/* One wait's questions. Zeroed at first. */
struct vg_reclaim_request {
    uint64_t next_ns; /* CLOCK_MONOTONIC: not again before */
    uint64_t pause_ns;
    uint32_t asked; /* how many processes, the last time any was */
};

/* To be called each time it was the caller's turn and there was not enough: asks when it is time
 * to. No lock of ours may be held. */
void vg_reclaim_request_step(struct vg_reclaim_request *asking,
                             const struct vg_registration *registration, uint64_t wanted_bytes);

/* Notes in `to` who has given back how much, if somebody has, and returns whether. Waits up to
 * 20 ms for who is at it. */
bool vg_reclaim_request_note(const struct vg_reclaim_request *asking,
                             const struct vg_registration *registration, struct vg_oom_action *to);

#endif
