#include "view/advice.h"

#include <string.h>

#include "analyze/account.h"
#include "analyze/outcome.h"
#include "analyze/torch_facts.h"
#include "base/amount.h"
#include "view/advice_arrays.h"
#include "view/advice_beside.h"
#include "view/advice_blocks.h"
#include "view/advice_context.h"
#include "view/advice_graphs.h"
#include "view/advice_outer.h"
#include "view/advice_own.h"
#include "view/advice_program.h"
#include "view/advice_text.h"
#include "view/advice_torch.h"
#include "view/advice_waste.h"
#include "view/framework.h"

enum { LONG_WAIT_MIN = 10 };

#define UNCHANGED_NS UINT64_C(60000000000)

/* ---- the user wanted it ---- */

static bool injected_applies(const struct vg_run_failure *s)
{
    return s->refused_by == VG_REFUSED_BY_INJECT;
}

static void injected_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    vg_text_addf(out,
                 "injected by VRAMGUARD_INJECT=\"%s\": this was allocation number %llu of the "
                 "process; the driver was not asked.",
                 s->injected_rule, (unsigned long long)s->injected_number);
}

static void injected_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    (void)s;
    vg_text_add(out,
                "nothing, when the program went on as it should; to run without such "
                "failures: unset VRAMGUARD_INJECT");
}

/* ---- the user's own limit ---- */

static void limit_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    vg_text_addf(out, "VRAMGUARD_LIMIT allows %s %s of this GPU",
                 s->device.limit_shared ? "the processes that share it" : "this process",
                 VG_AMOUNT(s->device.limit_bytes));
    if (vg_amount_known(s->asked_bytes) && s->asked_bytes > s->device.limit_bytes)
        vg_text_addf(out, ", less than the %s asked for at once", VG_AMOUNT(s->asked_bytes));
    else if (s->device.limit_left_bytes < s->device.limit_bytes)
        vg_text_addf(out, ", of which %s are taken",
                     VG_AMOUNT(s->device.limit_bytes - s->device.limit_left_bytes));
    if (vg_amount_known(s->device.gpu.free_bytes))
        vg_text_addf(out, "; the GPU itself has %s free", VG_AMOUNT(s->device.gpu.free_bytes));
    vg_text_add(out, ".");
}

static void limit_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct vg_framework *const framework = vg_framework_of_call(s);
    vg_text_add(out, "raise or unset VRAMGUARD_LIMIT; or, to fit into it, ");
    if (framework)
        vg_text_add(out, framework->advice);
    else if (!vg_advice_add_of_tensors(s, "", out))
        vg_text_add(out, vg_torch_is_used(s)
                             ? "keep less on the GPU: the lines below hold most"
                             : "allocate less or free earlier; the largest holders are listed "
                               "below");
    vg_advice_add_halving(out, s);
}

/* ---- the request alone is too large ---- */

static bool impossible_applies(const struct vg_run_failure *s)
{
    const struct vg_report_account a = vg_advice_account(s);
    return vg_amount_known(s->asked_bytes) && a.total_bytes != VG_BYTES_UNKNOWN &&
           s->asked_bytes >
               a.total_bytes -
                   vg_advice_or_zero(a.context_bytes < a.total_bytes ? a.context_bytes : 0);
}

static void impossible_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct vg_report_account a = vg_advice_account(s);
    if (s->asked_bytes > a.total_bytes)
        vg_text_addf(out,
                     "the %s asked for in one piece are more than %s has (%s); no "
                     "waiting and no freeing makes them fit.",
                     VG_AMOUNT(s->asked_bytes), vg_advice_whole_gpu(s), VG_AMOUNT(a.total_bytes));
    else
        vg_text_addf(out,
                     "the %s asked for and this process's context and libraries (%s) are together "
                     "more than %s has (%s).",
                     VG_AMOUNT(s->asked_bytes), VG_AMOUNT(a.context_bytes), vg_advice_whole_gpu(s),
                     VG_AMOUNT(a.total_bytes));
}

