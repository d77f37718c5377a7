#include "oom/oom_classify.h"

#include <string.h>

#include "base/size.h"
#include "driver/driver.h"

enum { SURVIVED = 3 };

static const uint64_t survived_window_ns = UINT64_C(10) * 1000000000;
static const uint64_t gone_on_ns = UINT64_C(1000000000);
static const uint64_t quiet_ns = UINT64_C(60) * 1000000000;

/* Memory comes in blocks of 2 MiB; a request of an odd size takes one more than it fills. */
#define SLACK_BYTES (4 * VG_MIB)

/* Calls that name no amount make contexts, load code or the like. */
#define NOMINAL_BYTES (512 * VG_MIB)

/* Does this look like a caller that asks for less and less? The steps are those of the arenas:
 * nine tenths (XLA, TensorFlow, ONNX Runtime) or a half (RMM). */
static bool is_step_down(uint64_t before, uint64_t now)
{
    if (before == VG_BYTES_UNKNOWN || now == VG_BYTES_UNKNOWN || now >= before || before < 1000)
        return false;
    const uint64_t promille = now / (before / 1000);
    return (promille >= 850 && promille <= 960) || (promille >= 498 && promille <= 502);
}

/* The program's own time: it does nothing while it waits. */
static uint64_t own_time(const struct vg_oom_state *history, uint64_t now_ns)
{
    const uint64_t waited_ns = history->in_waits_ns;
    return now_ns > waited_ns ? now_ns - waited_ns : 0;
}

/* Has it survived three failures in a short time, or is that not long ago? */
static bool is_probing(const struct vg_oom_state *history, uint64_t now_ns)
{
    const uint64_t own_ns = own_time(history, now_ns), count = history->returned_count;
    if (own_ns < history->probing_until_ns)
        return true;
    const uint64_t oldest_ns = history->returned_ns[count % SURVIVED];
    return count >= SURVIVED && own_ns < oldest_ns + survived_window_ns;
}

/* Has the program gone on after a failure? This thread has, or there was time to come to an end. */
static bool has_survived(const struct vg_oom_state *history, const struct vg_last_failure *last,
                         uint64_t now_ns)
{
    const uint64_t count = history->returned_count;
    return last->returned ||
           (count > 0 &&
            own_time(history, now_ns) > history->returned_ns[(count - 1) % SURVIVED] + gone_on_ns);
}

static bool is_same(const struct vg_last_failure *last, uint16_t function, uint64_t asked_bytes)
{
    return last->function == function + 1 && last->asked_bytes == asked_bytes;
}

/* Is the failed call the second one of a caller that was given its first failure untouched? */
static bool is_retry(const struct vg_last_failure *last, uint16_t function, uint64_t asked_bytes)
{
    return last->passed && is_same(last, function, asked_bytes);
}

/* Does the caller empty a cache of its own when it is told no, and ask again? */
static bool flushes_and_asks_again(const struct vg_failure *failure)
{
    return failure->twice &&
           (failure->caller == VG_CALLER_PYTORCH || failure->caller == VG_CALLER_FLUSHING);
}

static enum vg_outcome_code reason_not_to_wait(const struct vg_failure *failure,
                                               const struct vg_oom_state *history,
                                               const struct vg_last_failure *last, uint64_t now_ns)
{
    if (failure->refused_by == VG_REFUSED_BY_LIMIT && !failure->limit_shared)
        return VG_OUTCOME_SKIPPED_LIMIT;
    if (failure->caller == VG_CALLER_ARENA)
        return VG_OUTCOME_SKIPPED_ARENA;
    if (failure->searches_batch_size)
        return VG_OUTCOME_SKIPPED_BATCH_SEARCH;
    if (last->shrinking > 0)
        return VG_OUTCOME_SKIPPED_SHRINKING;
    if (is_probing(history, now_ns))
        return VG_OUTCOME_SKIPPED_PROBING;
    if (now_ns < history->spilling_until_ns)
        return VG_OUTCOME_SKIPPED_SPILLED;
    return VG_OUTCOME_NONE;
}

bool vg_oom_is_enough_free(const struct vg_failure *failure)
{
    const uint64_t wanted_bytes = vg_oom_wanted_bytes(failure);
    return failure->refused_by == VG_REFUSED_BY_DRIVER && failure->free_bytes != VG_BYTES_UNKNOWN &&
           failure->free_bytes >= SLACK_BYTES && failure->free_bytes - SLACK_BYTES >= wanted_bytes;
}

uint64_t vg_oom_wanted_bytes(const struct vg_failure *failure)
{
    return failure->asked_bytes == VG_BYTES_UNKNOWN ? NOMINAL_BYTES : failure->asked_bytes;
}

