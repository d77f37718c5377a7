/* What is tried before an allocation fails: a table of actions, run in the order the user chose. */
#ifndef VRAMGUARD_OOM_POLICY_H
#define VRAMGUARD_OOM_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analyze/collect.h"
#include "base/option.h"
#include "oom/oom_classify.h"
#include "oom/request.h"
#include "wait/queue_wait.h"

enum {
    VG_POLICY_STEPS_MAX = VG_FAILURE_ACTIONS - 2, /* the guard notes up to two things of its own */
    VG_POLICY_TEXT_CAP = 128,                     /* of a line about a rescue */
};

struct vg_action;

/* VRAMGUARD_POLICY, parsed. */
struct vg_policy {
    struct vg_policy_step {
        const struct vg_action *action;
        uint64_t parameter; /* what stood behind '=', or the action's default */
        bool is_explicit;   /* something stood behind '=' */
    } steps[VG_POLICY_STEPS_MAX];
    size_t count;
};

/* One failing call on its way through the policy; its caller keeps it until the call is over. */
struct vg_rescue {
    const struct vg_policy *policy;
    const struct vg_options *options;
    struct vg_failure *failure;  /* what was tried is noted in its `actions` */
    struct vg_request *request;  /* what the call allocates and where to; NULL when an allocation of
                                    ours cannot take its place */
    size_t step;                 /* index of the running step, or of the next one */
    bool running;                /* a step is running: it asked for the call to be made once more */
    bool logged;                 /* its line has been printed */
    uint64_t parameter;          /* of the running step */
    bool is_explicit;            /* likewise */
    uint64_t start_ns;           /* CLOCK_MONOTONIC at its start */
    struct vg_held_ticket *turn; /* the call's place in line, when it was held back; may be NULL */
    uint64_t memory[56];         /* the running action's own, zeroed at its start */
    struct vg_oom_state *history; /* of the process */
};

/* What an action says when it is done. */
enum vg_verdict {
    VG_VERDICT_PASS,   /* nothing gained: go on with the next action */
    VG_VERDICT_RETRY,  /* memory may have come free: make the call again, then go on */
    VG_VERDICT_REPEAT, /* make the call again; should it still lack memory, run this action again */
    VG_VERDICT_PLACED, /* the memory was found elsewhere and the request is answered: a success */
};

/* One action. A new one is a file in src/oom that defines a `const struct vg_action` and a line
 * in action_table.h; options, help and parsing follow from that. */
struct vg_action {
    const char *name;
    const char *help;
    /* Reads what stands behind "name=" into `*out`; NULL: nothing may stand there. `text` is ""
     * when there was no '='. Returns 0 or -EINVAL with the reason in `why`. */
    int (*parse)(const char *text, uint64_t *out, char *why, size_t why_cap);
    /* Tries to make `rescue->failure` succeed; may note bytes recovered and an outcome in
     * `attempt`. Runs without any lock of ours, the caller may hold its own: never waits without
     * bound. Called again after VG_VERDICT_REPEAT, until it says something else or the call ends
     * otherwise. */
    enum vg_verdict (*run)(struct vg_rescue *rescue, struct vg_oom_action *attempt);
    /* The call that VG_VERDICT_REPEAT asked for did not lack memory: it succeeded, or failed in
     * another way. May be NULL. */
    void (*end)(struct vg_rescue *rescue, struct vg_oom_action *attempt, bool succeeded);
    /* The thread has left `run`, or the call that VG_VERDICT_REPEAT asked for, by a jump: takes
     * back what the action counts as. Its place in line is given up already. May be NULL. */
    void (*abandon)(struct vg_rescue *rescue);
};

/* Parses "trim,wait=30s,..." or "off" into `out`. Returns 0, or -EINVAL with the reason in `why`.
 */
int vg_policy_parse(const char *text, struct vg_policy *out, char *why, size_t why_cap);

/* How long the policy waits for other processes, in milliseconds; 0: it does not. */
uint64_t vg_policy_wait_ms(const struct vg_policy *policy);

/* Is "trim" one of its actions? */
bool vg_policy_has_trim(const struct vg_policy *policy);

/* Makes the option parser check the options that this layer understands. Before options are read.
 */
void vg_policy_check_options(void);

/* All actions, `*out_count` of them. */
const struct vg_action *const *vg_policy_actions(size_t *out_count);

/* After a call lacked memory: runs the actions from the present step on until one says something
 * else than VG_VERDICT_PASS, which it returns; notes them in the failure. VG_VERDICT_PASS: all have
 * been run. Any thread, no locks. */
enum vg_verdict vg_policy_next(struct vg_rescue *rescue);

/* The call made after vg_policy_next did not lack memory. */
void vg_policy_end(struct vg_rescue *rescue, bool succeeded);

/* The thread has left the call otherwise than by its end. */
void vg_policy_abandon(struct vg_rescue *rescue);

/* To be called by actions that take their time, now and then: prints what it is doing, once, when
 * the running step has taken longer than a second. `format`: the line without "GPU 0: ". */
void vg_policy_log(struct vg_rescue *rescue, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The closing line of a step that has printed its first one, or that has taken longer than a second
 * and had no chance to. */
void vg_policy_log_end(struct vg_rescue *rescue, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