static void impossible_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct vg_framework *const framework = vg_framework_of_call(s);
    if (framework)
        vg_text_add(out, framework->advice);
    else if (vg_torch_is_used(s))
        vg_advice_add_one_tensor(out, s);
    else
        vg_text_add(out, "ask for less at once, or split the data over several GPUs");
}

/* ---- there was enough ---- */

static bool other_limit_applies(const struct vg_run_failure *s)
{
    if (!vg_amount_known(s->device.gpu.free_bytes))
        return false;
    if (!vg_amount_known(s->asked_bytes))
        return s->device.gpu.free_bytes >= VG_ADVICE_HEADROOM_BYTES;
    return s->device.gpu.free_bytes >= s->asked_bytes;
}

static bool host_is_short(const struct vg_run_failure *s)
{
    if (vg_amount_known(s->host.available_bytes) && s->host.available_bytes < 256 * VG_MIB)
        return true;
    return vg_amount_known(s->host.cgroup_limit_bytes) &&
           vg_amount_known(s->host.cgroup_used_bytes) &&
           s->host.cgroup_used_bytes + 256 * VG_MIB > s->host.cgroup_limit_bytes;
}

static void other_limit_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    if (vg_amount_known(s->asked_bytes))
        vg_text_addf(out, "%s are free, enough for the %s asked for, so another limit was met: ",
                     VG_AMOUNT(s->device.gpu.free_bytes), VG_AMOUNT(s->asked_bytes));
    else
        vg_text_addf(
            out, "%s are free, so another limit was met: ", VG_AMOUNT(s->device.gpu.free_bytes));
    if (host_is_short(s))
        vg_text_add(out, "host memory is used up (see Host below).");
    else
        vg_text_add(out,
                    "free memory in pieces that are too small, the address space, or an MPS "
                    "limit; which of them is unknown.");
}

static void other_limit_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    if (host_is_short(s)) {
        vg_text_add(out, "free host memory or raise the control group's limit");
        return;
    }
    vg_text_add(out, "look at `ulimit -v` and CUDA_MPS_PINNED_DEVICE_MEM_LIMIT; ");
    vg_text_add(out, "against small pieces ");
    if (vg_torch_is_used(s))
        vg_advice_add_expandable(out, s);
    else
        vg_text_add(out, "allocate large blocks first");
}

/* ---- several guarded programs load at once ---- */

static bool load_race_applies(const struct vg_run_failure *s)
{
    uint64_t deficit;
    unsigned waiting = 0;
    for (uint32_t i = 0; i < s->device.process_count; i++)
        waiting += (s->device.processes[i].flags & VG_PROCESS_GUARDED) &&
                   (s->device.processes[i].flags & VG_PROCESS_WAITING);
    return waiting > 0 && vg_advice_lacks_memory(s, &deficit) &&
           vg_advice_or_zero(vg_advice_account(s).others_bytes) >= deficit;
}

static void load_race_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    unsigned waiting = 0;
    for (uint32_t i = 0; i < s->device.process_count; i++)
        waiting += (s->device.processes[i].flags & VG_PROCESS_WAITING) != 0;
    vg_text_addf(out,
                 "other processes hold %s of this GPU and %u of them %s for more memory just as "
                 "this one does: several programs grow at the same time.",
                 VG_AMOUNT(vg_advice_account(s).others_bytes), waiting,
                 waiting == 1 ? "waits" : "wait");
}

static void load_race_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    vg_text_add(out,
                "start them one after the other; VRAMGUARD_NEED=SIZE makes each wait for its turn");
    vg_advice_add_other_gpu(out, s);
}

/* ---- other processes hold what is missing ---- */

static bool co_tenant_applies(const struct vg_run_failure *s)
{
    uint64_t deficit;
    return vg_advice_lacks_memory(s, &deficit) &&
           vg_advice_or_zero(vg_advice_account(s).others_bytes) >= deficit;
}

static bool is_other(const struct vg_report_account *a, uint32_t i)
{
    return (int32_t)i != a->self_process;
}