enum vg_oom_decision vg_oom_classify(struct vg_failure *failure, uint16_t function,
                                     const struct vg_oom_state *history,
                                     struct vg_last_failure *last, uint64_t now_ns)
{
    const bool retry = is_retry(last, function, failure->asked_bytes);
    failure->retry = retry;
    failure->survived_before = has_survived(history, last, now_ns);
    const bool tried = last->tried && is_same(last, function, failure->asked_bytes);
    const bool steps_down =
        last->function == function + 1 && is_step_down(last->asked_bytes, failure->asked_bytes);
    const uint16_t shrinking = steps_down ? (uint16_t)(last->shrinking + (last->shrinking < 1000))
                               : retry    ? last->shrinking
                                          : 0;
    *last = (struct vg_last_failure){
        .function = (uint16_t)(function + 1),
        .asked_bytes = failure->asked_bytes,
        .passed = retry,
        .shrinking = shrinking,
        .returned = last->returned,
    };
    failure->why_no_wait = reason_not_to_wait(failure, history, last, now_ns);
    if (failure->refused_by == VG_REFUSED_BY_INJECT) {
        /* The second call is a second one, whoever made the first one fail. */
        last->passed = flushes_and_asks_again(failure) && !retry;
        return VG_DECISION_REPORT;
    }
    if (failure->capturing || failure->lacks_elsewhere)
        return VG_DECISION_REPORT;
    if (flushes_and_asks_again(failure) && !retry) {
        last->passed = 1;
        return VG_DECISION_DEFER;
    }
    /* Since 2.14 the cudaMallocAsync backend asks twice, too, with nothing but emptying its pool in
     * between; before, the first call was the last, so it is the first that is acted on
     * (c10/cuda/CUDAMallocAsyncAllocator.cpp, mallocAsync). */
    if (failure->caller == VG_CALLER_PYTORCH && failure->pool_call) {
        last->tried = !tried;
        failure->retry = tried;
        if (tried)
            return VG_DECISION_REPORT;
    } else if (failure->caller == VG_CALLER_PYTORCH && !failure->twice) {
        last->tried = !tried;
        if (tried && !failure->why_no_wait)
            failure->why_no_wait = VG_OUTCOME_SKIPPED_REPEATED;
    }
    return vg_oom_is_enough_free(failure) ? VG_DECISION_AGAIN : VG_DECISION_POLICY;
}

void vg_oom_note_placed(struct vg_oom_state *history, const struct vg_failure *failure,
                        uint64_t now_ns)
{
    for (uint32_t i = 0; i < failure->action_count; i++)
        if (strcmp(failure->actions[i].name, "wait") == 0)
            atomic_store(&history->spilling_until_ns, now_ns + quiet_ns);
}

void vg_oom_note_wait_begin(struct vg_oom_state *history, uint64_t now_ns)
{
    if (atomic_fetch_add(&history->waiting, 1) == 0)
        atomic_store(&history->wait_start_ns, now_ns);
}

void vg_oom_note_wait_end(struct vg_oom_state *history, uint64_t now_ns)
{
    const uint64_t start_ns = history->wait_start_ns;
    if (atomic_fetch_sub(&history->waiting, 1) == 1 && now_ns > start_ns)
        atomic_fetch_add(&history->in_waits_ns, now_ns - start_ns);
}

void vg_oom_note_wait_in_vain(struct vg_oom_state *history, int device, uint64_t fingerprint)
{
    if (device >= 0)
        atomic_store(&history->vain_fingerprint[device % VG_FILE_DEVICES], fingerprint);
}

bool vg_oom_was_in_vain(const struct vg_oom_state *history, int device, uint64_t fingerprint)
{
    return device >= 0 && fingerprint != 0 &&
           atomic_load(&history->vain_fingerprint[device % VG_FILE_DEVICES]) == fingerprint;
}

void vg_oom_note_returned(struct vg_oom_state *history, uint64_t now_ns)
{
    const uint64_t own_ns = own_time(history, now_ns);
    if (is_probing(history, now_ns))
        atomic_store(&history->probing_until_ns, own_ns + quiet_ns);
    const uint64_t place = atomic_fetch_add(&history->returned_count, 1);
    atomic_store(&history->returned_ns[place % SURVIVED], own_ns);
}

enum vg_deferred_end vg_oom_note_success(struct vg_last_failure *last, uint16_t function,
                                         uint64_t asked_bytes)
{
    const bool same = is_retry(last, function, asked_bytes) ||
                      (last->tried && is_same(last, function, asked_bytes));
    last->tried = 0;
    if (same && function == VG_FN_cuMemCreate)
        return VG_DEFERRED_OPEN;
    last->passed = 0;
    return same ? VG_DEFERRED_CURED : VG_DEFERRED_UNANSWERED;
}
