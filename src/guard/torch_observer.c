#include "guard/torch_observer.h"

#include <errno.h>

#include "driver/captures.h"
#include "guard/torch_blocks.h"
#include "guard/torch_oom.h"
#include "oom/census_observer.h"

/* Of the failure that is observed: the GIL sees to it that there is one at a time. */
static struct {
    struct vg_process_state *state;
    uint16_t device;
} observed;

static bool find_block(void *argument, uintptr_t address, struct vg_census_block *out)
{
    (void)argument;
    return vg_torch_blocks_find(&observed.state->blocks, observed.device, address, out);
}

static struct vg_recorder *recorder_of_state(void *argument)
{
    (void)argument;
    return observed.state->blocks.recorder;
}

static void total_blocks(void *argument, struct vg_census_amount *out)
{
    (void)argument;
    const struct vg_file_blocks totals = vg_blocks_totals(&observed.state->blocks, observed.device);
    *out = (struct vg_census_amount){ .bytes = totals.allocated_bytes,
                                      .blocks = totals.allocations - totals.frees };
}

static uint64_t count_given(void *argument)
{
    (void)argument;
    return vg_blocks_totals(&observed.state->blocks, observed.device).allocations;
}

static bool is_not_capturing(void *argument)
{
    (void)argument;
    return !vg_captures_live();
}

/* This process's state; a forked child may have inherited the observer, and its parent's. */
static struct vg_process_state *current_state(void)
{
    struct vg_process_state *const state = vg_process_start();
    return state && state->wants_blocks ? state : NULL;
}

static bool prepare_census(int64_t device, struct vg_census_source *out)
{
    const int saved_errno = errno;
    observed.state = current_state();
    observed.device = (uint16_t)device;
    errno = saved_errno;
    if (!observed.state || device < 0 || device >= VG_FILE_HOST || vg_thread.passed_place == 0)
        return false;
    *out = (struct vg_census_source){ .find_block = find_block,
                                      .total = total_blocks,
                                      .given = count_given,
                                      .may_begin = is_not_capturing,
                                      .recorder = recorder_of_state,
                                      .device = (int32_t)device,
                                      .jax_platform = "gpu" };
    return true;
}

static void tell_failure(const struct vg_census_failure *failure, const struct vg_census *census)
{
    const int saved_errno = errno;
    struct vg_guard_frame frame;
    struct vg_process_state *const state = vg_guard_enter(&frame, sizeof frame);
    if (state) {
        vg_torch_oom_observed(state, failure, census);
        vg_guard_leave();
    }
    errno = saved_errno;
}

void vg_torch_observer_want(struct vg_process_state *state)
{
    static const struct vg_census_client client = { .prepare = prepare_census,
                                                    .tell = tell_failure };
    const enum vg_census_attachment attachment = vg_census_attachment();
    if (attachment == VG_CENSUS_ATTACHED || attachment == VG_CENSUS_NOT_POSSIBLE)
        state->wants_census = false;
    else
        vg_census_request_attach(&client);
}
