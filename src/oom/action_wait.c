/* The action "wait": waits until other processes have freed enough, in line with the other guarded
 * processes that wait for the same GPU. It does not wait where that cannot help, and says why. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/size.h"
#include "base/text.h"
#include "driver/driver.h"
#include "heap/managed.h"
#include "machine/gpu_processes.h"
#include "oom/policy.h"
#include "oom/python_trim.h"
#include "view/outcome_text.h"
#include "wait/admission_request.h"
#include "wait/deadlock.h"
#include "wait/queue_wait.h"
#include "wait/reclaim_request.h"

enum {
    DEFAULT_MS = 30000,
    DISTRIBUTED_MS =
        60000, /* the peers of a distributed job spin meanwhile, and give up in the end */
    HOUR_BUDGET_MS = 600000,
    HOLDER_CAP = 64,
};

#define HOUR_NS (3600000 * VG_MS_NS)

/* What lies in vg_rescue.memory. */
struct waiting {
    struct vg_queue_wait line;
    struct vg_deadlock_watch watch;
    struct vg_reclaim_request asking;
    bool started;
    int32_t holder_pid; /* who held the most at the start, 0 unknown */
    char holder_command[HOLDER_CAP];
    uint64_t holder_bytes;
    uint64_t free_bytes; /* at the start */
};

_Static_assert(sizeof(struct waiting) <= sizeof((struct vg_rescue *)0)->memory, "it must fit");

static int parse_wait(const char *text, uint64_t *out_ms, char *why, size_t why_cap)
{
    *out_ms = DEFAULT_MS;
    if (!*text)
        return 0;
    if (vg_duration_parse(text, out_ms) == 0 && *out_ms > 0 && *out_ms <= 24 * 3600000ULL)
        return 0;
    snprintf(why, why_cap, "\"wait=%s\" is no time from 1ms to 24h", text);
    return -EINVAL;
}

static uint64_t measure_free(void *argument)
{
    const struct vg_failure *const failure = argument;
    uint64_t free_bytes, total_bytes;
    /* Where a limit is in the way, what the GPU has free does not count. */
    if (failure->refused_by != VG_REFUSED_BY_DRIVER ||
        vg_driver_memory(failure->device, &free_bytes, &total_bytes) != 0)
        return VG_BYTES_UNKNOWN;
    return free_bytes;
}

/* ---- whether ---- */

static const struct vg_file_device *device_of(const struct vg_rescue *rescue)
{
    return &rescue->failure->tables.recorder->header->devices[rescue->failure->device];
}

/* What this process holds of the device for certain: managed memory makes room. */
static uint64_t own_device_bytes(const struct vg_rescue *rescue)
{
    const struct vg_failure *const failure = rescue->failure;
    const uint64_t live_bytes = device_of(rescue)->live_bytes;
    const uint64_t managed_bytes = vg_managed_live_bytes(failure->tables.track, failure->device);
    return live_bytes > managed_bytes ? live_bytes - managed_bytes : 0;
}

static const struct vg_registration *registration_of(const struct vg_rescue *rescue)
{
    return &rescue->failure->tables.registrations[rescue->failure->device];
}

/* Why waiting cannot help, as far as the process itself knows; VG_OUTCOME_NONE in the code when it
 * may. */
static struct vg_outcome reason_of_own(const struct vg_rescue *rescue)
{
    const struct vg_failure *const failure = rescue->failure;
    const uint64_t wanted = vg_oom_wanted_bytes(failure);
    const uint64_t own_bytes = failure->device < 0 ? 0 : own_device_bytes(rescue);
    if (failure->why_no_wait)
        return (struct vg_outcome){ .code = (uint16_t)failure->why_no_wait };
    if (failure->device < 0)
        return (struct vg_outcome){ .code = VG_OUTCOME_SKIPPED_NO_CONTEXT };
    if (failure->refused_by != VG_REFUSED_BY_DRIVER || failure->total_bytes == VG_BYTES_UNKNOWN)
        return (struct vg_outcome){ .code = VG_OUTCOME_NONE };
    if (wanted > failure->total_bytes)
        return (struct vg_outcome){ .code = VG_OUTCOME_SKIPPED_TOO_LARGE, .bytes = wanted };
    if (own_bytes > failure->total_bytes - wanted)
        return (struct vg_outcome){ .code = VG_OUTCOME_SKIPPED_OWN_MEMORY,
                                    .bytes = own_bytes,
                                    .more_bytes = wanted };
    return (struct vg_outcome){ .code = VG_OUTCOME_NONE };
}

