#include "report/account.h"

#include "report/amount.h"

static uint64_t usable(uint64_t bytes)
{
    return vg_amount_known(bytes) ? bytes : VG_BYTES_UNKNOWN;
}

static uint64_t zero_if_unknown(uint64_t bytes)
{
    return vg_amount_known(bytes) ? bytes : 0;
}

static void account_others(const struct vg_snapshot *s, struct vg_report_account *a)
{
    /* A line "1 more process" would take the room of that process's own line. */
    a->listed_count = s->process_count;
    if (a->listed_count > VG_ACCOUNT_LISTED || s->other_process_count > 0)
        a->listed_count =
            s->process_count < VG_ACCOUNT_LISTED ? s->process_count : VG_ACCOUNT_LISTED - 1;
    a->unlisted_count = s->process_count - a->listed_count + s->other_process_count;
    uint64_t all = 0;
    for (uint32_t i = 0; i < s->process_count; i++) {
        const uint64_t bytes = zero_if_unknown(s->processes[i].bytes);
        all += bytes;
        if (i < a->listed_count)
            a->listed_bytes += bytes;
    }
    /* The sum and the list come from one NVML answer; should they differ, the larger is nearer to
     * the truth, and it keeps every part positive. */
    a->others_bytes = usable(s->others_bytes);
    if (a->others_bytes == VG_BYTES_UNKNOWN ? all > 0 : all > a->others_bytes)
        a->others_bytes = all;
    a->unlisted_bytes = zero_if_unknown(a->others_bytes) - a->listed_bytes;
}

static enum vg_account_rest classify(const struct vg_snapshot *s, const struct vg_report_account *a)
{
    if (a->rest_bytes == 0)
        return VG_REST_NONE;
    if (a->rest_bytes < 0)
        return VG_REST_OVERLAP;
    if (a->free_bytes == VG_BYTES_UNKNOWN)
        return VG_REST_NO_FREE;
    if (!s->nvml_available || a->others_bytes == VG_BYTES_UNKNOWN)
        return VG_REST_NO_NVML;
    if (a->context_bytes == VG_BYTES_UNKNOWN)
        return VG_REST_NO_CONTEXT;
    return VG_REST_UNACCOUNTED;
}

void vg_report_account(const struct vg_snapshot *s, struct vg_report_account *out)
{
    struct vg_report_account a = { .total_bytes = usable(s->device.total_bytes),
                                   .free_bytes = usable(s->device.free_bytes),
                                   .tracked_bytes = usable(s->live_bytes),
                                   .context_bytes = VG_BYTES_UNKNOWN };
    if (a.total_bytes == 0)
        a.total_bytes = VG_BYTES_UNKNOWN; /* no device is that small: it was not measured */
    const uint64_t tracked = zero_if_unknown(a.tracked_bytes);
    if (vg_amount_known(s->self_bytes) && s->self_bytes >= tracked)
        a.context_bytes = s->self_bytes - tracked;
    account_others(s, &a);
    if (a.total_bytes != VG_BYTES_UNKNOWN)
        a.rest_bytes =
            (int64_t)a.total_bytes - (int64_t)tracked - (int64_t)zero_if_unknown(a.context_bytes) -
            (int64_t)(a.listed_bytes + a.unlisted_bytes) - (int64_t)zero_if_unknown(a.free_bytes);
    a.rest = classify(s, &a);
    *out = a;
}

uint64_t vg_report_deficit(const struct vg_snapshot *s)
{
    if (!vg_amount_known(s->asked_bytes) || !vg_amount_known(s->device.free_bytes))
        return VG_BYTES_UNKNOWN;
    return s->asked_bytes > s->device.free_bytes ? s->asked_bytes - s->device.free_bytes : 0;
}
