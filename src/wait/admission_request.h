/* Coming to a GPU that others use: a program that says what it needs waits for it before its first
 * context, and one that says nothing does not push in front of those who already wait. */
#ifndef VRAMGUARD_WAIT_ADMISSION_REQUEST_H
#define VRAMGUARD_WAIT_ADMISSION_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/size.h"
#include "shared/registry.h"
#include "wait/queue_wait.h"

/* Who holds less of a GPU than this is a newcomer: it has made its first small allocations at most.
 */
#define VG_NEWCOMER_BYTES (64 * VG_MIB)

/* Who comes, and for what. */
struct vg_admission_request {
    int device;       /* ordinal, for messages */
    const char *uuid; /* of the device */
    const struct vg_registration *registration;
    uint64_t total_bytes; /* of the device, 0 unknown */
    uint64_t bytes;       /* that it needs, or asks for */
    uint64_t wait_ms;     /* it waits no longer than that */
    uint64_t since_ns;    /* CLOCK_MONOTONIC: it has been in line since, before; 0: it has not */
    uint16_t priority;
};

/* VRAMGUARD_NEED: waits until `bytes` of the GPU are free and promised to nobody else, and has them
 * promised to this process, until it ends. Says what it does in one line when that takes longer
 * than a second, or cannot be; then the program goes on without. No context is needed, none is
 * made; no lock of ours may be held. Returns whether it is promised now. */
bool vg_admission_await(const struct vg_admission_request *coming);

/* Is anybody in line for the GPU, or has memory of it been promised? Two loads. */
static inline bool vg_newcomer_concerns(const struct vg_registration *registration)
{
    struct vg_queue *const queue = vg_registration_queue(registration);
    return vg_queue_is_waited_for(queue) || vg_queue_has_promises(queue);
}

/* A process that holds next to nothing is about to allocate `bytes`: waits while others are in line
 * before it or the memory has been promised to somebody else. A smaller request that fits may pass,
 * as queue.h says. Returns whether it had its turn: then its place in line is in `out`, to be left
 * when it has the memory or waits for it in another place, since others shall not overtake
 * meanwhile. False: the time is over, or a signal came. */
bool vg_newcomer_hold_back(const struct vg_admission_request *coming, struct vg_held_ticket *out);

#endif
