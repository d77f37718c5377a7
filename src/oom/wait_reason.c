#include "oom/wait_reason.h"

#include "base/clock.h"
#include "base/size.h"
#include "heap/managed.h"

enum {
    DISTRIBUTED_MS = 60000, /* the peers of a distributed job spin meanwhile, and give up at last */
    HOUR_BUDGET_MS = 600000,
    GUESSED_CONTEXT_MIB = 600, /* what a context and its libraries take at the most, as a rule */
};

#define HOUR_NS (3600000 * VG_MS_NS)

static const struct vg_outcome no_reason = { .code = VG_OUTCOME_NONE };

static uint64_t subtract_bytes(uint64_t from, uint64_t bytes)
{
    return from > bytes ? from - bytes : 0;
}

uint64_t vg_wait_own_bytes(const struct vg_failure *failure)
{
    if (failure->device < 0)
        return 0;
    return subtract_bytes(failure->tables.recorder->header->devices[failure->device].live_bytes,
                          vg_managed_live_bytes(failure->tables.track, failure->device));
}

struct vg_outcome vg_wait_reason_of_own(const struct vg_rescue *rescue)
{
    const struct vg_failure *const failure = rescue->failure;
    const uint64_t wanted = vg_oom_wanted_bytes(failure);
    if (failure->why_no_wait)
        return (struct vg_outcome){ .code = (uint16_t)failure->why_no_wait };
    if (failure->device < 0)
        return (struct vg_outcome){ .code = VG_OUTCOME_SKIPPED_NO_CONTEXT };
    if (failure->refused_by != VG_REFUSED_BY_DRIVER || failure->total_bytes == VG_BYTES_UNKNOWN)
        return no_reason;
    const uint64_t own_bytes = vg_wait_own_bytes(failure);
    if (wanted > failure->total_bytes)
        return (struct vg_outcome){ .code = VG_OUTCOME_SKIPPED_TOO_LARGE, .bytes = wanted };
    if (own_bytes > failure->total_bytes - wanted)
        return (struct vg_outcome){ .code = VG_OUTCOME_SKIPPED_OWN_MEMORY,
                                    .bytes = own_bytes,
                                    .more_bytes = wanted };
    return no_reason;
}

/* ---- what others hold ---- */

/* NVML lists this process under a pid that is not known here: at least its own allocations are
 * among the amounts, and the smallest that has room for them is taken for it. */
static uint64_t own_part_bytes(const struct vg_machine_gpu *gpu, uint64_t own_bytes)
{
    uint64_t part = own_bytes;
    bool found = false;
    for (size_t i = 0; i < gpu->process_count; i++) {
        const uint64_t bytes = gpu->processes[i].bytes;
        if (bytes == VG_BYTES_UNKNOWN || bytes < own_bytes || (found && bytes >= part))
            continue;
        part = bytes;
        found = true;
    }
    return part;
}

uint64_t vg_wait_held_by_others(const struct vg_wait_facts *facts)
{
    const struct vg_failure *const failure = facts->rescue->failure;
    const struct vg_machine_gpu *const gpu = facts->gpu;
    const bool has_context = failure->free_bytes != VG_BYTES_UNKNOWN;
    if (gpu->known && (gpu->self_seen || !has_context))
        return gpu->others_bytes;
    if (gpu->known)
        return subtract_bytes(gpu->others_bytes, own_part_bytes(gpu, facts->own_bytes));
    if (!has_context)
        return gpu->others_bytes > 0 ? gpu->others_bytes : VG_BYTES_UNKNOWN;
    /* Without NVML all that is used and neither ours nor our context's may be theirs. */
    const uint64_t used = failure->total_bytes - failure->free_bytes;
    const uint64_t rest = subtract_bytes(used, facts->own_bytes + GUESSED_CONTEXT_MIB * VG_MIB);
    return rest > gpu->others_bytes ? rest : gpu->others_bytes;
}

/* What of it processes of the own program hold; `out` is the largest of them. */
static uint64_t held_by_own_program(const struct vg_machine_gpu *gpu,
                                    const struct vg_machine_process **out)
{
    uint64_t bytes = 0;
    *out = NULL;
    for (size_t i = 0; i < gpu->process_count; i++) {
        const struct vg_machine_process *const one = &gpu->processes[i];
        if (!(one->flags & VG_PROCESS_OWN_PROGRAM) || one->bytes == VG_BYTES_UNKNOWN ||
            one->bytes == 0)
            continue;
        bytes += one->bytes;
        if (!*out || one->bytes > (*out)->bytes)
            *out = one;
    }
    return bytes;
}

/* Do processes of the own program answer requests to give back what they keep? */
static bool own_program_gives_back(const struct vg_machine_gpu *gpu)
{
    for (size_t i = 0; i < gpu->process_count; i++)
        if (gpu->processes[i].flags & VG_PROCESS_OWN_PROGRAM &&
            gpu->processes[i].flags & VG_PROCESS_GIVES_BACK)
            return true;
    return false;
}

static struct vg_outcome name_own_program(const struct vg_machine_process *largest)
{
    const uint16_t code = largest->flags & VG_PROCESS_PARENT  ? VG_OUTCOME_SKIPPED_PARENT
                          : largest->flags & VG_PROCESS_CHILD ? VG_OUTCOME_SKIPPED_CHILDREN
                                                              : VG_OUTCOME_SKIPPED_OWN_JOB;
    return (struct vg_outcome){ .code = code, .pid = largest->pid, .bytes = largest->bytes };
}

