#include "analyze/account.h"

#include "base/amount.h"
#include "record/kind.h"

static uint64_t normalize_unknown(uint64_t bytes)
{
    return vg_amount_known(bytes) ? bytes : VG_BYTES_UNKNOWN;
}

static uint64_t zero_if_unknown(uint64_t bytes)
{
    return vg_amount_known(bytes) ? bytes : 0;
}

/* What the driver keeps for pools and graphs and is not among the live allocations. */
static uint64_t kept_bytes(const struct vg_run_failure *s)
{
    uint64_t kept = zero_if_unknown(s->device.graph_reserved_bytes);
    if (vg_amount_known(s->device.pool_reserved_bytes) &&
        vg_amount_known(s->device.pool_used_bytes) &&
        s->device.pool_reserved_bytes > s->device.pool_used_bytes)
        kept += s->device.pool_reserved_bytes - s->device.pool_used_bytes;
    return kept;
}

/* Splits what this process holds in all, when that is known. */
static void account_self(struct vg_report_account *a, uint64_t self_bytes)
{
    if (!vg_amount_known(self_bytes) || a->tracked_bytes > self_bytes)
        return;
    const uint64_t beyond = self_bytes - a->tracked_bytes;
    if (a->kept_bytes > beyond)
        a->kept_bytes = beyond;
    a->context_bytes = beyond - a->kept_bytes;
}

static void account_others(const struct vg_run_failure *s, struct vg_report_account *a)
{
    const bool has_self = a->self_process >= 0;
    const uint32_t count = s->device.process_count - has_self, more = s->device.rest_process_count;
    /* A line "1 more process" would take the room of that process's own line. */
    const uint32_t lines = count <= VG_ACCOUNT_LISTED && more == 0 ? count : VG_ACCOUNT_LISTED - 1;
    const uint32_t listed = lines < count ? lines : count;
    a->listed_end = listed + (has_self && (uint32_t)a->self_process < listed + 1);
    a->unlisted_count = count - listed + more;
    uint64_t all = 0;
    a->listed_bytes = 0;
    for (uint32_t i = 0; i < s->device.process_count; i++) {
        const bool is_self = (int32_t)i == a->self_process;
        const uint64_t bytes = is_self ? 0 : zero_if_unknown(s->device.processes[i].bytes);
        all += bytes;
        if (i < a->listed_end)
            a->listed_bytes += bytes;
    }
    a->others_bytes = normalize_unknown(s->device.others_bytes);
    if (has_self && a->others_bytes != VG_BYTES_UNKNOWN) {
        const uint64_t self = zero_if_unknown(s->device.processes[a->self_process].bytes);
        a->others_bytes -= self < a->others_bytes ? self : a->others_bytes;
    }
    /* The sum and the list come from one NVML answer; should they differ, the larger is nearer to
     * the truth, and it keeps every part positive. */
    if (a->others_bytes == VG_BYTES_UNKNOWN ? all > 0 : all > a->others_bytes)
        a->others_bytes = all;
    a->unlisted_bytes = zero_if_unknown(a->others_bytes) - a->listed_bytes;
}

static void account_rest(struct vg_report_account *a)
{
    if (a->total_bytes == VG_BYTES_UNKNOWN)
        return;
    const uint64_t parts = zero_if_unknown(a->tracked_bytes) + a->kept_bytes +
                           zero_if_unknown(a->context_bytes) + a->listed_bytes + a->unlisted_bytes +
                           zero_if_unknown(a->free_bytes);
    a->rest_bytes = (int64_t)a->total_bytes - (int64_t)parts;
}

/* See the header. */
static int32_t find_self(const struct vg_run_failure *s, const struct vg_report_account *a)
{
    int32_t best = -1;
    if (vg_amount_known(s->device.self_bytes) || !vg_amount_known(a->tracked_bytes) ||
        a->rest_bytes >= 0)
        return -1;
    for (uint32_t i = 0; i < s->device.process_count; i++) {
        const struct vg_run_other *const p = &s->device.processes[i];
        if ((p->flags & VG_PROCESS_INVISIBLE) && p->pid > 0 && vg_amount_known(p->bytes) &&
            p->bytes >= a->tracked_bytes &&
            (best < 0 || p->bytes < s->device.processes[best].bytes))
            best = (int32_t)i;
    }
    return best;
}

