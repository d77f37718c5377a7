#include "oom/policy.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "limit/inject.h"
#include "limit/limit.h"
#include "oom/action_spill.h"
#include "oom/trim_command.h"

#define VG_ACTION(name) extern const struct vg_action vg_action_##name;
#include "oom/action_table.h"
#undef VG_ACTION

static const struct vg_action *const actions[] = {
#define VG_ACTION(name) &vg_action_##name,
#include "oom/action_table.h"
#undef VG_ACTION
};

const struct vg_action *const *vg_policy_actions(size_t *out_count)
{
    *out_count = sizeof actions / sizeof actions[0];
    return actions;
}

/* ---- parsing ---- */

static const struct vg_action *find_action(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (strlen(actions[i]->name) == length && memcmp(actions[i]->name, name, length) == 0)
            return actions[i];
    return NULL;
}

/* One item of the list: "name" or "name=parameter", `length` bytes at `item`. */
static int parse_step(const char *item, size_t length, struct vg_policy_step *out, char *why,
                      size_t why_cap)
{
    char shown[48], parameter[48];
    const size_t name_length = strcspn(item, "=,");
    const struct vg_action *const action = find_action(item, name_length);
    if (!action) {
        vg_text_sanitize(shown, sizeof shown, item, name_length);
        snprintf(why, why_cap, "unknown action \"%s\"", shown);
        return -EINVAL;
    }
    *out = (struct vg_policy_step){ .action = action, .is_explicit = name_length < length };
    const char *const value = item + name_length + (name_length < length);
    const size_t value_length = (size_t)(item + length - value);
    if (name_length < length && (!action->parse || value_length == 0)) {
        snprintf(why, why_cap, action->parse ? "\"%s=\" lacks a value" : "\"%s\" takes no value",
                 action->name);
        return -EINVAL;
    }
    if (!action->parse)
        return 0;
    if (value_length >= sizeof parameter) {
        snprintf(why, why_cap, "the value of \"%s\" is too long", action->name);
        return -EINVAL;
    }
    memcpy(parameter, value, value_length);
    parameter[value_length] = '\0';
    return action->parse(parameter, &out->parameter, why, why_cap);
}

int vg_policy_parse(const char *text, struct vg_policy *out, char *why, size_t why_cap)
{
    struct vg_policy policy = { .count = 0 };
    if (strcmp(text, "off") == 0) {
        *out = policy;
        return 0;
    }
    for (const char *p = text;; p++) {
        const size_t length = strcspn(p, ",");
        struct vg_policy_step step;
        char reason[96];
        if (parse_step(p, length, &step, reason, sizeof reason) != 0) {
            snprintf(why, why_cap, "%s at %d", reason, (int)(p - text) + 1);
            return -EINVAL;
        }
        if (policy.count == VG_POLICY_STEPS_MAX) {
            snprintf(why, why_cap, "more than %d actions", VG_POLICY_STEPS_MAX);
            return -EINVAL;
        }
        policy.steps[policy.count++] = step;
        p += length;
        if (*p == '\0')
            break;
    }
    *out = policy;
    return 0;
}

uint64_t vg_policy_wait_ms(const struct vg_policy *policy)
{
    uint64_t ms = 0;
    for (size_t i = 0; i < policy->count; i++)
        if (policy->steps[i].action == &vg_action_wait)
            ms += policy->steps[i].parameter;
    return ms;
}

bool vg_policy_has_trim(const struct vg_policy *policy)
{
    for (size_t i = 0; i < policy->count; i++)
        if (policy->steps[i].action == &vg_action_trim)
            return true;
    return false;
}

static int check_policy(const char *text, char *why, size_t why_cap)
{
    struct vg_policy ignored;
    return vg_policy_parse(text, &ignored, why, why_cap);
}

static int check_inject(const char *text, char *why, size_t why_cap)
{
    struct vg_inject ignored;
    return *text ? vg_inject_parse(text, &ignored, why, why_cap) : 0;
}

