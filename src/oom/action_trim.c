/* The action "trim": asks everything that may keep memory without need to give it back, the
 * cheapest first: the driver's pools and finished graphs, hooks that the program has registered,
 * the user's library, the caches of Python's frameworks, the user's command. After each that has
 * brought enough the call is made again; should that not help, the next one is asked. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/size.h"
#include "driver/driver.h"
#include "oom/callback_thread.h"
#include "oom/census_observer.h"
#include "oom/policy.h"
#include "oom/python_trim.h"
#include "oom/trim_command.h"
#include "oom/trim_hooks.h"
#include "oom/trim_library.h"
#include "view/outcome_text.h"

enum { WHAT_CAP = 48, COMMAND_GRACE_MS = 2000 };

/* How far the action has come; kept in struct vg_rescue. */
struct progress {
    struct vg_trim_cursor cursor;
    uint64_t first_bytes; /* free at the start, VG_BYTES_UNKNOWN when that cannot be measured */
    uint64_t tried_bytes; /* free when the call was made last */
    uint32_t stage;
    uint8_t started;
    uint8_t
        asked; /* since the call was made last, something was asked that may have freed memory */
};

struct trim {
    struct vg_rescue *rescue;
    struct vg_oom_action *attempt;
    struct progress at;
    uint64_t free_bytes; /* now */
    char what[WHAT_CAP]; /* is being asked */
    /* What came out of the helper: another thread's work once it is released. */
    uint64_t claimed_bytes;
    struct vg_trim_command_result result;
    struct vg_python_trim python;
};

/* What the helper works on; of the thread that has claimed it. */
static struct {
    int device;
    uint64_t wanted_bytes, freed_bytes;
    uint64_t claimed_bytes; /* what the hook or the library says */
    struct vg_trim_hook hook;
    const char *plug_in;
    struct vg_trim_words words;
    struct vg_trim_facts facts;
    uint64_t timeout_ms;
    struct vg_trim_command_result result;
    struct vg_python_trim python;
} work;

/* ---- measuring and telling ---- */

/* What is free on the device of the call; unknown when that is not the current one. */
static uint64_t measure_free(const struct vg_failure *failure)
{
    uint64_t free_bytes, total_bytes;
    return vg_driver_memory(failure->device, &free_bytes, &total_bytes) == 0 ? free_bytes
                                                                             : VG_BYTES_UNKNOWN;
}

static uint64_t gain_between(uint64_t before, uint64_t after)
{
    if (before == VG_BYTES_UNKNOWN || after == VG_BYTES_UNKNOWN)
        return VG_BYTES_UNKNOWN;
    return after > before ? after - before : 0;
}

/* Measures again. Returns what has come free since the last time. */
static uint64_t take_stock(struct trim *t)
{
    const uint64_t before = t->free_bytes;
    t->free_bytes = measure_free(t->rescue->failure);
    t->attempt->recovered_bytes = gain_between(t->at.first_bytes, t->free_bytes);
    return gain_between(before, t->free_bytes);
}

static void note_gain(struct trim *t, const char *what, uint64_t gained_bytes)
{
    const uint16_t code = gained_bytes == VG_BYTES_UNKNOWN ? VG_OUTCOME_ASKED : VG_OUTCOME_GAVE;
    vg_outcome_add(t->attempt, (struct vg_outcome){ .code = code, .bytes = gained_bytes }, what);
}

/* Is what a hook says far from what has come free? It may have given memory back to another cache.
 */
static bool differs_widely(uint64_t claimed_bytes, uint64_t gained_bytes)
{
    const uint64_t larger = claimed_bytes > gained_bytes ? claimed_bytes : gained_bytes;
    const uint64_t smaller = claimed_bytes > gained_bytes ? gained_bytes : claimed_bytes;
    return gained_bytes != VG_BYTES_UNKNOWN && larger - smaller > smaller / 4 + 64 * VG_MIB;
}

