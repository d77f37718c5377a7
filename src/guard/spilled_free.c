#include "guard/spilled_free.h"

#include "guard/process_state.h"
#include "oom/action_spill.h"

/* This process's state, if there is one. Not vg_guard_enter: that refuses calls from inside the
 * guard, for which there is one, too. */
static struct vg_process_state *present_state(void)
{
    struct vg_process_state *const state = atomic_load(&vg_process_current);
    return state && !state->inert && vg_fork_mark_intact() ? state : NULL;
}

bool vg_guard_find_spilled(CUdeviceptr address, struct vg_spilled_range *out)
{
    struct vg_process_state *const state = vg_spilled_any() ? present_state() : NULL;
    return state && vg_spilled_find(&state->spilled, address, out);
}

bool vg_guard_find_spilled_handle(CUmemGenericAllocationHandle handle, struct vg_spilled_range *out)
{
    struct vg_process_state *const state = vg_spilled_any() ? present_state() : NULL;
    const uint64_t key = state ? vg_vmm_key(&state->virtual, handle) : 0;
    return key != 0 && vg_spilled_find(&state->spilled, key, out) &&
           out->what == VG_SPILLED_PHYSICAL;
}

/* An allocation that begins at `address`. */
static bool begins_at(struct vg_process_state *state, CUdeviceptr address)
{
    struct vg_spilled_range range;
    return vg_spilled_find(&state->spilled, address, &range) && range.address == address &&
           range.what == VG_SPILLED_LINEAR;
}

/* Settles the record of what was taken out of it before the real free. */
static void settle_record(struct vg_process_state *state, const struct vg_pending_free *taken,
                          bool freed)
{
    if (freed)
        vg_live_index_commit_free(&state->track, taken);
    else
        vg_live_index_abort_free(&state->track, taken);
}

bool vg_guard_free_spilled(CUdeviceptr address, CUresult *out_result)
{
    struct vg_process_state *const state = vg_spilled_any() ? present_state() : NULL;
    struct vg_pending_free taken;
    if (!state)
        return false;
    vg_spill_reap(&state->spilled);
    if (!begins_at(state, address))
        return false;
    const bool known = vg_live_index_begin_free(&state->track, address, &taken);
    const bool ours = vg_spill_free(&state->spilled, address, out_result);
    if (known)
        settle_record(state, &taken, ours && *out_result == CUDA_SUCCESS);
    return ours;
}

bool vg_guard_free_spilled_async(CUdeviceptr address, CUstream stream, bool per_thread,
                                 CUresult *out_result)
{
    struct vg_process_state *const state = vg_spilled_any() ? present_state() : NULL;
    struct vg_pending_free taken;
    if (!state || !begins_at(state, address))
        return false;
    const bool known = vg_live_index_begin_free(&state->track, address, &taken);
    const bool ours = vg_spill_free_async(&state->spilled, address, stream, per_thread, out_result);
    if (known)
        settle_record(state, &taken, ours && *out_result == CUDA_SUCCESS);
    return ours;
}
