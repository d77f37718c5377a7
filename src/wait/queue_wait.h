/* Waiting in the line of one GPU (shared/queue.h), step by step: what an allocation that failed,
 * a program that needs room for a model, and a newcomer have in common. */
#ifndef VRAMGUARD_WAIT_QUEUE_WAIT_H
#define VRAMGUARD_WAIT_QUEUE_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "shared/registry.h"

struct vg_queue_wait {
    struct vg_queue *queue;
    struct vg_queue_slot place;
    bool in_line;        /* false: the line is full, it waits without a place */
    bool last_try;       /* it was chosen as the victim and has tried for the last time */
    unsigned held;       /* which of SIGINT and SIGTERM are blocked, and were not before */
    uint32_t poll_ms;    /* time between tries without news; grows */
    uint32_t freed_seen; /* of queue->freed, before the last try */
    uint64_t start_ns, deadline_ns, next_poll_ns, last_try_ns; /* CLOCK_MONOTONIC */
    uint64_t wanted_bytes;
};

/* How the next step ends. */
enum vg_queue_wait_event {
    VG_QUEUE_WAIT_TRY,     /* try now; if that does not succeed, step again */
    VG_QUEUE_WAIT_SLEPT,   /* some time has passed: time to look after other things, then step again
                            */
    VG_QUEUE_WAIT_TIMEOUT, /* the deadline is over */
    VG_QUEUE_WAIT_VICTIM,  /* a deadlock is broken by giving up here */
    VG_QUEUE_WAIT_SIGNAL,  /* SIGINT or SIGTERM wants the program to do something else */
};

/* Takes a place for at most `wait_ms`. The request's owner and times are filled in here. Never
 * blocks. */
void vg_queue_wait_enter(struct vg_queue_wait *line, struct vg_queue *queue,
                         struct vg_wait_request *request, uint64_t wait_ms);

/* Waits for at most 200 ms, less when there is news. `measure` tells how much is free now
 * (VG_BYTES_UNKNOWN if it cannot); a try is made when it is this place's turn and enough is free,
 * and otherwise now and then, as not everybody tells what they free. No lock of ours may be held.
 *
 * Signals: from entering on SIGINT and SIGTERM are blocked in this thread, and one that is pending
 * ends the wait; the program's handler runs then. In a try only those that have a handler stay
 * blocked. Where there are other threads, which would get them instead, they come in while this one
 * sleeps, and handlers of other signals have to wait for 10 ms at the most: so a handler that
 * interrupts the sleep is theirs. One that runs in another thread, or in the instant before and
 * after the sleep, goes unnoticed. When this returns VG_QUEUE_WAIT_SLEPT or VG_QUEUE_WAIT_TRY they
 * are still blocked, until vg_queue_wait_leave or vg_queue_wait_keep_ticket. */
enum vg_queue_wait_event vg_queue_wait_step(struct vg_queue_wait *line,
                                            uint64_t (*measure)(void *argument), void *argument);

/* The thread has left a wait otherwise than by its end: signals that it still has blocked from
 * there are let through, unless siglongjmp has restored the mask already. */
void vg_queue_wait_reset_thread(void);

/* How long it has been waiting. */
uint64_t vg_queue_wait_waited_ms(const struct vg_queue_wait *line);

/* Gives the place up, and lets signals through. Safe to call twice. */
void vg_queue_wait_leave(struct vg_queue_wait *line);

/* A place that is kept while the driver is asked: others do not overtake meanwhile. */
struct vg_held_ticket {
    struct vg_queue *queue; /* NULL: there is none */
    struct vg_queue_slot place;
    uint64_t since_ns; /* CLOCK_MONOTONIC: when it came; 0: it never had to wait its turn */
    bool interrupted;  /* a signal has ended that */
};

/* Ends the waiting, lets signals through, and keeps the place for `out`. */
void vg_queue_wait_keep_ticket(struct vg_queue_wait *line, struct vg_held_ticket *out);

void vg_held_ticket_release(struct vg_held_ticket *place);

#endif