/* Names who has brought something, or says so without it. */
static void note_claim(struct trim *t, uint64_t gained_bytes, uint64_t claimed_bytes)
{
    const struct vg_outcome says = { .code = VG_OUTCOME_SAYS, .bytes = claimed_bytes };
    const struct vg_outcome differs = { .code = VG_OUTCOME_GAVE_SAYS,
                                        .bytes = gained_bytes,
                                        .more_bytes = claimed_bytes };
    if (gained_bytes == VG_BYTES_UNKNOWN)
        vg_outcome_add(t->attempt, says, t->what);
    else if (differs_widely(claimed_bytes, gained_bytes))
        vg_outcome_add(t->attempt, differs, t->what);
    else if (gained_bytes > 0)
        note_gain(t, t->what, gained_bytes);
}

static void note_state(struct trim *t, enum vg_outcome_code state)
{
    vg_outcome_add(t->attempt, (struct vg_outcome){ .code = (uint16_t)state }, t->what);
}

static const char *format_timeout(const struct trim *t, char *out)
{
    return vg_duration_format(out, t->rescue->options->trim_timeout.number);
}

static void log_waiting(void *argument)
{
    const struct trim *const t = argument;
    char wanted[VG_SIZE_TEXT_CAP], time[VG_DURATION_TEXT_CAP];
    const char *const article = strncmp(t->what, "hook", 4) == 0 ? "" : "the ";
    vg_policy_log(t->rescue, "trim: waiting up to %s for %s%s to free %s", format_timeout(t, time),
                  article, t->what, vg_size_format(wanted, t->rescue->failure->asked_bytes));
}

/* ---- the helper ---- */

static bool claim_callback_thread(struct trim *t, uint64_t until_ns)
{
    vg_census_await_attachment();
    if (vg_callback_thread_claim(until_ns) == 0)
        return true;
    note_state(t, VG_OUTCOME_STILL_RUNS);
    return false;
}

static uint64_t wanted_bytes(const struct vg_failure *failure)
{
    return failure->asked_bytes == VG_BYTES_UNKNOWN ? 0 : failure->asked_bytes;
}

/* Fills in what is the same for all. */
static void prepare_task(const struct trim *t)
{
    const uint64_t freed = gain_between(t->at.first_bytes, t->free_bytes);
    work.device = t->rescue->failure->device;
    work.wanted_bytes = wanted_bytes(t->rescue->failure);
    work.freed_bytes = freed == VG_BYTES_UNKNOWN ? 0 : freed;
    work.claimed_bytes = 0;
}

/* Runs the claimed helper. Afterwards it is released, unless it did not end in time. */
static enum vg_callback_thread_end run_in_callback_thread(struct trim *t, void (*run)(void *),
                                                          void (*done)(void *), uint64_t until_ns)
{
    const struct vg_callback_thread_task task = {
        .run = run, .done = done, .context = (CUcontext)(uintptr_t)vg_driver_context()
    };
    const enum vg_callback_thread_end end = vg_callback_thread_run(&task, until_ns, log_waiting, t);
    t->at.asked = 1;
    if (end == VG_CALLBACK_TIMED_OUT)
        return end;
    t->claimed_bytes = work.claimed_bytes;
    t->result = work.result;
    t->python = work.python;
    vg_callback_thread_release();
    return end;
}

/* What is to be told of a hook or the library. Returns whether others may be called. */
static bool conclude_calls(struct trim *t, enum vg_callback_thread_end end)
{
    char time[VG_DURATION_TEXT_CAP];
    const uint64_t gained = take_stock(t);
    switch (end) {
    case VG_CALLBACK_RETURNED: note_claim(t, gained, t->claimed_bytes); return true;
    case VG_CALLBACK_THREW:
        vg_warn_once(VG_FAULT_TRIM_HOOK, "trim: %s threw an exception, which ends here", t->what);
        note_state(t, VG_OUTCOME_THREW);
        return true;
    case VG_CALLBACK_EXITED: note_state(t, VG_OUTCOME_ENDED_THREAD); return true;
    case VG_CALLBACK_TIMED_OUT:
        vg_log_line(
            "GPU %d: trim: %s has not returned after %s: it is left alone, and nothing "
            "else is asked until it has",
            t->rescue->failure->device, t->what, format_timeout(t, time));
        note_state(t, VG_OUTCOME_NOT_RETURNED);
        return false;
    case VG_CALLBACK_NO_THREAD: break;
    }
    vg_warn_once(VG_FAULT_TRIM_THREAD, "trim: cannot make a thread to ask %s in: not asked",
                 t->what);
    return false;
}

static uint64_t compute_deadline_ns(const struct trim *t)
{
    return vg_clock_monotonic_ns() + t->rescue->options->trim_timeout.number * 1000000;
}