/* What other processes may hold at the most. Where NVML lists other pids than ours, this process is
 * among them; without NVML all that is used and not ours may be theirs. VG_BYTES_UNKNOWN when
 * nothing is known. */
static uint64_t held_by_others(const struct vg_rescue *rescue,
                               const struct vg_gpu_processes *others)
{
    const struct vg_failure *const failure = rescue->failure;
    const uint64_t own_bytes = own_device_bytes(rescue);
    uint64_t bytes = others->others_bytes;
    if (others->known && others->self_seen)
        return bytes;
    if (!others->known) {
        if (failure->free_bytes == VG_BYTES_UNKNOWN)
            return bytes > 0 ? bytes : VG_BYTES_UNKNOWN;
        bytes = failure->total_bytes - failure->free_bytes;
    }
    return bytes > own_bytes ? bytes - own_bytes : 0;
}

/* The same by what others hold. */
static struct vg_outcome reason_of_others(const struct vg_rescue *rescue,
                                          const struct vg_gpu_processes *others)
{
    const struct vg_failure *const failure = rescue->failure;
    const uint64_t others_bytes = held_by_others(rescue, others);
    /* After the others, and not as it was at the failure: what somebody frees meanwhile is missed
     * in neither, and counted in both at the worst. */
    const uint64_t now_bytes = measure_free(rescue->failure);
    const uint64_t free_bytes = now_bytes != VG_BYTES_UNKNOWN ? now_bytes : others->free_bytes;
    const uint64_t wanted = vg_oom_wanted_bytes(failure);
    const uint64_t deficit =
        free_bytes != VG_BYTES_UNKNOWN && wanted > free_bytes ? wanted - free_bytes : 0;
    const struct vg_outcome none = { .code = VG_OUTCOME_NONE };
    if (failure->refused_by != VG_REFUSED_BY_DRIVER)
        return none;
    if (others_bytes != VG_BYTES_UNKNOWN && others_bytes > 0 && others_bytes >= deficit)
        return none;
    if (now_bytes != VG_BYTES_UNKNOWN && now_bytes >= wanted && now_bytes > failure->free_bytes)
        return none; /* it has just come free */
    if (others_bytes == VG_BYTES_UNKNOWN)
        return (struct vg_outcome){ .code = VG_OUTCOME_SKIPPED_UNKNOWN };
    if (others_bytes == 0)
        return (struct vg_outcome){ .code = VG_OUTCOME_SKIPPED_ALONE };
    return (struct vg_outcome){ .code = VG_OUTCOME_SKIPPED_OTHERS_HOLD_LESS,
                                .bytes = others_bytes,
                                .more_bytes = deficit };
}

/* How long it may take: what was asked for, what a distributed job bears, what is left of this
 * hour's budget. */
static uint64_t allowed_ms(const struct vg_rescue *rescue)
{
    struct vg_oom_state *const history = rescue->history;
    const uint64_t now_ns = vg_clock_monotonic_ns();
    uint64_t allowed = rescue->parameter;
    if (history->distributed && allowed > DISTRIBUTED_MS)
        allowed = DISTRIBUTED_MS;
    uint64_t hour = history->hour_start_ns;
    if ((hour == 0 || now_ns - hour > HOUR_NS) &&
        atomic_compare_exchange_strong(&history->hour_start_ns, &hour, now_ns))
        atomic_store(&history->waited_ns, 0);
    const uint64_t waited_ms = history->waited_ns / VG_MS_NS;
    /* The budget is against many waits of a program that goes on after each; who asks for one long
     * wait gets it. */
    const uint64_t budget = rescue->parameter > HOUR_BUDGET_MS ? rescue->parameter : HOUR_BUDGET_MS;
    const uint64_t left = waited_ms < budget ? budget - waited_ms : 0;
    return allowed < left ? allowed : left;
}

/* ---- the wait ---- */

