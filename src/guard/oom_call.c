#include "guard/oom_call.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "analyze/event_records.h"
#include "base/cancellation.h"
#include "base/clock.h"
#include "base/log.h"
#include "guard/array_census.h"
#include "guard/guard.h"
#include "guard/oom_facts.h"
#include "oom/callback_thread.h"
#include "oom/census_observer.h"
#include "oom/emit.h"
#include "os/stack_room.h"

/* ---- failures that are passed on ---- */

struct deferred {
    struct vg_process_state *state;
    uint16_t place;
    bool answered;
};

static void end_deferred(void *argument)
{
    const struct deferred *const deferred = argument;
    struct vg_process_state *const state = deferred->state;
    struct vg_deferred_failure passed;
    if (!vg_deferred_oom_take(&state->passed, deferred->place, &passed) || deferred->answered)
        return;
    vg_oom_note_returned(&state->history, vg_clock_monotonic_ns());
    vg_deferred_oom_report(&passed, true);
}

void vg_oom_call_end_deferred(struct vg_process_state *state, bool answered)
{
    struct deferred deferred = { .state = state,
                                 .place = vg_thread.passed_place,
                                 .answered = answered };
    vg_thread.passed_place = 0;
    if (deferred.place != 0)
        vg_stack_room_call(vg_thread.stack_lowest, end_deferred, &deferred);
}

/* The caller asks again: what has emptying its cache brought? */
static void note_flush(struct vg_failure *failure, const struct vg_deferred_failure *passed)
{
    const uint64_t before_bytes = passed->failure.free_bytes;
    const bool known = failure->free_bytes != VG_BYTES_UNKNOWN && before_bytes != VG_BYTES_UNKNOWN;
    const uint64_t more_bytes =
        failure->free_bytes > before_bytes ? failure->free_bytes - before_bytes : 0;
    if (failure->action_count == VG_FAILURE_ACTIONS)
        return;
    struct vg_oom_action *const flush = &failure->actions[failure->action_count++];
    *flush = (struct vg_oom_action){
        .recovered_bytes = known ? more_bytes : VG_BYTES_UNKNOWN,
        .duration_ns = vg_clock_monotonic_ns() - passed->monotonic_ns,
    };
    /* Advice about PyTorch's cache looks for "flush". */
    snprintf(flush->name, sizeof flush->name, "%s", failure->flusher ? "own cache" : "flush");
    if (failure->flusher)
        vg_outcome_add(flush, (struct vg_outcome){ .code = VG_OUTCOME_FLUSHED_OTHER },
                       failure->flusher);
    else
        vg_outcome_add(flush, (struct vg_outcome){ .code = VG_OUTCOME_FLUSHED }, NULL);
}

/* The allocation's failure before this one: PyTorch has emptied its cache in between. With
 * max_split_size_mb it asks a third time; what was tried at the second is not tried again. */
static void follow_first(struct vg_oom_call *failing, const struct vg_deferred_failure *passed)
{
    struct vg_failure *const failure = &failing->failure;
    if (passed->stage == VG_DEFERRED_TRIED) {
        memcpy(failure->actions, passed->failure.actions, sizeof failure->actions);
        failure->action_count = passed->failure.action_count;
        failing->course = VG_DECISION_REPORT;
    }
    note_flush(failure, passed);
}

/* After triage: what the new failure means for the one before, and its own note. */
static void follow_passed(struct vg_call *call)
{
    struct vg_deferred_oom *const list = &call->state->passed;
    struct vg_oom_call *const failing = call->failing;
    struct vg_deferred_failure passed;
    if (!failing->failure.retry) {
        vg_oom_call_end_deferred(call->state, false);
    } else if (vg_thread.passed_place != 0) {
        if (vg_deferred_oom_take(list, vg_thread.passed_place, &passed))
            follow_first(failing, &passed);
        vg_thread.passed_place = 0;
    }
    if (failing->course == VG_DECISION_DEFER)
        vg_thread.passed_place = vg_deferred_oom_note(list, VG_DEFERRED_FIRST, &failing->failure);
}

/* A success of the thread whose last failure was passed on. */
void vg_oom_call_succeed_after_pass(const struct vg_call *call)
{
    const enum vg_deferred_end end =
        vg_oom_note_success(&vg_thread.last_failure, (uint16_t)call->function, call->asked_bytes);
    if (end != VG_DEFERRED_OPEN)
        vg_oom_call_end_deferred(call->state, end == VG_DEFERRED_CURED);
}

void vg_oom_call_memory_read(struct vg_process_state *state)
{
    struct vg_deferred_failure noted;
    const uint16_t place = vg_thread.passed_place;
    if (place == 0 || !vg_thread.last_failure.tried)
        return;
    vg_thread.last_failure.tried = 0;
    vg_thread.passed_place = 0;
    if (!vg_deferred_oom_take(&state->passed, place, &noted))
        return;
    vg_thread.last_failure.returned = 1;
    vg_oom_note_returned(&state->history, vg_clock_monotonic_ns());
    vg_deferred_oom_report(&noted, false);
}

