/* What happens when a call lacks memory: its facts are gathered once, triage chooses the course,
 * the policy's actions follow each other with the call made again in between, and in the end there
 * is a rescue, recorded, or a failure, reported. The guard's own part of a failing call. */
#ifndef VRAMGUARD_GUARD_OOM_CALL_H
#define VRAMGUARD_GUARD_OOM_CALL_H

#include <stdbool.h>

#include "oom/policy.h"

struct vg_call;
struct vg_process_state;

/* A failing call. In memory of its own until it is over (vg_call.failing). */
struct vg_oom_call {
    enum vg_oom_decision course;
    bool made_again; /* VG_DECISION_AGAIN has been followed */
    struct vg_request request;
    struct vg_rescue rescue;
    struct vg_failure failure;
};

/* The call has just returned out of memory. `request`: what the policy may place elsewhere, or
 * NULL. Returns whether to make the call again. If not, call->result is what the program is to get:
 * when call->placed is set, a success. errno is preserved. No lock of ours may be held. */
bool vg_oom_call_answer(struct vg_call *call, const struct vg_request *request);

/* This thread has left a failing call otherwise than by its end (left_call.h): gives back its
 * memory and what it counts as. Nothing when there is none. */
void vg_oom_call_abandon(struct vg_process_state *state);

/* The call, made again, has not returned out of memory. */
void vg_oom_call_end(struct vg_call *call);

/* The program has its failure: tells it, now. Locks as vg_oom_call_answer. */
void vg_oom_call_tell(struct vg_process_state *state, struct vg_failure *failure);

/* The failure that this thread was given untouched is over. `answered`: its caller asked again and
 * got it; else it has gone on to something else, and is told to have survived. Locks as
 * vg_oom_call_answer. */
void vg_oom_call_end_deferred(struct vg_process_state *state, bool answered);

/* A success of a thread whose last failure was passed on untouched. */
void vg_oom_call_succeed_after_pass(const struct vg_call *call);

/* This thread has asked how much memory is free: tells the failure of PyTorch's cudaMallocAsync
 * backend that is noted for it. errno is preserved by the caller. Locks as vg_oom_call_answer. */
void vg_oom_call_memory_read(struct vg_process_state *state);

#endif
