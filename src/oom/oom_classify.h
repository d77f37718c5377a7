/* What may be done about one failure, before its policy is asked: some callers take a failure for
 * an answer, and some must get theirs at once. Pure but for the history. */
#ifndef VRAMGUARD_OOM_OOM_CLASSIFY_H
#define VRAMGUARD_OOM_OOM_CLASSIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "analyze/collect.h"

/* The failures that this process got, of late. Zeroed at first. What lies between two failures is
 * counted without the waits, in which the program does nothing. */
struct vg_oom_state {
    _Atomic uint64_t returned_ns[3]; /* when failures were returned to the program: a ring */
    _Atomic uint64_t returned_count;
    _Atomic uint64_t probing_until_ns;  /* it survives failures as a matter of course until then */
    _Atomic uint64_t spilling_until_ns; /* what it waited for in vain was put elsewhere */
    _Atomic uint64_t waited_ns;         /* in the hour that began at: */
    _Atomic uint64_t hour_start_ns;
    /* No time of the program's own: */
    _Atomic uint64_t in_waits_ns; /* when somebody waited, however many at once */
    _Atomic uint64_t wait_start_ns;
    /* By device: the standstill in which a wait brought nothing (vg_machine_fingerprint); 0 none.
     */
    _Atomic uint64_t vain_fingerprint[VG_FILE_DEVICES];
    _Atomic uint32_t waiting;       /* threads that wait now */
    _Atomic uint32_t failing_calls; /* calls of the program that lack memory at this moment */
    bool distributed;               /* one of several processes of a distributed job (WORLD_SIZE) */
};

/* What one thread's last failure was. */
struct vg_last_failure {
    uint64_t asked_bytes;
    uint16_t function;  /* 1 + enum vg_function_id, 0 none */
    uint16_t passed;    /* it went through untouched, as the first of two, and the program has not
                           come to an end with it yet */
    uint16_t tried;     /* it was returned after everything was tried, to a caller that may ask for
                           the same once more, and has not looked how much is free since */
    uint16_t shrinking; /* failures in a row of which each asked for a little less */
    uint16_t returned;  /* 1: a failure has been returned to the program in this thread */
};

enum vg_oom_decision {
    VG_DECISION_DEFER,  /* return it unchanged and unreported: the caller acts on it and asks again
                         */
    VG_DECISION_REPORT, /* nothing may be tried */
    VG_DECISION_AGAIN,  /* make the call once more; then report */
    VG_DECISION_POLICY, /* what the user chose */
};

/* Chooses the course for a new failure of function `function` at `now_ns` (CLOCK_MONOTONIC). Fills
 * `failure->why_no_wait` when waiting is out of the question, `failure->retry` and
 * `failure->survived_before`. `last` is the calling thread's.
 *
 * Expandable segments ask in a loop, piece by piece, and go through the whole loop again: pieces of
 * the second loop are got before one fails, and after one has been waited for, the next may fail.
 * All of these are retries, until the pieces are mapped. */
enum vg_oom_decision vg_oom_classify(struct vg_failure *failure, uint16_t function,
                                     const struct vg_oom_state *history,
                                     struct vg_last_failure *last, uint64_t now_ns);

/* How much would make the call succeed: what it asks for, or what calls that name no amount may
 * take.
 */
uint64_t vg_oom_wanted_bytes(const struct vg_failure *failure);

/* Was more free at the failure than was asked for, so that something else than a shortage of memory
 * made it fail? */
bool vg_oom_is_enough_free(const struct vg_failure *failure);

/* A thread begins or ends to wait. Any thread. */
void vg_oom_note_wait_begin(struct vg_oom_state *history, uint64_t now_ns);
void vg_oom_note_wait_end(struct vg_oom_state *history, uint64_t now_ns);

/* Notes that the call got its memory elsewhere. If that was after waiting in vain, the same need
 * not be gone through for each of the hundreds of allocations that may follow. Any thread. */
void vg_oom_note_placed(struct vg_oom_state *history, const struct vg_failure *failure,
                        uint64_t now_ns);

/* A wait for memory of `device` brought nothing, and the others on it were as `fingerprint` tells
 * at its end. Any thread. */
void vg_oom_note_wait_in_vain(struct vg_oom_state *history, int device, uint64_t fingerprint);

/* Is that how they still are, so that another wait would be the same? */
bool vg_oom_was_in_vain(const struct vg_oom_state *history, int device, uint64_t fingerprint);

/* Notes that a failure has been returned to the program. Any thread. */
void vg_oom_note_returned(struct vg_oom_state *history, uint64_t now_ns);

/* What a success means for the failure that the thread was given untouched. */
enum vg_deferred_end {
    VG_DEFERRED_OPEN,       /* nothing yet: the second loop is under way */
    VG_DEFERRED_CURED,      /* the second try has succeeded */
    VG_DEFERRED_UNANSWERED, /* the program has gone on to something else */
};

/* A call of `function` for `asked_bytes` has succeeded in this thread, whose last failure was
 * passed or tried. Anything but VG_DEFERRED_OPEN ends that. */
enum vg_deferred_end vg_oom_note_success(struct vg_last_failure *last, uint16_t function,
                                         uint64_t asked_bytes);

#endif