/* ---- the stages: each returns true when it has nothing more to ask ---- */

static void trim_pools(const struct vg_failure *failure)
{
    CUmemoryPool pools[VG_COLLECT_POOLS_MAX];
    const size_t count = vg_collect_pools(failure->tables.pools, failure->device, pools);
    for (size_t i = 0; vg_driver.cuMemPoolTrimTo && i < count; i++)
        vg_driver.cuMemPoolTrimTo(pools[i], 0);
    if (vg_driver.cuDeviceGraphMemTrim)
        vg_driver.cuDeviceGraphMemTrim(failure->device);
}

static bool ask_pools(struct trim *t)
{
    CUstreamCaptureMode mode;
    const int error = vg_driver_relax(&mode);
    if (error == -EIO)
        return true;
    trim_pools(t->rescue->failure);
    if (!error)
        vg_driver_restore(mode);
    note_gain(t, "pools", take_stock(t));
    return true;
}

static void call_hook(void *unused)
{
    (void)unused;
    work.claimed_bytes =
        work.hook.function(work.device, work.wanted_bytes, work.freed_bytes, work.hook.argument);
}

static void leave_hook(void *unused)
{
    (void)unused;
    vg_trim_hooks_leave(&work.hook);
}

/* One hook a time. */
static bool ask_hooks(struct trim *t)
{
    const uint64_t until_ns = compute_deadline_ns(t);
    snprintf(t->what, sizeof t->what, "hooks");
    if (!vg_trim_hooks_exist() || !claim_callback_thread(t, until_ns))
        return true;
    if (!vg_trim_hooks_enter(&t->at.cursor, until_ns, &work.hook)) {
        vg_callback_thread_release();
        return true;
    }
    snprintf(t->what, sizeof t->what, "hook \"%s\"", work.hook.name);
    prepare_task(t);
    return !conclude_calls(t, run_in_callback_thread(t, call_hook, leave_hook, until_ns));
}

static void call_library(void *unused)
{
    (void)unused;
    const vg_trim_function function = vg_trim_library_open(work.plug_in);
    if (function)
        work.claimed_bytes = function(work.device, work.wanted_bytes, work.freed_bytes, NULL);
}

static bool ask_library(struct trim *t)
{
    const char *const text = t->rescue->options->trim_library.text;
    const uint64_t until_ns = compute_deadline_ns(t);
    snprintf(t->what, sizeof t->what, "library");
    if (!text[0] || !claim_callback_thread(t, until_ns))
        return true;
    prepare_task(t);
    work.plug_in = text;
    conclude_calls(t, run_in_callback_thread(t, call_library, NULL, until_ns));
    return true;
}

/* The only call of the program that lacks memory is the one that all this is about. */
static bool is_alone(void *argument)
{
    const struct vg_oom_state *const history = argument;
    return atomic_load(&history->failing_calls) <= 1;
}

static void call_python(void *unused)
{
    (void)unused;
    vg_python_trim_run(&work.python);
}

/* Why Python's caches must not be emptied now; VG_OUTCOME_NONE when they may. */
static enum vg_outcome_code reason_to_leave_python(const struct trim *t)
{
    if (t->rescue->failure->below_pytorch)
        return VG_OUTCOME_NOT_EMPTIED_PYTORCH;
    if (vg_python_trim_holds_gil())
        return VG_OUTCOME_NOT_EMPTIED_GIL;
    if (!is_alone(t->rescue->history))
        return VG_OUTCOME_NOT_EMPTIED_OTHERS;
    return VG_OUTCOME_NONE;
}

static void conclude_python(struct trim *t)
{
    if (t->python.end != VG_PYTHON_TRIM_DONE)
        note_state(t, VG_OUTCOME_NOT_EMPTIED);
    else
        note_gain(t, t->what, take_stock(t));
    if (t->python.why[0])
        vg_warn_once(VG_FAULT_PYTHON_TRIM, "trim: emptying Python's caches: %s", t->python.why);
}

