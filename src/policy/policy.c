#include "policy/policy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/text.h"

#define VG_ACTION(name) extern const struct vg_action vg_action_##name;
#include "policy/action_table.h"
#undef VG_ACTION

static const struct vg_action *const actions[] = {
#define VG_ACTION(name) &vg_action_##name,
#include "policy/action_table.h"
#undef VG_ACTION
};

const struct vg_action *const *vg_policy_actions(size_t *out_count)
{
    *out_count = sizeof actions / sizeof actions[0];
    return actions;
}

static const struct vg_action *find_action(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++)
        if (strlen(actions[i]->name) == length && memcmp(actions[i]->name, name, length) == 0)
            return actions[i];
    return NULL;
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
        const struct vg_action *const action = find_action(p, length);
        char shown[48];
        vg_text_sanitize(shown, sizeof shown, p, length);
        if (!action) {
            snprintf(why, why_cap, "unknown action \"%s\" at %d", shown, (int)(p - text) + 1);
            return -EINVAL;
        }
        if (policy.count == VG_POLICY_ACTIONS_MAX) {
            snprintf(why, why_cap, "more than %d actions", VG_POLICY_ACTIONS_MAX);
            return -EINVAL;
        }
        policy.actions[policy.count++] = action;
        p += length;
        if (*p == '\0')
            break;
    }
    *out = policy;
    return 0;
}

int vg_policy_check(const char *text, char *why, size_t why_cap)
{
    struct vg_policy ignored;
    return vg_policy_parse(text, &ignored, why, why_cap);
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

bool vg_policy_next(const struct vg_policy *policy, size_t *next, struct vg_failure *failure)
{
    while (*next < policy->count) {
        const struct vg_action *const action = policy->actions[(*next)++];
        struct vg_snapshot_action *const told = &failure->actions[failure->action_count++];
        const uint64_t start = now_ns();
        snprintf(told->name, sizeof told->name, "%s", action->name);
        const enum vg_verdict verdict = action->run(failure, told);
        told->duration_ns = now_ns() - start;
        if (verdict == VG_VERDICT_RETRY)
            return true;
    }
    return false;
}