/* The smallest single process whose memory would suffice; NULL when it takes several. */
static const struct vg_run_other *sufficient_process(const struct vg_run_failure *s)
{
    const uint64_t deficit = vg_report_deficit(s);
    const struct vg_run_other *best = NULL;
    const struct vg_report_account a = vg_advice_account(s);
    for (uint32_t i = 0; i < s->device.process_count; i++) {
        const struct vg_run_other *const p = &s->device.processes[i];
        if (is_other(&a, i) && vg_amount_known(p->bytes) && p->bytes >= deficit &&
            (!best || p->bytes < best->bytes))
            best = p;
    }
    return best;
}

/* ", unchanged for 3 h", when somebody has seen that for long enough to mean something. */
static void add_unchanged(struct vg_text *out, const struct vg_run_other *process)
{
    char time[VG_DURATION_TEXT_CAP];
    if (process->unchanged_ns >= UNCHANGED_NS && process->unchanged_ns != UINT64_MAX)
        vg_text_addf(out, ", unchanged for %s",
                     vg_duration_format(time, process->unchanged_ns / 1000000));
}

/* Has it been waited for as long as would be advised? */
static bool has_waited_long(const struct vg_run_failure *s)
{
    for (uint32_t i = 0; i < s->action_count; i++)
        if (strcmp(s->actions[i].name, "wait") == 0 &&
            s->actions[i].duration_ns >= LONG_WAIT_MIN * UINT64_C(59000000000))
            return true;
    return false;
}

static void co_tenant_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct vg_run_other *const one = sufficient_process(s);
    if (one) {
        vg_advice_add_process(out, s, one);
        vg_text_addf(out, " holds %s", VG_AMOUNT(one->bytes));
        add_unchanged(out, one);
        vg_text_add(out, "; without it this would fit.");
        return;
    }
    const struct vg_run_other *const largest = vg_advice_largest_process(s);
    vg_text_addf(out, "other processes hold %s together",
                 VG_AMOUNT(vg_advice_account(s).others_bytes));
    if (largest) {
        vg_text_add(out, ", the most of it ");
        vg_advice_add_process(out, s, largest);
        vg_text_addf(out, " with %s", VG_AMOUNT(largest->bytes));
    }
    vg_text_add(out, "; without them this would fit.");
}

static void co_tenant_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct vg_run_other *const one = sufficient_process(s);
    vg_text_addf(out, "stop %s", one ? "it" : "some of them");
    if (has_waited_long(s))
        vg_text_addf(out, ": waiting for %s brought nothing", one ? "it" : "them");
    else
        vg_text_addf(out, ", or wait longer for %s: VRAMGUARD_POLICY=trim,wait=%dm",
                     one ? "it" : "them", LONG_WAIT_MIN);
    vg_advice_add_other_gpu(out, s);
    vg_advice_add_framework(out, one ? one : vg_advice_largest_process(s));
    vg_advice_add_halving(out, s);
}

/* ---- used, but by whom? ---- */

static bool unknown_owner_applies(const struct vg_run_failure *s)
{
    const struct vg_report_account a = vg_advice_account(s);
    uint64_t deficit;
    if (!vg_advice_lacks_memory(s, &deficit) || a.total_bytes == VG_BYTES_UNKNOWN ||
        a.rest_bytes < 0)
        return false;
    /* An eighth of the device: less than that are contexts and the driver's own needs. */
    return (uint64_t)a.rest_bytes >= deficit && (uint64_t)a.rest_bytes >= a.total_bytes / 8;
}

static void unknown_owner_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct vg_report_account a = vg_advice_account(s);
    const char *const amount = VG_AMOUNT((uint64_t)a.rest_bytes);
    if (a.rest == VG_REST_NO_NVML)
        vg_text_addf(out,
                     "%s of this GPU are used by other processes or by contexts; whose they are "
                     "is unknown, as NVML (libnvidia-ml.so.1) %s.",
                     amount, s->device.others_known ? "does not tell" : "is not available");
    else if (a.rest == VG_REST_NO_CONTEXT)
        vg_text_addf(out,
                     "%s of this GPU belong to this process's context and libraries or to nobody "
                     "that NVML knows; how much to which is unknown.",
                     amount);
    else
        vg_text_addf(out,
                     "%s of this GPU are used by no process that NVML lists: one that is just "
                     "ending, or one of another container.",
                     amount);
}