static uint64_t lesser_of(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The driver does not tell where managed memory is, but it is in what the process holds beyond its
 * other memory or, where that is unknown, in what nobody else holds. */
static void bound_managed(const struct vg_run_failure *s, struct vg_report_account *a)
{
    a->managed_bytes = zero_if_unknown(vg_run_kind_bytes(&s->device, VG_KIND_MANAGED));
    a->managed_most_bytes = a->managed_bytes;
    if (vg_amount_known(a->context_bytes))
        a->managed_most_bytes = lesser_of(a->managed_bytes, a->context_bytes);
    else if (a->total_bytes != VG_BYTES_UNKNOWN)
        a->managed_most_bytes =
            lesser_of(a->managed_bytes, a->rest_bytes > 0 ? (uint64_t)a->rest_bytes : 0);
}

static enum vg_account_rest classify_rest(const struct vg_run_failure *s,
                                          const struct vg_report_account *a)
{
    if (a->rest_bytes == 0)
        return VG_REST_NONE;
    if (a->rest_bytes < 0)
        return VG_REST_OVERLAP;
    if (a->free_bytes == VG_BYTES_UNKNOWN)
        return VG_REST_NO_FREE;
    if (!s->device.others_known || a->others_bytes == VG_BYTES_UNKNOWN)
        return VG_REST_NO_NVML;
    if (a->context_bytes == VG_BYTES_UNKNOWN)
        return VG_REST_NO_CONTEXT;
    return VG_REST_UNACCOUNTED;
}

void vg_report_account_compute(const struct vg_run_failure *s, struct vg_report_account *out)
{
    struct vg_report_account a = { .total_bytes = normalize_unknown(s->device.gpu.total_bytes),
                                   .free_bytes = normalize_unknown(s->device.gpu.free_bytes),
                                   .tracked_bytes = normalize_unknown(s->device.live_bytes),
                                   .kept_bytes = kept_bytes(s),
                                   .context_bytes = VG_BYTES_UNKNOWN,
                                   .self_process = -1 };
    if (a.total_bytes == 0)
        a.total_bytes = VG_BYTES_UNKNOWN; /* no device is that small: it was not measured */
    account_self(&a, s->device.self_bytes);
    account_others(s, &a);
    account_rest(&a);
    a.self_process = find_self(s, &a);
    if (a.self_process >= 0) {
        account_self(&a, s->device.processes[a.self_process].bytes);
        account_others(s, &a);
        account_rest(&a);
    }
    a.rest = classify_rest(s, &a);
    bound_managed(s, &a);
    *out = a;
}

uint64_t vg_run_kind_bytes(const struct vg_run_device *device, uint32_t kind)
{
    for (uint32_t i = 0; i < device->kind_count; i++)
        if (device->kinds[i].kind == kind)
            return device->kinds[i].bytes;
    return 0;
}

bool vg_report_is_limited(const struct vg_run_failure *s)
{
    return s->refused_by == VG_REFUSED_BY_LIMIT && s->device.limit_bytes > 0 &&
           vg_amount_known(s->device.limit_bytes) && vg_amount_known(s->device.limit_left_bytes);
}

uint64_t vg_report_available(const struct vg_run_failure *s)
{
    return vg_report_is_limited(s) ? s->device.limit_left_bytes : s->device.gpu.free_bytes;
}

uint64_t vg_report_deficit(const struct vg_run_failure *s)
{
    if (!vg_amount_known(s->asked_bytes) || !vg_amount_known(s->device.gpu.free_bytes))
        return VG_BYTES_UNKNOWN;
    return s->asked_bytes > s->device.gpu.free_bytes ? s->asked_bytes - s->device.gpu.free_bytes
                                                     : 0;
}
