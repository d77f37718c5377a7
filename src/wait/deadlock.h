/* Finding and breaking deadlocks among the processes that wait (knot.h). Whoever waits looks now
 * and then; one process at a time decides. */
#ifndef VRAMGUARD_WAIT_DEADLOCK_H
#define VRAMGUARD_WAIT_DEADLOCK_H

#include <stdint.h>

#include "shared/queue.h"

struct vg_deadlock_watch {
    uint64_t still_since_ns; /* CLOCK_MONOTONIC: nothing has come free since */
    uint64_t looked_ns;
    uint32_t freed_seen;
};

/* `now_ns`: CLOCK_MONOTONIC. */
void vg_deadlock_watch_start(struct vg_deadlock_watch *watch, const struct vg_queue *queue,
                             uint64_t now_ns);

/* To be called several times a second while waiting in `queue`. When nothing has come free for a
 * while, draws the picture of all GPUs that this user's guarded processes wait for (NVML, registry)
 * and chooses whoever is to give way. No lock of ours may be held. */
void vg_deadlock_watch_check(struct vg_deadlock_watch *watch, const struct vg_queue *queue);

#endif
