#include "oom/deferred_oom.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "driver/cuda_abi.h"
#include "oom/emit.h"

/* A place goes through these states, and the bits above count how often: who takes one out cannot
 * mistake a later failure for the one that it has read. */
enum { FREE, WRITING, OPEN, STATE_MASK = 3 };

uint16_t vg_deferred_oom_note(struct vg_deferred_oom *passed, enum vg_deferred_stage stage,
                              const struct vg_failure *failure)
{
    for (uint16_t i = 0; i < VG_DEFERRED_OOM_MAX; i++) {
        struct vg_deferred_failure *const noted = &passed->failures[i];
        uint64_t state = atomic_load(&passed->states[i]);
        if ((state & STATE_MASK) != FREE ||
            !atomic_compare_exchange_strong(&passed->states[i], &state, state + WRITING))
            continue;
        noted->stage = stage;
        noted->realtime_ns = vg_clock_ns(CLOCK_REALTIME);
        noted->monotonic_ns = vg_clock_monotonic_ns();
        noted->failure = *failure;
        noted->failure.frames = NULL;
        noted->failure.frame_count = 0;
        atomic_store(&passed->states[i], state + OPEN);
        return i + 1;
    }
    return 0;
}

bool vg_deferred_oom_take(struct vg_deferred_oom *passed, uint16_t place,
                          struct vg_deferred_failure *out)
{
    _Atomic uint64_t *const place_state = &passed->states[place - 1];
    uint64_t state = atomic_load(place_state);
    if ((state & STATE_MASK) != OPEN)
        return false;
    *out = passed->failures[place - 1];
    return atomic_compare_exchange_strong(place_state, &state, state - OPEN + STATE_MASK + 1);
}

static void note_not_asked_again(struct vg_deferred_failure *passed)
{
    struct vg_failure *const failure = &passed->failure;
    if (failure->action_count == sizeof failure->actions / sizeof failure->actions[0])
        return;
    struct vg_oom_action *const nothing = &failure->actions[failure->action_count++];
    *nothing =
        (struct vg_oom_action){ .name = "nothing",
                                .duration_ns = vg_clock_monotonic_ns() - passed->monotonic_ns };
    vg_outcome_add(nothing, (struct vg_outcome){ .code = VG_OUTCOME_NOT_ASKED_AGAIN }, NULL);
}

void vg_deferred_oom_report(struct vg_deferred_failure *passed, bool survived)
{
    struct vg_failure *const failure = &passed->failure;
    failure->realtime_ns = passed->realtime_ns;
    failure->survived = survived;
    failure->failure_number =
        atomic_fetch_add(&failure->tables.recorder->header->failure_count, 1) + 1;
    if (passed->stage == VG_DEFERRED_FIRST)
        note_not_asked_again(passed);
    vg_report_failure(failure, NULL);
}