static bool ask_python(struct trim *t)
{
    const uint64_t until_ns = compute_deadline_ns(t);
    snprintf(t->what, sizeof t->what, "Python's caches");
    /* PyTorch has emptied its own cache by now, and there is no need to say so. */
    if (t->rescue->options->python_trim.number == VG_PYTHON_TRIM_OFF ||
        t->rescue->failure->caller == VG_CALLER_PYTORCH || !vg_python_trim_is_possible())
        return true;
    const enum vg_outcome_code reason = reason_to_leave_python(t);
    if (reason) {
        note_state(t, reason);
        return true;
    }
    if (!claim_callback_thread(t, until_ns))
        return true;
    work.python = (struct vg_python_trim){
        .collect = t->rescue->options->python_trim.number == VG_PYTHON_TRIM_FULL,
        .until_ns = until_ns,
        .may_begin = is_alone,
        .argument = t->rescue->history,
    };
    const enum vg_callback_thread_end end = run_in_callback_thread(t, call_python, NULL, until_ns);
    if (end == VG_CALLBACK_RETURNED)
        conclude_python(t);
    else
        conclude_calls(t, end);
    return true;
}

static void call_command(void *unused)
{
    (void)unused;
    vg_trim_command_run(&work.words, &work.facts, work.timeout_ms, &work.result);
}

static void prepare_command(const struct trim *t)
{
    prepare_task(t);
    work.timeout_ms = t->rescue->options->trim_timeout.number;
    work.facts = (struct vg_trim_facts){
        .device = work.device,
        .wanted_bytes = t->rescue->failure->asked_bytes,
        .freed_bytes = work.freed_bytes,
        .free_bytes = t->free_bytes,
    };
    vg_driver_device_uuid(work.device, work.facts.uuid, sizeof work.facts.uuid);
}

static void conclude_command(struct trim *t)
{
    const struct vg_trim_command_result *const result = &t->result;
    char time[VG_DURATION_TEXT_CAP];
    struct vg_outcome outcome = { .bytes = take_stock(t) };
    if (result->error) {
        vg_warn_once(VG_FAULT_TRIM_COMMAND, "VRAMGUARD_TRIM_CMD: cannot start it: %s",
                     strerror(-result->error));
        note_state(t, VG_OUTCOME_COMMAND_NOT_STARTED);
        return;
    }
    if (result->timed_out) {
        vg_log_line("GPU %d: trim: VRAMGUARD_TRIM_CMD had not ended after %s: killed",
                    t->rescue->failure->device, format_timeout(t, time));
        outcome.code = VG_OUTCOME_COMMAND_KILLED;
        outcome.ms = t->rescue->options->trim_timeout.number;
    } else if (WIFSIGNALED(result->status)) {
        outcome.code = VG_OUTCOME_COMMAND_SIGNAL;
        outcome.number = WTERMSIG(result->status);
    } else if (WEXITSTATUS(result->status) != 0) {
        outcome.code = VG_OUTCOME_COMMAND_STATUS;
        outcome.number = WEXITSTATUS(result->status);
    }
    if (outcome.code != VG_OUTCOME_NONE)
        vg_outcome_add(t->attempt, outcome, NULL);
    else
        note_gain(t, "command", outcome.bytes);
}

static bool ask_command(struct trim *t)
{
    const char *const text = t->rescue->options->trim_command.text;
    const uint64_t until_ns = compute_deadline_ns(t) + COMMAND_GRACE_MS * UINT64_C(1000000);
    char why[WHAT_CAP];
    snprintf(t->what, sizeof t->what, "command");
    if (!text[0])
        return true;
    if (t->rescue->failure->why_no_wait) {
        note_state(t, VG_OUTCOME_COMMAND_NOT_RUN);
        note_state(t, t->rescue->failure->why_no_wait);
        return true;
    }
    if (!claim_callback_thread(t, until_ns))
        return true;
    /* The text has been checked when the options were read. */
    if (vg_trim_command_split(text, &work.words, why, sizeof why) != 0) {
        vg_callback_thread_release();
        return true;
    }
    prepare_command(t);
    const enum vg_callback_thread_end end = run_in_callback_thread(t, call_command, NULL, until_ns);
    if (end == VG_CALLBACK_RETURNED)
        conclude_command(t);
    else
        conclude_calls(t, end);
    return true;
}

static bool (*const stages[])(struct trim *t) = { ask_pools, ask_hooks, ask_library, ask_python,
                                                  ask_command };

enum { STAGES = sizeof stages / sizeof stages[0], STAGES_OF_ARENAS = 1 };