void vg_guard_note_mapped(struct vg_process_state *state)
{
    vg_thread.last_failure.passed = 0;
    vg_oom_call_end_deferred(state, true);
}

/* ---- one failing call ---- */

/* Where nothing else is to be had. */
static struct vg_oom_call spare;
static atomic_flag spare_taken = ATOMIC_FLAG_INIT;

/* Not on the stack of the call, which has to be small when all is well. */
static struct vg_oom_call *take_memory(void)
{
    void *const memory = mmap(NULL, sizeof(struct vg_oom_call), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED)
        return memory;
    return atomic_flag_test_and_set(&spare_taken) ? NULL : &spare;
}

static void give_memory_back(struct vg_process_state *state, struct vg_oom_call *failing)
{
    vg_thread.failing = NULL;
    atomic_fetch_sub(&state->history.failing_calls, 1);
    if (failing == &spare)
        atomic_flag_clear(&spare_taken);
    else
        munmap(failing, sizeof *failing);
}

static void describe_failure(struct vg_call *call)
{
    struct vg_process_state *const state = call->state;
    struct vg_oom_call *const failing = call->failing;
    failing->made_again = false;
    vg_oom_facts_describe(call, &failing->failure);
    failing->rescue = (struct vg_rescue){
        .policy = &state->policy,
        .options = state->options,
        .failure = &failing->failure,
        .turn = &call->turn,
        .history = &state->history,
    };
    failing->course = vg_oom_classify(&failing->failure, (uint16_t)call->function, &state->history,
                                      &vg_thread.last_failure, vg_clock_monotonic_ns());
    if (call->turn.since_ns != 0 && call->turn.interrupted)
        failing->failure.why_no_wait = VG_OUTCOME_SKIPPED_SIGNAL;
    follow_passed(call);
}

/* The call is made once more because there seems to be enough. */
static bool make_again(struct vg_oom_call *failing)
{
    struct vg_failure *const failure = &failing->failure;
    failing->made_again = true;
    struct vg_oom_action *const again = &failure->actions[failure->action_count++];
    *again = (struct vg_oom_action){ .name = "again" };
    vg_outcome_add(again, (struct vg_outcome){ .code = VG_OUTCOME_ENOUGH_FREE }, NULL);
    return true;
}

/* Follows the course of a failing call. Returns whether the call is to be made again. */
static bool follow_course(struct vg_call *call)
{
    struct vg_oom_call *const failing = call->failing;
    if (failing->course == VG_DECISION_AGAIN && !failing->made_again)
        return make_again(failing);
    if (failing->course == VG_DECISION_AGAIN) {
        /* Somebody else may have been faster: then it is a shortage like any other. */
        vg_oom_facts_measure_device(&failing->failure);
        if (vg_oom_is_enough_free(&failing->failure))
            return false;
        failing->course = VG_DECISION_POLICY; /* whatever is measured while an action runs */
    } else if (failing->course != VG_DECISION_POLICY) {
        return false;
    }
    switch (vg_policy_next(&failing->rescue)) {
    case VG_VERDICT_PASS: return false;
    case VG_VERDICT_PLACED:
        call->placed = true;
        call->placed_key = failing->request.key;
        call->result = CUDA_SUCCESS;
        return false;
    default: return true;
    }
}

/* The call succeeded after all, because of what was tried. */
static void record_rescue(const struct vg_failure *failure)
{
    struct vg_run_rescue rescue = { .device = failure->device,
                                    .realtime_ns = vg_clock_ns(CLOCK_REALTIME),
                                    .asked_bytes = failure->asked_bytes,
                                    .stack_id = failure->stack_id,
                                    .api = failure->api,
                                    .actions = failure->actions,
                                    .action_count = failure->action_count };
    for (uint32_t i = 0; i < failure->action_count; i++)
        rescue.duration_ns += failure->actions[i].duration_ns;
    vg_rescue_record_append(failure->tables.recorder, &rescue);
}

void vg_oom_call_tell(struct vg_process_state *state, struct vg_failure *failure)
{
    struct vg_census_source source;
    failure->failure_number = atomic_fetch_add(&state->recorder.header->failure_count, 1) + 1;
    vg_thread.last_failure.returned = 1;
    if (failure->refused_by != VG_REFUSED_BY_INJECT)
        vg_oom_note_returned(&state->history, vg_clock_monotonic_ns());
    const bool asks_census = !failure->census && vg_array_census_prepare(state, failure, &source);
    vg_report_failure(failure, asks_census ? &source : NULL);
}

/* Is it a call of PyTorch's caching allocator, as far as can be seen? */
static bool is_of_torch(const struct vg_failure *failure)
{
    return failure->twice && failure->caller == VG_CALLER_PYTORCH;
}

/* Will PyTorch say itself whether this is the end of it? Where it tells of its blocks it does. A
 * user's injection is told where it was made. */