static bool start_wait(struct vg_rescue *rescue, struct vg_oom_action *attempt)
{
    struct waiting *const waiting = (void *)rescue->memory;
    const struct vg_failure *const failure = rescue->failure;
    struct vg_gpu_processes others;
    struct vg_outcome skipped = reason_of_own(rescue);
    if (skipped.code != VG_OUTCOME_NONE) {
        vg_outcome_add(attempt, skipped, NULL);
        return false;
    }
    const struct vg_registration *const registration = registration_of(rescue);
    vg_gpu_processes_measure(device_of(rescue)->uuid, registration->file, &others);
    skipped = reason_of_others(rescue, &others);
    if (skipped.code != VG_OUTCOME_NONE) {
        vg_outcome_add(attempt, skipped, NULL);
        return false;
    }
    const uint64_t ms = allowed_ms(rescue);
    if (ms == 0) {
        vg_outcome_add(attempt, (struct vg_outcome){ .code = VG_OUTCOME_SKIPPED_BUDGET }, NULL);
        return false;
    }
    /* What it waited for its turn counts. */
    const uint64_t since_ns = rescue->turn ? rescue->turn->since_ns : 0;
    const uint64_t before_ms = since_ns ? (rescue->start_ns - since_ns) / VG_MS_NS : 0;
    const struct vg_gpu_process *const holder = vg_gpu_processes_largest(&others);
    waiting->started = true;
    waiting->holder_pid = holder ? holder->pid : 0;
    if (holder) /* it may be gone in the end */
        vg_gpu_processes_command(waiting->holder_command, sizeof waiting->holder_command,
                                 holder->pid);
    waiting->holder_bytes = holder ? holder->bytes : 0;
    waiting->free_bytes = failure->free_bytes;
    struct vg_wait_request request = {
        .wanted_bytes = vg_oom_wanted_bytes(failure),
        .since_ns = since_ns,
        .kind = VG_WAIT_ALLOCATION,
        .priority = (uint16_t)rescue->options->priority.number,
        .holds_memory = device_of(rescue)->live_bytes >= VG_NEWCOMER_BYTES,
    };
    vg_queue_wait_enter(&waiting->line, registration->queue, &request,
                        ms > before_ms ? ms - before_ms : 1);
    if (rescue->turn)
        vg_held_ticket_release(rescue->turn);
    vg_oom_note_wait_begin(rescue->history, waiting->line.start_ns);
    vg_deadlock_watch_start(&waiting->watch, registration->queue, waiting->line.start_ns);
    return true;
}

/* "2.00 GiB", or the name of the call where it names no amount. */
static const char *what_for(const struct vg_rescue *rescue, char *out)
{
    const struct vg_failure *const failure = rescue->failure;
    return failure->asked_bytes == VG_BYTES_UNKNOWN ? failure->api
                                                    : vg_size_format(out, failure->asked_bytes);
}

static void tell_waiting(struct vg_rescue *rescue)
{
    const struct waiting *const waiting = (void *)rescue->memory;
    char wanted[VG_SIZE_TEXT_CAP], held[VG_SIZE_TEXT_CAP], have[VG_SIZE_TEXT_CAP];
    char time[VG_DURATION_TEXT_CAP], who[HOLDER_CAP + 64] = "";
    if (waiting->holder_pid)
        snprintf(who, sizeof who, "; pid %d%s%s%s holds %s", waiting->holder_pid,
                 waiting->holder_command[0] ? " (" : "", waiting->holder_command,
                 waiting->holder_command[0] ? ")" : "",
                 vg_size_format(held, waiting->holder_bytes));
    vg_policy_log(
        rescue, "waiting up to %s for %s (%s free%s)",
        vg_duration_format(time, (waiting->line.deadline_ns - waiting->line.start_ns) / VG_MS_NS),
        what_for(rescue, wanted), vg_size_format(have, waiting->free_bytes), who);
}

/* Where the memory came from: who was asked and gave back, or else what became of who held the
 * most; nothing is added if that is not known. */
static void note_holder(const struct vg_rescue *rescue, struct vg_oom_action *attempt)
{
    const struct waiting *const waiting = (const void *)rescue->memory;
    const struct vg_registration *const registration = registration_of(rescue);
    struct vg_gpu_processes others;
    struct vg_outcome holder = { .pid = waiting->holder_pid };
    if (vg_reclaim_request_note(&waiting->asking, registration, attempt) || !waiting->holder_pid)
        return;
    vg_gpu_processes_measure(device_of(rescue)->uuid, registration->file, &others);
    const struct vg_gpu_process *const now = vg_gpu_processes_find(&others, waiting->holder_pid);
    if (!others.known)
        return;
    holder.code = !now                                 ? VG_OUTCOME_HOLDER_ENDED
                  : now->bytes < waiting->holder_bytes ? VG_OUTCOME_HOLDER_FREED
                                                       : VG_OUTCOME_HOLDER_KEEPS;
    if (now)
        holder.bytes =
            now->bytes < waiting->holder_bytes ? waiting->holder_bytes - now->bytes : now->bytes;
    vg_outcome_add(attempt, holder, waiting->holder_command);
}

