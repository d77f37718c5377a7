#include "analyze/growth.h"

enum {
    SURVIVORS_MIN = 2 * VG_RUN_EIGHTHS,
    COPIES_MAX = 2, /* of each tensor that is loaded: x.cuda().half().contiguous() */
    PAUSES_MIN = 3, /* as long as the one since the newest: it is one of them */
};

_Static_assert((int)VG_CENSUS_EIGHTHS == (int)VG_RUN_EIGHTHS, "a census tells by the same eighths");

/* Does every eighth have its share, as where each step of a program keeps some more? A quarter to
 * three times of it, since steps and eighths do not meet. */
static bool is_even(const uint64_t made_in[VG_RUN_EIGHTHS], uint64_t live_count)
{
    for (int i = 0; i < VG_RUN_EIGHTHS; i++) {
        const uint64_t made = made_in[i] * VG_RUN_EIGHTHS;
        if (made * 4 < live_count || made > live_count * 3)
            return false;
    }
    return true;
}

/* Has nothing come for a quarter of what the device has given out since the oldest or, where that
 * is not counted, of the time? A program may run out of memory within one tick of the clock. */
static bool has_stopped(const struct vg_run_site *site)
{
    if (site->oldest_count != VG_COUNT_UNKNOWN)
        return site->newest_count > site->oldest_count / 4;
    return site->newest_ns > site->oldest_ns / 4;
}

/* Some in each eighth but the last two: by the time that is one that has stopped. */
static bool fills_the_first(const struct vg_run_site *site)
{
    for (int i = 0; i < VG_RUN_EIGHTHS - 2; i++)
        if (site->made[i] == 0)
            return false;
    return true;
}

static uint32_t judge_kind(const struct vg_run_site *site)
{
    uint64_t told = 0;
    for (int i = 0; i < VG_RUN_EIGHTHS; i++)
        told += site->made[i];
    if (site->live_count < SURVIVORS_MIN || told < SURVIVORS_MIN)
        return VG_GROWTH_UNKNOWN;
    if (is_even(site->made, site->live_count))
        return has_stopped(site) ? VG_GROWTH_STOPPED : VG_GROWTH_STEADY;
    return has_stopped(site) && fills_the_first(site) ? VG_GROWTH_STOPPED : VG_GROWTH_NONE;
}

void vg_growth_judge(struct vg_run_site *site)
{
    site->growth = (struct vg_run_growth){ .kind = judge_kind(site) };
    if (site->growth.kind != VG_GROWTH_STEADY && site->growth.kind != VG_GROWTH_STOPPED)
        return;
    /* What came in the last eighth may be the present round's. */
    const uint64_t kept = site->live_count - site->made[VG_RUN_EIGHTHS - 1];
    site->growth.each_bytes = site->live_bytes / site->live_count;
    site->growth.kept_count = kept;
    site->growth.kept_bytes = kept * site->growth.each_bytes;
    site->growth.since_ns = site->oldest_ns;
}

/* `each`: how many were given out for each that is kept, itself included. One in nine may be
 * another's. */
static bool came_by(uint64_t each, uint64_t oldest_count, uint64_t newest_count, uint64_t blocks)
{
    return oldest_count - newest_count + 1 <= each * blocks + blocks / 8;
}

bool vg_growth_came_at_once(const struct vg_run_site *site)
{
    return site->oldest_count != VG_COUNT_UNKNOWN && site->oldest_count >= site->newest_count &&
           came_by(1, site->oldest_count, site->newest_count, site->live_count);
}

static enum vg_growth_pace pace_of(const struct vg_census_history *history)
{
    if (came_by(1, history->oldest_count, history->newest_count, history->blocks))
        return VG_PACE_AT_ONCE;
    return came_by(1 + COPIES_MAX, history->oldest_count, history->newest_count, history->blocks)
               ? VG_PACE_WITH_COPIES
               : VG_PACE_OTHER;
}

enum vg_run_growth_kind vg_growth_of_history(const struct vg_census_history *history,
                                             enum vg_growth_pace *out_pace)
{
    *out_pace = pace_of(history);
    if (history->blocks < SURVIVORS_MIN)
        return VG_GROWTH_UNKNOWN;
    if (!is_even(history->made, history->blocks))
        return VG_GROWTH_NONE;
    return history->pauses >= PAUSES_MIN ? VG_GROWTH_STEADY : VG_GROWTH_STOPPED;
}