static bool will_torch_tell(const struct vg_process_state *state, const struct vg_failure *failure)
{
    return is_of_torch(failure) && failure->retry && vg_blocks_seen(&state->blocks) &&
           failure->refused_by != VG_REFUSED_BY_INJECT;
}

/* Nothing was tried, where the user may expect it. */
static void note_capture(struct vg_failure *failure)
{
    if (!failure->capturing || failure->refused_by != VG_REFUSED_BY_DRIVER ||
        failure->action_count > 0)
        return;
    struct vg_oom_action *const nothing = &failure->actions[failure->action_count++];
    *nothing = (struct vg_oom_action){ .name = "nothing", .recovered_bytes = 0 };
    vg_outcome_add(nothing, (struct vg_outcome){ .code = VG_OUTCOME_CAPTURING }, NULL);
}

/* Is it the first of two calls, or the only one, after which PyTorch looks how much is free? */
static bool may_ask_again(const struct vg_failure *failure)
{
    return failure->caller == VG_CALLER_PYTORCH && failure->pool_call && !failure->retry &&
           failure->refused_by != VG_REFUSED_BY_INJECT;
}

/* The failure goes to the caller. */
static void give_up(struct vg_call *call)
{
    struct vg_process_state *const state = call->state;
    struct vg_oom_call *const failing = call->failing;
    struct vg_failure *const failure = &failing->failure;
    if (failing->course == VG_DECISION_DEFER && vg_thread.passed_place != 0)
        return;
    if (failure->limit_bytes > 0) {
        failure->refused_by = call->refused_by; /* of the last try */
        vg_oom_facts_measure_limit(state, failure);
    }
    const bool torch_tells = will_torch_tell(state, failure);
    if (torch_tells)
        vg_census_await_attachment(); /* where no action has: it is told by our observer */
    if (torch_tells || may_ask_again(failure)) {
        vg_thread.passed_place = vg_deferred_oom_note(&state->passed, VG_DEFERRED_TRIED, failure);
        if (vg_thread.passed_place != 0)
            return;
    }
    if (failure->retry)
        vg_thread.last_failure.passed = 0;
    vg_thread.torch_told = is_of_torch(failure);
    note_capture(failure);
    vg_oom_call_tell(state, failure);
}

/* One try has failed. Returns whether to make another. */
static bool answer_failure(struct vg_call *call, const struct vg_request *request)
{
    if (!call->failing) {
        call->failing = take_memory();
        if (!call->failing) {
            vg_warn_once(VG_FAULT_FAILING,
                         "no memory to describe a failed allocation: nothing is "
                         "tried for it and it is not reported");
            return false;
        }
        vg_thread.failing = call->failing;
        atomic_fetch_add(&call->state->history.failing_calls, 1);
        describe_failure(call);
        vg_thread.torch_refused |= is_of_torch(&call->failing->failure);
    }
    if (request) {
        call->failing->request = *request;
        call->failing->rescue.request = &call->failing->request;
    }
    if (follow_course(call))
        return true;
    if (call->placed) {
        vg_oom_note_placed(&call->state->history, &call->failing->failure, vg_clock_monotonic_ns());
        record_rescue(&call->failing->failure);
    } else {
        give_up(call);
    }
    give_memory_back(call->state, call->failing);
    call->failing = NULL;
    return false;
}

struct answer {
    struct vg_call *call;
    const struct vg_request *request;
    bool again;
};

static void answer_with_room(void *argument)
{
    struct answer *const answer = argument;
    answer->again = answer_failure(answer->call, answer->request);
}

bool vg_oom_call_answer(struct vg_call *call, const struct vg_request *request)
{
    const int saved_errno = errno;
    if (call->charge.held)
        vg_quota_release(&call->state->allowance, &call->charge);
    /* A hook asked to free memory runs short itself: it sees the driver's answer. */
    if (vg_callback_thread_is_current())
        return false;
    if (!call->state)
        call->state = vg_process_start();
    if (!call->state)
        return false; /* switched off */
    struct answer answer = { .call = call, .request = request };
    vg_cancellation_hold();
    vg_stack_room_call(vg_thread.stack_lowest, answer_with_room, &answer);
    vg_cancellation_release();
    errno = saved_errno;
    return answer.again;
}

void vg_oom_call_abandon(struct vg_process_state *state)
{
    struct vg_oom_call *const failing = vg_thread.failing;
    vg_census_request_abandon();
    vg_report_abandon();
    if (!failing)
        return;
    vg_policy_abandon(&failing->rescue);
    give_memory_back(state, failing);
}

void vg_oom_call_end(struct vg_call *call)
{
    const int saved_errno = errno;
    struct vg_oom_call *const failing = call->failing;
    vg_cancellation_hold();
    vg_policy_end(&failing->rescue, call->result == CUDA_SUCCESS);
    if (call->result == CUDA_SUCCESS && failing->failure.action_count > 0)
        record_rescue(&failing->failure);
    give_memory_back(call->state, call->failing);
    call->failing = NULL;
    vg_cancellation_release();
    errno = saved_errno;
}
