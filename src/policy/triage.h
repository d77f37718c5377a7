/* What may be done about one failure, before its policy is asked: some callers take a failure for
 * an answer, and some must get theirs at once. Pure but for the history. */
#ifndef VRAMGUARD_POLICY_TRIAGE_H
#define VRAMGUARD_POLICY_TRIAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "report/collect.h"

/* The failures that this process got, of late. Zeroed at first. */
struct vg_history {
    _Atomic uint64_t returned_ns[3]; /* when failures were returned to the program, on a clock that
                                        stands still while it waits for others: a ring */
    _Atomic uint64_t returned_count;
    _Atomic uint64_t probing_until_ns;  /* it survives failures as a matter of course until then */
    _Atomic uint64_t spilling_until_ns; /* what it waited for in vain was put elsewhere */
    _Atomic uint64_t waited_total_ns;   /* for other processes */
    _Atomic uint64_t waited_ns;         /* in the hour that began at: */
    _Atomic uint64_t hour_start_ns;
    bool distributed; /* one of several processes of a distributed job (WORLD_SIZE) */
};

/* What the program got for a failure, as far as the next one depends on it. */
enum vg_last_answer {
    VG_LAST_NONE,
    VG_LAST_PASSED, /* the failure untouched, as the first of two calls; or success, for a part of
                       what it needs */
    VG_LAST_TRIED,  /* the failure, after everything was tried; it may ask for the same once more */
};

/* What one thread's last failure was. */
struct vg_last_failure {
    uint64_t asked_bytes;
    uint16_t function;  /* 1 + the call that succeeds when the program has what it needs, 0 none */
    uint16_t answer;    /* enum vg_last_answer */
    uint16_t shrinking; /* failures in a row of which each asked for a little less */
};

enum vg_course {
    VG_COURSE_PASS,   /* return it unchanged and unreported: the caller acts on it and asks again */
    VG_COURSE_REPORT, /* nothing may be tried */
    VG_COURSE_AGAIN,  /* make the call once more; then report */
    VG_COURSE_POLICY, /* what the user chose */
};

/* Chooses the course for a new failure at `now_ns` (CLOCK_MONOTONIC). `function` is the call whose
 * success shows that the program has what it needs: mostly the failed one. Fills
 * `failure->why_no_wait` when waiting is out of the question. `last` is the calling thread's. */
enum vg_course vg_triage(struct vg_failure *failure, uint16_t function,
                         const struct vg_history *history, struct vg_last_failure *last,
                         uint64_t now_ns);

/* How much would make the call succeed: what it asks for, or what calls that name no amount may
 * take.
 */
uint64_t vg_triage_wanted_bytes(const struct vg_failure *failure);

/* Was more free at the failure than was asked for, so that something else than a shortage of memory
 * made it fail? */
bool vg_triage_is_enough(const struct vg_failure *failure);

/* Notes that a failure has been returned to the program. Any thread. */
void vg_triage_returned(struct vg_history *history, uint64_t now_ns);

/* Notes that the call got its memory elsewhere. If that was after waiting in vain, the same need
 * not be gone through for each of the hundreds of allocations that may follow. Any thread. */
void vg_triage_placed(struct vg_history *history, const struct vg_failure *failure,
                      uint64_t now_ns);

/* The call that failed has succeeded after all, by what was tried. What it got may be a part of
 * what the program needs: should the next part fail, it is not the first of two calls. */
static inline void vg_triage_rescued(struct vg_last_failure *last, const struct vg_failure *failure)
{
    if (failure->twice)
        last->answer = VG_LAST_PASSED;
}

/* A call of `function` for `asked_bytes` has succeeded in this thread. */
static inline void vg_triage_succeeded(struct vg_last_failure *last, uint16_t function,
                                       uint64_t asked_bytes)
{
    if (__builtin_expect(last->answer, 0) && last->function == function + 1 &&
        last->asked_bytes == asked_bytes)
        last->answer = VG_LAST_NONE;
}

#endif