/* An arena makes a hundred failing calls until it has what it gets: it is no reason to give up a
 * cache, let alone to run a command that often. */
static unsigned stage_count(const struct vg_failure *failure)
{
    return failure->caller == VG_CALLER_ARENA ? STAGES_OF_ARENAS : STAGES;
}

/* ---- the action ---- */

static void load_progress(struct trim *t)
{
    _Static_assert(sizeof t->at <= sizeof t->rescue->memory, "fits");
    memcpy(&t->at, t->rescue->memory, sizeof t->at);
    t->free_bytes = measure_free(t->rescue->failure);
    if (t->at.started)
        return;
    t->at.started = 1;
    t->at.first_bytes = t->at.tried_bytes = t->free_bytes;
}

static void save_progress(const struct trim *t)
{
    memcpy(t->rescue->memory, &t->at, sizeof t->at);
}

/* Has more come free since the call was made last, and is it enough? A limit is not measured in
 * what is free: there, anything that came free may be enough. */
static bool is_enough(const struct trim *t)
{
    const struct vg_failure *const failure = t->rescue->failure;
    const uint64_t gained = gain_between(t->at.tried_bytes, t->free_bytes);
    if (gained == VG_BYTES_UNKNOWN || gained == 0)
        return false;
    return failure->refused_by == VG_REFUSED_BY_LIMIT || failure->asked_bytes == VG_BYTES_UNKNOWN ||
           t->free_bytes >= failure->asked_bytes;
}

static bool is_worth_a_call(const struct trim *t)
{
    const uint64_t gained = gain_between(t->at.tried_bytes, t->free_bytes);
    return gained == VG_BYTES_UNKNOWN ? t->at.asked : gained > 0;
}

/* Why it would be in vain; VG_OUTCOME_NONE when it may help. */
static enum vg_outcome_code reason_to_skip(const struct vg_failure *failure)
{
    if (failure->device < 0)
        return VG_OUTCOME_TRIM_NO_CONTEXT;
    if (failure->asked_bytes != VG_BYTES_UNKNOWN && failure->total_bytes != VG_BYTES_UNKNOWN &&
        failure->asked_bytes > failure->total_bytes)
        return VG_OUTCOME_TRIM_TOO_LARGE;
    return VG_OUTCOME_NONE;
}

static void log_end(struct vg_rescue *rescue, const struct vg_oom_action *attempt, const char *what)
{
    char data[VG_POLICY_TEXT_CAP * 2];
    struct vg_text outcome = vg_text_over(data, sizeof data);
    vg_outcome_text_all(&outcome, attempt);
    vg_policy_log_end(rescue, "trim: %s: %s", data, what);
}

static enum vg_verdict trim_caches(struct vg_rescue *rescue, struct vg_oom_action *attempt)
{
    struct trim t = { .rescue = rescue, .attempt = attempt };
    const enum vg_outcome_code skipped = reason_to_skip(rescue->failure);
    if (skipped) {
        note_state(&t, skipped);
        return VG_VERDICT_PASS;
    }
    load_progress(&t);
    while (t.at.stage < stage_count(rescue->failure)) {
        t.at.stage += stages[t.at.stage](&t);
        if (is_enough(&t)) {
            t.at.tried_bytes = t.free_bytes;
            t.at.asked = 0;
            save_progress(&t);
            return VG_VERDICT_REPEAT;
        }
    }
    log_end(rescue, attempt, is_worth_a_call(&t) ? "trying again" : "not enough");
    return is_worth_a_call(&t) ? VG_VERDICT_RETRY : VG_VERDICT_PASS;
}

static void end_trim(struct vg_rescue *rescue, struct vg_oom_action *attempt, bool succeeded)
{
    char amount[VG_SIZE_TEXT_CAP], got[VG_SIZE_TEXT_CAP + 8];
    snprintf(got, sizeof got, "got %s", vg_size_format(amount, rescue->failure->asked_bytes));
    log_end(rescue, attempt, succeeded ? got : "the call now fails with another error");
}

const struct vg_action vg_action_trim = {
    .name = "trim",
    .help =
        "free what is only cached: the driver's pools, your trim hooks and library, the caches "
        "of PyTorch and CuPy; then run your trim command",
    .run = trim_caches,
    .end = end_trim,
};