static uint64_t deficit_bytes(const struct vg_wait_facts *facts)
{
    const uint64_t free_bytes =
        facts->free_bytes != VG_BYTES_UNKNOWN ? facts->free_bytes : facts->gpu->free_bytes;
    const uint64_t wanted = vg_oom_wanted_bytes(facts->rescue->failure);
    return free_bytes != VG_BYTES_UNKNOWN ? subtract_bytes(wanted, free_bytes) : 0;
}

/* Do others than the own program hold enough? */
static bool strangers_hold_enough(const struct vg_wait_facts *facts)
{
    const struct vg_machine_process *largest;
    const uint64_t others = vg_wait_held_by_others(facts);
    const uint64_t strangers = subtract_bytes(others, held_by_own_program(facts->gpu, &largest));
    return others != VG_BYTES_UNKNOWN && strangers > 0 && strangers >= deficit_bytes(facts);
}

/* Why others cannot help, who do not hold enough. */
static struct vg_outcome reason_of_too_little(const struct vg_wait_facts *facts)
{
    const struct vg_machine_process *largest;
    const uint64_t others = vg_wait_held_by_others(facts);
    if (held_by_own_program(facts->gpu, &largest) > 0)
        return own_program_gives_back(facts->gpu) ? no_reason : name_own_program(largest);
    if (facts->gpu->slow && others == VG_BYTES_UNKNOWN)
        return (struct vg_outcome){ .code = VG_OUTCOME_SKIPPED_SLOW_NVML,
                                    .ms = VG_MACHINE_NVML_MS };
    if (others == VG_BYTES_UNKNOWN)
        return (struct vg_outcome){ .code = VG_OUTCOME_SKIPPED_UNKNOWN };
    if (others == 0)
        return (struct vg_outcome){ .code = facts->gpu->known ? VG_OUTCOME_SKIPPED_ALONE
                                                              : VG_OUTCOME_SKIPPED_SELF_UNKNOWN };
    return (struct vg_outcome){ .code = VG_OUTCOME_SKIPPED_OTHERS_HOLD_LESS,
                                .bytes = others,
                                .more_bytes = deficit_bytes(facts) };
}

struct vg_outcome vg_wait_reason_of_others(const struct vg_wait_facts *facts)
{
    const struct vg_failure *const failure = facts->rescue->failure;
    if (failure->refused_by != VG_REFUSED_BY_DRIVER)
        return no_reason;
    if (facts->free_bytes != VG_BYTES_UNKNOWN && failure->free_bytes != VG_BYTES_UNKNOWN &&
        facts->free_bytes >= vg_oom_wanted_bytes(failure) &&
        facts->free_bytes > failure->free_bytes)
        return no_reason; /* it has just come free */
    if (vg_oom_was_in_vain(facts->rescue->history, failure->device, facts->fingerprint))
        return (struct vg_outcome){ .code = VG_OUTCOME_SKIPPED_UNCHANGED };
    return strangers_hold_enough(facts) ? no_reason : reason_of_too_little(facts);
}

/* ---- how long ---- */

/* What is left of this hour's budget, which is against many waits of a program that goes on after
 * each; who asks for one long wait gets it. */
static uint64_t hours_rest_ms(const struct vg_rescue *rescue)
{
    struct vg_oom_state *const history = rescue->history;
    const uint64_t now_ns = vg_clock_monotonic_ns();
    uint64_t hour = history->hour_start_ns;
    if ((hour == 0 || now_ns - hour > HOUR_NS) &&
        atomic_compare_exchange_strong(&history->hour_start_ns, &hour, now_ns))
        atomic_store(&history->waited_ns, 0);
    const uint64_t budget = rescue->parameter > HOUR_BUDGET_MS ? rescue->parameter : HOUR_BUDGET_MS;
    return subtract_bytes(budget, history->waited_ns / VG_MS_NS);
}

static void shorten_wait(struct vg_wait_time *time, uint64_t ms, enum vg_outcome_code why)
{
    if (time->ms <= ms)
        return;
    time->ms = ms;
    time->why_short = (uint16_t)why;
}

struct vg_wait_time vg_wait_allowed(const struct vg_wait_facts *facts)
{
    const struct vg_rescue *const rescue = facts->rescue;
    struct vg_wait_time time = { .ms = rescue->parameter };
    if (rescue->history->distributed)
        shorten_wait(&time, DISTRIBUTED_MS, VG_OUTCOME_NONE);
    const struct vg_machine_process *largest;
    if (rescue->failure->refused_by == VG_REFUSED_BY_DRIVER && !strangers_hold_enough(facts) &&
        held_by_own_program(facts->gpu, &largest) > 0) {
        shorten_wait(&time, VG_WAIT_RECLAIM_MS, VG_OUTCOME_NONE);
        time.instead = name_own_program(largest);
    }
    if (rescue->failure->survived_before && !rescue->is_explicit)
        shorten_wait(&time, VG_WAIT_SURVIVES_MS, VG_OUTCOME_SHORT_SURVIVES);
    if (facts->holds_gil)
        shorten_wait(&time, VG_WAIT_GIL_MS, VG_OUTCOME_SHORT_GIL);
    shorten_wait(&time, hours_rest_ms(rescue), VG_OUTCOME_NONE);
    if (time.ms == 0)
        time.skipped = (struct vg_outcome){ .code = VG_OUTCOME_SKIPPED_BUDGET };
    return time;
}
