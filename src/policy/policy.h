/* What is tried before an allocation fails: a table of actions, run in the order the user chose. */
#ifndef VRAMGUARD_POLICY_POLICY_H
#define VRAMGUARD_POLICY_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "report/collect.h"

enum { VG_POLICY_ACTIONS_MAX = 8 };

/* What an action says when it is done. */
enum vg_verdict {
    VG_VERDICT_PASS,  /* nothing gained: go on with the next action */
    VG_VERDICT_RETRY, /* memory may have come free: make the call again */
};

/* One action. A new one is a file in src/policy that defines a `const struct vg_action` and a line
 * in action_table.h; options, help and parsing follow from that. */
struct vg_action {
    const char *name;
    const char *help;
    /* Tries to free memory for `failure`; may note bytes recovered and an outcome in `told`. Runs
     * without any lock of ours, the caller may hold its own: never waits without bound. */
    enum vg_verdict (*run)(const struct vg_failure *failure, struct vg_snapshot_action *told);
};

struct vg_policy {
    const struct vg_action *actions[VG_POLICY_ACTIONS_MAX];
    size_t count;
};

/* Parses "trim,..." or "off" into `out`. Returns 0, or -EINVAL with the reason in `why`. */
int vg_policy_parse(const char *text, struct vg_policy *out, char *why, size_t why_cap);

/* vg_policy_parse as a check for the option parser (vg_option_set_actions_check). */
int vg_policy_check(const char *text, char *why, size_t why_cap);

/* All actions, `*out_count` of them. */
const struct vg_action *const *vg_policy_actions(size_t *out_count);

/* After a call returned out of memory: runs the actions from `*next` on until one asks for the call
 * to be made again, notes them in `failure`, and moves `*next` behind it. Returns whether to make
 * the call again; false when all actions have been run. */
bool vg_policy_next(const struct vg_policy *policy, size_t *next, struct vg_failure *failure);

#endif
