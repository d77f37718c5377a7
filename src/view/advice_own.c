#include "view/advice_own.h"

#include <string.h>

#include "analyze/account.h"
#include "analyze/outcome.h"
#include "analyze/torch_facts.h"
#include "base/amount.h"
#include "view/advice_text.h"
#include "view/framework.h"

/* ---- pools keep what nothing uses ---- */

/* Have the driver's pools and graphs been asked at this very call (oom/action_trim.c)? What they
 * still keep lies between allocations: nobody can have it. */
static bool were_trimmed(const struct vg_run_failure *s)
{
    for (uint32_t i = 0; i < s->action_count; i++)
        for (uint32_t k = 0; k < s->actions[i].outcome_count; k++) {
            const struct vg_outcome *const outcome = &s->actions[i].outcomes[k];
            if ((outcome->code == VG_OUTCOME_GAVE || outcome->code == VG_OUTCOME_ASKED) &&
                strcmp(vg_outcome_subject(&s->actions[i], outcome), "pools") == 0)
                return true;
        }
    return false;
}

/* PyTorch empties its cache of the cudaMallocAsync backend by trimming the pool. */
static bool was_flushed(const struct vg_run_failure *s)
{
    uint64_t brought_bytes;
    return s->torch.count[VG_TORCH_ASYNC] > 0 && vg_torch_flushed(s, &brought_bytes);
}

/* Reserved by pools and graphs, used by no allocation. */
static uint64_t idle_bytes(const struct vg_run_failure *s)
{
    uint64_t idle = 0;
    if (were_trimmed(s))
        return 0;
    if (!was_flushed(s) && vg_amount_known(s->device.pool_reserved_bytes) &&
        s->device.pool_reserved_bytes > s->device.pool_used_bytes)
        idle += s->device.pool_reserved_bytes - s->device.pool_used_bytes;
    if (vg_amount_known(s->device.graph_reserved_bytes) &&
        s->device.graph_reserved_bytes > s->device.graph_used_bytes)
        idle += s->device.graph_reserved_bytes - s->device.graph_used_bytes;
    return idle;
}

static bool idle_pool_applies(const struct vg_run_failure *s)
{
    uint64_t deficit;
    return vg_advice_lacks_memory(s, &deficit) && idle_bytes(s) >= deficit;
}

static void idle_pool_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    vg_text_addf(out,
                 "memory pools and graphs of this process keep %s that none of their allocations "
                 "uses; given back, this would fit.",
                 VG_AMOUNT(idle_bytes(s)));
}

static void idle_pool_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    if (s->action_count == 0)
        vg_text_add(out, "give it back when memory is short: VRAMGUARD_POLICY=trim; or ");
    vg_text_add(out,
                "lower the pool's release threshold, or trim it between phases: "
                "cudaMemPoolTrimTo, cudaDeviceGraphMemTrim");
}

/* ---- this process itself ---- */

/* What one context and its libraries may take is no cause that anybody could remove. */
#define CONTEXT_USUAL_BYTES (512 * VG_MIB)

static bool context_applies(const struct vg_run_failure *s)
{
    const struct vg_report_account a = vg_advice_account(s);
    uint64_t deficit;
    return vg_advice_lacks_memory(s, &deficit) && vg_amount_known(a.context_bytes) &&
           a.context_bytes >= deficit && a.context_bytes > vg_advice_or_zero(a.tracked_bytes) &&
           a.context_bytes >= CONTEXT_USUAL_BYTES &&
           a.managed_most_bytes < deficit; /* or it may be that */
}

static void context_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct vg_report_account a = vg_advice_account(s);
    vg_text_addf(out,
                 "of the %s that this process holds only %s are allocations vramguard saw; %s are "
                 "contexts, loaded modules and libraries (NCCL, cuBLAS).",
                 VG_AMOUNT(vg_advice_or_zero(a.tracked_bytes) + a.kept_bytes + a.context_bytes),
                 VG_AMOUNT(a.tracked_bytes), VG_AMOUNT(a.context_bytes));
}

static void context_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    (void)s;
    vg_text_add(out,
                "run fewer processes per GPU; load modules when they are used: "
                "CUDA_MODULE_LOADING=LAZY");
}

static bool site_applies(const struct vg_run_failure *s)
{
    if (s->torch.tells_blocks) /* a segment says nothing of the tensors in it */
        return false;
    uint64_t deficit;
    const struct vg_run_sites *const sites = &s->device.sites[VG_LEVEL_ALLOCATIONS];
    return vg_advice_lacks_memory(s, &deficit) && sites->count > 0 &&
           sites->entries[0].label[0] != '\0' && vg_amount_known(sites->entries[0].live_bytes) &&
           vg_amount_known(s->device.live_bytes) && sites->entries[0].live_bytes >= deficit &&
           sites->entries[0].live_bytes > s->device.live_bytes / 2;
}

static void site_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct vg_run_site *const site = &s->device.sites[VG_LEVEL_ALLOCATIONS].entries[0];
    vg_text_add(out, "this process itself; one place holds ");
    if (site->live_bytes == s->device.live_bytes)
        vg_text_addf(out, "all of its %s: ", VG_AMOUNT(site->live_bytes));
    else
        vg_text_addf(out, "%s of its %s: ", VG_AMOUNT(site->live_bytes),
                     VG_AMOUNT(s->device.live_bytes));
    vg_advice_add_label(out, site->label);
    vg_text_add(out, ".");
}

static bool own_applies(const struct vg_run_failure *s)
{
    uint64_t deficit;
    return vg_advice_lacks_memory(s, &deficit) && vg_amount_known(s->device.gpu.total_bytes) &&
           vg_amount_known(s->device.live_bytes);
}

static void own_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct vg_report_account a = vg_advice_account(s);
    const uint64_t own =
        vg_advice_or_zero(a.tracked_bytes) + a.kept_bytes + vg_advice_or_zero(a.context_bytes);
    vg_text_addf(out, "this process itself holds %s of %s; the %s asked for ", VG_AMOUNT(own),
                 VG_AMOUNT(a.total_bytes), VG_AMOUNT(s->asked_bytes));
    if (own + s->asked_bytes > a.total_bytes)
        vg_text_addf(out, "make it more than %s has: %s are missing.", vg_advice_whole_gpu(s),
                     VG_AMOUNT(vg_report_deficit(s)));
    else
        vg_text_addf(out, "are %s more than what is left.", VG_AMOUNT(vg_report_deficit(s)));
}

static void own_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct vg_framework *const framework = vg_framework_of_call(s);
    const char *const plug_in = vg_torch_plug_in(s);
    if (framework)
        vg_text_add(out, framework->advice);
    else if (vg_torch_is_used(s) || plug_in)
        vg_text_add(out, "keep less on the GPU: the lines below hold most");
    else
        vg_text_add(out, "allocate less or free earlier; the largest holders are listed below");
    if (plug_in)
        vg_text_addf(out,
                     " (PyTorch allocates through %s, which was plugged into it: its own cache and "
                     "settings play no part)",
                     plug_in);
    vg_advice_add_larger_gpu(out, s);
}

const struct vg_advice_row vg_advice_idle_pool = { "idle-pool", idle_pool_applies, idle_pool_cause,
                                                   idle_pool_advice };
const struct vg_advice_row vg_advice_own_context = { "own-context", context_applies, context_cause,
                                                     context_advice };
const struct vg_advice_row vg_advice_own_site = { "own-site", site_applies, site_cause,
                                                  own_advice };
const struct vg_advice_row vg_advice_own_total = { "own-total", own_applies, own_cause,
                                                   own_advice };
