#include "guard/torch_observer.h"

#include <errno.h>

#include "guard/census_source.h"
#include "guard/torch_oom.h"
#include "oom/census_observer.h"

/* Is there something to tell of the failure that PyTorch observes there? A forked child may have
 * inherited the observer. */
static bool observes(int64_t device)
{
    const struct vg_process_state *const state = vg_process_start();
    return state && state->wants_blocks && device >= 0 && device < VG_FILE_HOST &&
           vg_thread.passed_place != 0;
}

static bool prepare_census(int64_t device, struct vg_census_source *out)
{
    const int saved_errno = errno;
    const bool is_observed = observes(device);
    errno = saved_errno;
    if (is_observed)
        vg_census_source_init(out, (int32_t)device);
    return is_observed;
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