static void unknown_owner_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    vg_text_add(out, "see who has the GPU open, on the host and as root: fuser -v /dev/nvidia*");
    vg_advice_add_other_gpu(out, s);
}

/* ---- nothing was measured ---- */

static bool applies_always(const struct vg_run_failure *s)
{
    (void)s;
    return true;
}

static void unknown_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    if (vg_amount_known(s->device.gpu.free_bytes))
        vg_text_addf(out, "unknown: %s are free, and how much there is in all is not known.",
                     VG_AMOUNT(s->device.gpu.free_bytes));
    else
        vg_text_add(out, "unknown: how much of the GPU was free could not be measured.");
}

static void unknown_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    vg_text_add(out, "see what uses the GPU: nvidia-smi");
    vg_advice_add_other_gpu(out, s);
}

static const struct vg_advice_row injected = { "injected", injected_applies, injected_cause,
                                               injected_advice };
static const struct vg_advice_row limit = { "limit", vg_report_is_limited, limit_cause,
                                            limit_advice };
static const struct vg_advice_row impossible = { "impossible", impossible_applies, impossible_cause,
                                                 impossible_advice };
static const struct vg_advice_row other_limit = { "other-limit", other_limit_applies,
                                                  other_limit_cause, other_limit_advice };
static const struct vg_advice_row load_race = { "load-race", load_race_applies, load_race_cause,
                                                load_race_advice };
static const struct vg_advice_row co_tenant = { "co-tenant", co_tenant_applies, co_tenant_cause,
                                                co_tenant_advice };
static const struct vg_advice_row unknown_owner = { "unknown-owner", unknown_owner_applies,
                                                    unknown_owner_cause, unknown_owner_advice };
static const struct vg_advice_row unknown = { "unknown", applies_always, unknown_cause,
                                              unknown_advice };

/* load_race comes before its general case, co_tenant, which would hide it; model_size before all
 * that would let the program get a little further only; what the program itself keeps for no use
 * before other processes, where it is more than they hold; of several such the largest is told
 * (advice_waste.h). */
static const struct vg_advice_row *const rows[] = {
    &injected,
    &limit,
    &vg_advice_torch_fraction,
    &vg_advice_host_memory,
    &vg_advice_reservation,
    &vg_advice_mps_limit,
    &vg_advice_address_space,
    &vg_advice_interposer,
    &impossible,
    &other_limit,
    &vg_advice_model_size,
    &vg_advice_idle_pool,
    &vg_advice_traceback,
    &vg_advice_garbage,
    &vg_advice_kept_graphs,
    &vg_advice_graph_pools,
    &vg_advice_graph_memory,
    &vg_advice_holes,
    &vg_advice_chained_graph,
    &vg_advice_evaluation,
    &vg_advice_kept_results,
    &vg_advice_array_traceback,
    &vg_advice_kept_arrays,
    &vg_advice_worker_contexts,
    &vg_advice_own_program,
    &vg_advice_idle_neighbour,
    &vg_advice_orphan,
    &load_race,
    &co_tenant,
    &unknown_owner,
    &vg_advice_pinning,
    &vg_advice_headroom,
    &vg_advice_wide_load,
    &vg_advice_cache_in_way,
    &vg_advice_other_arena,
    &vg_advice_load,
    &vg_advice_lone_optimizer,
    &vg_advice_loaded,
    &vg_advice_kept_models,
    &vg_advice_model_twice,
    &vg_advice_optimizer,
    &vg_advice_growing_line,
    &vg_advice_earlier_graph,
    &vg_advice_activations,
    &vg_advice_held_data,
    &vg_advice_held_arrays,
    &vg_advice_beside_torch,
    &vg_advice_parameters,
    &vg_advice_growing_site,
    &vg_advice_fragments,
    &vg_advice_bypass,
    &vg_advice_own_context,
    &vg_advice_largest_line,
    &vg_advice_own_site,
    &vg_advice_own_total,
    &unknown,
};

const struct vg_advice_row *vg_advice_find(const struct vg_run_failure *report)
{
    size_t i = 0;
    while (!rows[i]->applies(report))
        i++;
    return vg_advice_largest_waste(rows[i], report);
}