static void finish_wait(struct vg_rescue *rescue)
{
    struct waiting *const waiting = (void *)rescue->memory;
    vg_queue_wait_leave(&waiting->line);
    const uint64_t now_ns = vg_clock_monotonic_ns();
    vg_oom_note_wait_end(rescue->history, now_ns);
    atomic_fetch_add(&rescue->history->waited_ns, now_ns - waiting->line.start_ns);
}

static enum vg_verdict give_up(struct vg_rescue *rescue, struct vg_oom_action *attempt,
                               enum vg_outcome_code why)
{
    const struct waiting *const waiting = (const void *)rescue->memory;
    char time[VG_DURATION_TEXT_CAP], what[VG_SIZE_TEXT_CAP], data[VG_POLICY_TEXT_CAP * 2];
    struct vg_text outcome = vg_text_over(data, sizeof data);
    const uint64_t ms = vg_queue_wait_waited_ms(&waiting->line);
    finish_wait(rescue);
    vg_outcome_add(attempt, (struct vg_outcome){ .code = (uint16_t)why }, NULL);
    note_holder(rescue, attempt);
    vg_outcome_text_all(&outcome, attempt);
    vg_policy_log_end(rescue, "gave up waiting for %s after %s: %s", what_for(rescue, what),
                      vg_duration_format(time, ms), data);
    return VG_VERDICT_PASS;
}

static void ask_others(struct vg_rescue *rescue)
{
    struct waiting *const waiting = (void *)rescue->memory;
    vg_reclaim_request_step(&waiting->asking, registration_of(rescue),
                            vg_oom_wanted_bytes(rescue->failure));
}

static enum vg_verdict run_wait(struct vg_rescue *rescue, struct vg_oom_action *attempt)
{
    struct waiting *const waiting = (void *)rescue->memory;
    if (waiting->started)
        ask_others(rescue); /* it was its turn, and there was not enough */
    else if (!start_wait(rescue, attempt))
        return VG_VERDICT_PASS;
    for (;;) {
        if (rescue->failure->below_pytorch && vg_python_trim_is_stuck())
            return give_up(rescue, attempt, VG_OUTCOME_TRIM_STUCK);
        switch (vg_queue_wait_step(&waiting->line, measure_free, rescue->failure)) {
        case VG_QUEUE_WAIT_TRY: return VG_VERDICT_REPEAT;
        case VG_QUEUE_WAIT_TIMEOUT: return give_up(rescue, attempt, VG_OUTCOME_NOTHING_FREED);
        case VG_QUEUE_WAIT_VICTIM: return give_up(rescue, attempt, VG_OUTCOME_DEADLOCK);
        case VG_QUEUE_WAIT_SIGNAL: return give_up(rescue, attempt, VG_OUTCOME_SIGNAL);
        case VG_QUEUE_WAIT_SLEPT: break;
        }
        tell_waiting(rescue);
        vg_deadlock_watch_check(&waiting->watch, waiting->line.queue);
    }
}

static void end_wait(struct vg_rescue *rescue, struct vg_oom_action *attempt, bool succeeded)
{
    const struct waiting *const waiting = (const void *)rescue->memory;
    char time[VG_DURATION_TEXT_CAP], what[VG_SIZE_TEXT_CAP], data[VG_POLICY_TEXT_CAP * 2];
    struct vg_text holder = vg_text_over(data, sizeof data);
    const uint64_t ms = vg_queue_wait_waited_ms(&waiting->line);
    finish_wait(rescue);
    vg_outcome_add(
        attempt,
        (struct vg_outcome){ .code = succeeded ? VG_OUTCOME_GOT_IT : VG_OUTCOME_OTHER_ERROR },
        NULL);
    if (rescue->logged || waiting->asking.asked)
        note_holder(rescue, attempt);
    if (attempt->outcome_count > 1)
        vg_outcome_text(&holder, &attempt->outcomes[1],
                        vg_outcome_subject(attempt, &attempt->outcomes[1]));
    vg_policy_log_end(rescue, "%s %s after %s%s%s", succeeded ? "got" : "another error for",
                      what_for(rescue, what), vg_duration_format(time, ms),
                      holder.length ? ": " : "", data);
}

const struct vg_action vg_action_wait = {
    .name = "wait",
    .help =
        "wait until other processes have freed enough memory, first come, first served; "
        "wait=TIME: at most this long (30s)",
    .parse = parse_wait,
    .run = run_wait,
    .end = end_wait,
};