static int check_trim_command(const char *text, char *why, size_t why_cap)
{
    struct vg_trim_words ignored;
    return *text ? vg_trim_command_split(text, &ignored, why, why_cap) : 0;
}

void vg_policy_check_options(void)
{
    vg_option_set_check(VG_OPTION_ID_trim_command, check_trim_command);
    vg_option_set_check(VG_OPTION_ID_policy, check_policy);
    vg_option_set_check(VG_OPTION_ID_inject, check_inject);
    vg_option_set_check(VG_OPTION_ID_spill_cap, vg_spill_check_cap);
    vg_option_set_check(VG_OPTION_ID_limit, vg_limit_check);
}

/* ---- running ---- */

static struct vg_oom_action *start_step(struct vg_rescue *rescue)
{
    const struct vg_policy_step *const step = &rescue->policy->steps[rescue->step];
    struct vg_failure *const failure = rescue->failure;
    struct vg_oom_action *const attempt = &failure->actions[failure->action_count++];
    *attempt = (struct vg_oom_action){ .recovered_bytes = 0 };
    snprintf(attempt->name, sizeof attempt->name, "%s", step->action->name);
    rescue->running = true;
    rescue->logged = false;
    rescue->parameter = step->parameter;
    rescue->is_explicit = step->is_explicit;
    rescue->start_ns = vg_clock_monotonic_ns();
    memset(rescue->memory, 0, sizeof rescue->memory);
    return attempt;
}

static struct vg_oom_action *running_action(struct vg_rescue *rescue)
{
    return &rescue->failure->actions[rescue->failure->action_count - 1];
}

static void close_step(struct vg_rescue *rescue)
{
    running_action(rescue)->duration_ns = vg_clock_monotonic_ns() - rescue->start_ns;
    rescue->running = false;
    rescue->step++;
}

enum vg_verdict vg_policy_next(struct vg_rescue *rescue)
{
    while (rescue->step < rescue->policy->count) {
        struct vg_oom_action *const attempt =
            rescue->running ? running_action(rescue) : start_step(rescue);
        const enum vg_verdict verdict =
            rescue->policy->steps[rescue->step].action->run(rescue, attempt);
        if (verdict == VG_VERDICT_REPEAT)
            return verdict;
        close_step(rescue);
        if (verdict != VG_VERDICT_PASS)
            return verdict;
    }
    return VG_VERDICT_PASS;
}

void vg_policy_end(struct vg_rescue *rescue, bool succeeded)
{
    if (!rescue->running)
        return;
    const struct vg_action *const action = rescue->policy->steps[rescue->step].action;
    if (action->end)
        action->end(rescue, running_action(rescue), succeeded);
    close_step(rescue);
}

void vg_policy_abandon(struct vg_rescue *rescue)
{
    if (!rescue->running)
        return;
    const struct vg_action *const action = rescue->policy->steps[rescue->step].action;
    if (action->abandon)
        action->abandon(rescue);
    rescue->running = false;
}

/* ---- lines about a rescue ---- */

static void log_device_line(const struct vg_rescue *rescue, const char *format, va_list arguments)
{
    char line[VG_POLICY_TEXT_CAP * 3];
    vsnprintf(line, sizeof line, format, arguments);
    if (rescue->failure->device >= 0)
        vg_log_line("GPU %d: %s", rescue->failure->device, line);
    else
        vg_log_line("%s", line);
}

static bool is_noticeable(const struct vg_rescue *rescue)
{
    return vg_clock_monotonic_ns() >= rescue->start_ns + 1000 * VG_MS_NS;
}

void vg_policy_log(struct vg_rescue *rescue, const char *format, ...)
{
    va_list arguments;
    if (rescue->logged || !is_noticeable(rescue))
        return;
    rescue->logged = true;
    va_start(arguments, format);
    log_device_line(rescue, format, arguments);
    va_end(arguments);
}

void vg_policy_log_end(struct vg_rescue *rescue, const char *format, ...)
{
    va_list arguments;
    if (!rescue->logged && !is_noticeable(rescue))
        return;
    va_start(arguments, format);
    log_device_line(rescue, format, arguments);
    va_end(arguments);
}
