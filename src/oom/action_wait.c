/* The action "wait": waits until other processes have freed enough, in line with the other guarded
 * processes that wait for the same GPU. It does not wait where that cannot help, and says why
 * (oom/wait_reason.h). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/size.h"
#include "base/text.h"
#include "driver/driver.h"
#include "machine/machine.h"
#include "oom/policy.h"
#include "oom/python_trim.h"
#include "oom/wait_reason.h"
#include "view/outcome_text.h"
#include "wait/admission_request.h"
#include "wait/deadlock.h"
#include "wait/queue_wait.h"
#include "wait/reclaim_request.h"

enum {
    DEFAULT_MS = 30000,
    HOLDER_CAP = 64,
};

/* What lies in vg_rescue.memory. */
struct waiting {
    struct vg_queue_wait line;
    struct vg_deadlock_watch watch;
    struct vg_reclaim_request asking;
    bool started;
    uint16_t why_short; /* enum vg_outcome_code: it waits no longer because of this; 0: it does */
    int32_t holder_pid; /* who held the most at the start, 0 unknown */
    char holder_command[HOLDER_CAP];
    bool holder_is_elsewhere; /* its pid is not one of this pid namespace, or not known */
    bool holder_is_unreached; /* and no guarded process is known of other ones */
    uint64_t holder_bytes;
    uint64_t free_bytes; /* at the start */
    uint64_t allowed_ms;
    struct vg_outcome instead; /* vg_wait_time.instead */
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

static const struct vg_file_device *device_of(const struct vg_rescue *rescue)
{
    return &rescue->failure->tables.recorder->header->devices[rescue->failure->device];
}

static const struct vg_registration *registration_of(const struct vg_rescue *rescue)
{
    return &rescue->failure->tables.registrations[rescue->failure->device];
}

static void measure_machine(const struct vg_rescue *rescue, unsigned details,
                            struct vg_region *region, struct vg_machine_gpu *out)
{
    const struct vg_machine_question question = {
        .uuid = device_of(rescue)->uuid,
        .pci_bus_id = "",
        .file = registration_of(rescue)->file,
        .details = details,
        .has_context = device_of(rescue)->live_bytes > 0,
    };
    vg_machine_measure_gpu(&question, region, out);
}

/* What tells one standstill of the GPU from another. */
static uint64_t fingerprint_of(const struct vg_rescue *rescue, const struct vg_machine_gpu *gpu)
{
    const uint64_t fingerprint = vg_machine_fingerprint(gpu, registration_of(rescue)->file);
    const uint64_t own_bytes = vg_wait_own_bytes(rescue->failure);
    uint64_t free_bytes, total_bytes;
    /* Where NVML does not tell, all that others do shows in what is used. */
    if (gpu->known || vg_driver_memory(rescue->failure->device, &free_bytes, &total_bytes) != 0)
        return fingerprint;
    return fingerprint ^ (total_bytes - free_bytes - own_bytes);
}

/* ---- the wait ---- */

/* How long, and since when: what it waited for its turn counts. */
static void enter_line(struct vg_rescue *rescue, uint64_t ms)
{
    struct waiting *const waiting = (void *)rescue->memory;
    const struct vg_registration *const registration = registration_of(rescue);
    const uint64_t since_ns = rescue->turn ? rescue->turn->since_ns : 0;
    const uint64_t before_ms = since_ns ? (rescue->start_ns - since_ns) / VG_MS_NS : 0;
    struct vg_wait_request request = {
        .wanted_bytes = vg_oom_wanted_bytes(rescue->failure),
        .since_ns = since_ns,
        .kind = VG_WAIT_ALLOCATION,
        .priority = (uint16_t)rescue->options->priority.number,
        .holds_memory = device_of(rescue)->live_bytes >= VG_NEWCOMER_BYTES,
    };
    waiting->started = true;
    waiting->allowed_ms = ms;
    vg_queue_wait_enter(&waiting->line, registration->queue, &request,
                        ms > before_ms ? ms - before_ms : 1);
    if (rescue->turn)
        vg_held_ticket_release(rescue->turn);
    vg_oom_note_wait_begin(rescue->history, waiting->line.start_ns);
    vg_deadlock_watch_start(&waiting->watch, registration->queue, waiting->line.start_ns);
}

static bool has_guarded_elsewhere(const struct vg_machine_gpu *gpu)
{
    for (size_t i = 0; i < gpu->process_count; i++)
        if (gpu->processes[i].pid == VG_PROCESS_ELSEWHERE)
            return true;
    return false;
}

/* Who holds the most may be gone in the end. */
static void note_first_holder(struct waiting *waiting, const struct vg_machine_gpu *gpu)
{
    const struct vg_machine_process *const holder = vg_machine_largest(gpu);
    if (!holder)
        return;
    waiting->holder_pid = holder->pid;
    waiting->holder_bytes = holder->bytes;
    waiting->holder_is_elsewhere = (holder->flags & VG_PROCESS_INVISIBLE) != 0;
    waiting->holder_is_unreached = waiting->holder_is_elsewhere && !has_guarded_elsewhere(gpu);
    if (!waiting->holder_is_elsewhere) /* a wrong name is worse than none */
        vg_machine_command(waiting->holder_command, sizeof waiting->holder_command, holder->pid);
}

/* Decides by what this process knows and by what others hold. Returns whether to wait. */
static bool decide_wait(struct vg_rescue *rescue, struct vg_oom_action *attempt,
                        struct vg_region *region)
{
    struct waiting *const waiting = (void *)rescue->memory;
    struct vg_machine_gpu gpu;
    char command[HOLDER_CAP] = "";
    struct vg_wait_facts facts = { .rescue = rescue, .gpu = &gpu };
    struct vg_outcome skipped = vg_wait_reason_of_own(rescue);
    if (skipped.code == VG_OUTCOME_NONE) {
        /* Before the others and after them, and not as it was at the failure: what somebody frees
         * or takes meanwhile is missed in neither, and counted in both at the worst. */
        const uint64_t before_bytes = measure_free(rescue->failure);
        measure_machine(rescue, VG_MACHINE_RELATIONS, region, &gpu);
        const uint64_t after_bytes = measure_free(rescue->failure);
        facts.free_bytes = before_bytes != VG_BYTES_UNKNOWN && before_bytes > after_bytes
                               ? before_bytes
                               : after_bytes;
        facts.own_bytes = vg_wait_own_bytes(rescue->failure);
        facts.fingerprint = fingerprint_of(rescue, &gpu);
        facts.holds_gil = vg_python_trim_holds_gil();
        skipped = vg_wait_reason_of_others(&facts);
    }
    if (skipped.code == VG_OUTCOME_NONE) {
        const struct vg_wait_time time = vg_wait_allowed(&facts);
        waiting->why_short = time.why_short;
        waiting->instead = time.instead;
        skipped = time.skipped;
        if (skipped.code == VG_OUTCOME_NONE) {
            note_first_holder(waiting, &gpu);
            waiting->free_bytes = rescue->failure->free_bytes;
            enter_line(rescue, time.ms);
            return true;
        }
    }
    if (skipped.pid > 0)
        vg_machine_command(command, sizeof command, skipped.pid);
    vg_outcome_add(attempt, skipped, command);
    return false;
}

static bool start_wait(struct vg_rescue *rescue, struct vg_oom_action *attempt)
{
    struct vg_region region = vg_region_over(NULL, 0);
    const bool waits = decide_wait(rescue, attempt, &region);
    vg_region_release(&region);
    return waits;
}

/* "2.00 GiB", or what a call needs that names no amount. */
static const char *what_for(const struct vg_rescue *rescue, char *out)
{
    const struct vg_failure *const failure = rescue->failure;
    if (failure->asked_bytes != VG_BYTES_UNKNOWN)
        return vg_size_format(out, failure->asked_bytes);
    if (strstr(failure->api, "CtxCreate") || strstr(failure->api, "CtxRetain"))
        return "room for a CUDA context";
    return failure->api;
}

static void tell_waiting(struct vg_rescue *rescue)
{
    const struct waiting *const waiting = (void *)rescue->memory;
    char wanted[VG_SIZE_TEXT_CAP], held[VG_SIZE_TEXT_CAP], have[VG_SIZE_TEXT_CAP];
    char time[VG_DURATION_TEXT_CAP], who[HOLDER_CAP + 96] = "", free_text[48] = "";
    if (waiting->holder_is_elsewhere)
        snprintf(who, sizeof who, ": " VG_MACHINE_ELSEWHERE " holds %s%s",
                 vg_size_format(held, waiting->holder_bytes),
                 waiting->holder_is_unreached ? " and cannot be asked to give back" : "");
    else if (waiting->holder_pid)
        snprintf(who, sizeof who, ": pid %d%s%s%s holds %s", waiting->holder_pid,
                 waiting->holder_command[0] ? " (" : "", waiting->holder_command,
                 waiting->holder_command[0] ? ")" : "",
                 vg_size_format(held, waiting->holder_bytes));
    if (waiting->free_bytes != VG_BYTES_UNKNOWN)
        snprintf(free_text, sizeof free_text, " (%s free)",
                 vg_size_format(have, waiting->free_bytes));
    vg_policy_log(
        rescue, "waiting up to %s for %s%s%s",
        vg_duration_format(time, (waiting->line.deadline_ns - waiting->line.start_ns) / VG_MS_NS),
        what_for(rescue, wanted), free_text, who);
}

/* What became of who held the most at the start. */
static void note_holder_now(const struct waiting *waiting, const struct vg_machine_gpu *gpu,
                            struct vg_oom_action *attempt)
{
    const struct vg_machine_process *const now = vg_machine_find(gpu, waiting->holder_pid);
    struct vg_outcome holder = { .pid = waiting->holder_is_elsewhere ? VG_PROCESS_ELSEWHERE
                                                                     : waiting->holder_pid };
    if (!gpu->known || (now && now->bytes == VG_BYTES_UNKNOWN))
        return;
    if (!now) {
        holder.code = VG_OUTCOME_HOLDER_ENDED;
    } else if (now->bytes < waiting->holder_bytes) {
        holder.code = VG_OUTCOME_HOLDER_FREED;
        holder.bytes = waiting->holder_bytes - now->bytes;
    } else {
        holder.code = VG_OUTCOME_HOLDER_KEEPS;
        holder.bytes = now->bytes;
    }
    vg_outcome_add(attempt, holder, waiting->holder_command);
    if (holder.code == VG_OUTCOME_HOLDER_KEEPS && waiting->holder_is_unreached)
        vg_outcome_add(attempt, (struct vg_outcome){ .code = VG_OUTCOME_HOLDER_OUT_OF_REACH },
                       NULL);
}

/* Where the memory came from: who was asked and gave back, or else what became of who held the
 * most; nothing is added if that is not known. `in_vain`: the standstill is noted. */
static void note_holder(const struct vg_rescue *rescue, struct vg_oom_action *attempt, bool in_vain)
{
    const struct waiting *const waiting = (const void *)rescue->memory;
    struct vg_region region = vg_region_over(NULL, 0);
    struct vg_machine_gpu gpu;
    const bool given = vg_reclaim_request_note(&waiting->asking, registration_of(rescue), attempt);
    if (in_vain || (!given && waiting->holder_pid)) {
        measure_machine(rescue, VG_MACHINE_PLAIN, &region, &gpu);
        if (in_vain)
            vg_oom_note_wait_in_vain(rescue->history, rescue->failure->device,
                                     fingerprint_of(rescue, &gpu));
        if (!given && waiting->holder_pid)
            note_holder_now(waiting, &gpu, attempt);
    }
    vg_region_release(&region);
}

static void finish_wait(struct vg_rescue *rescue)
{
    struct waiting *const waiting = (void *)rescue->memory;
    vg_queue_wait_leave(&waiting->line);
    const uint64_t now_ns = vg_clock_monotonic_ns();
    vg_oom_note_wait_end(rescue->history, now_ns);
    atomic_fetch_add(&rescue->history->waited_ns, now_ns - waiting->line.start_ns);
}

/* Why the wait has ended in vain, and who held the memory then. */
static void note_end(const struct vg_rescue *rescue, struct vg_oom_action *attempt,
                     enum vg_outcome_code why)
{
    const struct waiting *const waiting = (const void *)rescue->memory;
    char command[HOLDER_CAP];
    const bool in_vain = why == VG_OUTCOME_NOTHING_FREED;
    if (in_vain && waiting->instead.code != VG_OUTCOME_NONE) {
        vg_machine_command(command, sizeof command, waiting->instead.pid);
        vg_outcome_add(attempt, waiting->instead, command);
        return;
    }
    vg_outcome_add(attempt, (struct vg_outcome){ .code = (uint16_t)why }, NULL);
    note_holder(rescue, attempt, in_vain);
}

static enum vg_verdict give_up(struct vg_rescue *rescue, struct vg_oom_action *attempt,
                               enum vg_outcome_code why)
{
    const struct waiting *const waiting = (const void *)rescue->memory;
    char time[VG_DURATION_TEXT_CAP], what[VG_SIZE_TEXT_CAP], data[VG_POLICY_TEXT_CAP * 2];
    struct vg_text outcome = vg_text_over(data, sizeof data);
    const uint64_t ms = vg_queue_wait_waited_ms(&waiting->line);
    finish_wait(rescue);
    note_end(rescue, attempt, why);
    if (why == VG_OUTCOME_NOTHING_FREED && waiting->why_short)
        vg_outcome_add(attempt,
                       (struct vg_outcome){ .code = waiting->why_short, .ms = waiting->allowed_ms },
                       NULL);
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
    if (rescue->logged || ms >= 1000 || waiting->asking.asked)
        note_holder(rescue, attempt, false);
    if (attempt->outcome_count > 1)
        vg_outcome_text(&holder, &attempt->outcomes[1],
                        vg_outcome_subject(attempt, &attempt->outcomes[1]));
    vg_policy_log_end(rescue, "%s %s after %s%s%s", succeeded ? "got" : "another error for",
                      what_for(rescue, what), vg_duration_format(time, ms),
                      holder.length ? ": " : "", data);
}

static void abandon_wait(struct vg_rescue *rescue)
{
    const struct waiting *const waiting = (const void *)rescue->memory;
    if (waiting->started)
        vg_oom_note_wait_end(rescue->history, vg_clock_monotonic_ns());
}

const struct vg_action vg_action_wait = {
    .name = "wait",
    .help =
        "wait until other processes have freed enough memory, first come, first served; "
        "wait=TIME: at most this long (30s)",
    .parse = parse_wait,
    .run = run_wait,
    .end = end_wait,
    .abandon = abandon_wait,
};
