/* The list of policy actions: parsing and running it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/size.h"
#include "oom/action_spill.h"
#include "oom/oom_classify.h"
#include "oom/policy.h"

static char why[96];

static int parse(const char *text, struct vg_policy *out)
{
    strcpy(why, "untouched");
    return vg_policy_parse(text, out, why, sizeof why);
}

static void parses_lists(void **state)
{
    (void)state;
    struct vg_policy policy = { .count = 99 };
    assert_int_equal(parse("off", &policy), 0);
    assert_int_equal(policy.count, 0);
    assert_int_equal(parse("trim", &policy), 0);
    assert_int_equal(policy.count, 1);
    assert_string_equal(policy.steps[0].action->name, "trim");
    assert_int_equal(parse("trim,spill", &policy), 0);
    assert_string_equal(policy.steps[1].action->name, "spill");
    assert_int_equal(parse("spill=1", &policy), -EINVAL);
    assert_int_equal(parse("trim", &policy), 0);
    assert_int_equal(parse("trim,trim", &policy), 0);
    assert_int_equal(policy.count, 2);
    assert_int_equal(parse("wait", &policy), 0);
    assert_int_equal(vg_policy_wait_ms(&policy), 30000);
    assert_int_equal(parse("wait=1ms,trim,wait=24h", &policy), 0);
    assert_int_equal(vg_policy_wait_ms(&policy), 86400001);
    assert_true(policy.steps[0].is_explicit && !policy.steps[1].is_explicit);
}

static void refuses_the_rest(void **state)
{
    (void)state;
    const char *const wrong[] = { "",       "tri",      "trimm",    "Trim",           " trim",
                                  "trim ",  ",",        "trim,",    ",trim",          "trim,,trim",
                                  "off,",   "trim,off", "off,trim", "trim;trim",      "spil",
                                  "trim=",  "trim=1s",  "wait=",    "wait=0",         "wait=0.5ms",
                                  "wait=x", "wait=25h", "wait=-1s", "wait=86400001ms" };
    struct vg_policy policy = { .count = 99 };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (parse(wrong[i], &policy) != -EINVAL)
            fail_msg("\"%s\" was accepted", wrong[i]);
        assert_string_not_equal(why, "untouched");
        assert_int_equal(policy.count, 99);
    }
    parse("trim,spil", &policy);
    assert_non_null(strstr(why, "spil"));
    assert_non_null(strstr(why, "at 6"));
    parse("trim,\033[31m", &policy);
    assert_null(strchr(why, '\033'));
    char many[VG_POLICY_STEPS_MAX * 5 + 8] = "trim";
    for (int i = 1; i < VG_POLICY_STEPS_MAX; i++)
        strcat(many, ",trim");
    assert_int_equal(parse(many, &policy), 0);
    strcat(many, ",trim");
    assert_int_equal(parse(many, &policy), -EINVAL);
}

static void survives_any_text(void **state)
{
    (void)state;
    static const char *const pieces[] = { "trim", "off", ",", "tri", "m", " ", "\n", "\377", "%s" };
    srand(3);
    for (int i = 0; i < 200000; i++) {
        char text[128] = "";
        char reason[40];
        memset(reason, '#', sizeof reason);
        for (int k = rand() % 12; k > 0; k--)
            strcat(text, pieces[rand() % 9]);
        struct vg_policy policy = { .count = 99 };
        const int error = vg_policy_parse(text, &policy, reason, 20);
        assert_int_equal(reason[20], '#');
        assert_true(error == 0 || error == -EINVAL);
        if (error)
            assert_int_equal(policy.count, 99);
        else
            assert_in_range(policy.count, 0, VG_POLICY_STEPS_MAX);
        assert_int_equal(vg_policy_parse(text, &policy, reason, 20), error);
    }
}

static int runs, ends;

static enum vg_verdict pass(struct vg_rescue *rescue, struct vg_oom_action *attempt)
{
    (void)rescue, (void)attempt;
    runs++;
    return VG_VERDICT_PASS;
}

static enum vg_verdict retry(struct vg_rescue *rescue, struct vg_oom_action *attempt)
{
    attempt->recovered_bytes = 100 + rescue->failure->asked_bytes;
    runs++;
    return VG_VERDICT_RETRY;
}

static enum vg_verdict repeat(struct vg_rescue *rescue, struct vg_oom_action *attempt)
{
    (void)attempt;
    runs++;
    return rescue->memory[0]++ < 2 ? VG_VERDICT_REPEAT : VG_VERDICT_PASS;
}

static void end(struct vg_rescue *rescue, struct vg_oom_action *attempt, bool succeeded)
{
    (void)rescue;
    vg_outcome_add(
        attempt,
        (struct vg_outcome){ .code = succeeded ? VG_OUTCOME_GOT_IT : VG_OUTCOME_OTHER_ERROR },
        NULL);
    ends++;
}

static const struct vg_action passing = { .name = "passing", .run = pass },
                              retrying = { .name = "retrying", .run = retry },
                              repeating = { .name = "repeating", .run = repeat, .end = end };

static void runs_in_order_until_one_asks_again(void **state)
{
    (void)state;
    const struct vg_policy policy = {
        .steps = { { .action = &passing }, { .action = &retrying }, { .action = &passing } },
        .count = 3
    };
    struct vg_failure failure = { .asked_bytes = 5 };
    struct vg_rescue rescue = { .policy = &policy, .failure = &failure };
    runs = 0;
    assert_int_equal(vg_policy_next(&rescue), VG_VERDICT_RETRY);
    assert_int_equal(runs, 2);
    assert_int_equal(vg_policy_next(&rescue), VG_VERDICT_PASS);
    assert_int_equal(runs, 3);
    assert_int_equal(vg_policy_next(&rescue), VG_VERDICT_PASS);
    assert_int_equal(runs, 3);
    assert_int_equal(failure.action_count, 3);
    assert_string_equal(failure.actions[0].name, "passing");
    assert_string_equal(failure.actions[1].name, "retrying");
    assert_int_equal(failure.actions[1].recovered_bytes, 105);
}

static void an_action_may_repeat_itself(void **state)
{
    (void)state;
    const struct vg_policy policy = {
        .steps = { { .action = &repeating }, { .action = &repeating } }, .count = 2
    };
    struct vg_failure failure = { .asked_bytes = 5 };
    struct vg_rescue rescue = { .policy = &policy, .failure = &failure };
    runs = ends = 0;
    assert_int_equal(vg_policy_next(&rescue), VG_VERDICT_REPEAT);
    assert_int_equal(vg_policy_next(&rescue), VG_VERDICT_REPEAT);
    assert_int_equal(vg_policy_next(&rescue), VG_VERDICT_REPEAT); /* the second one's first */
    assert_int_equal(runs, 4);
    assert_int_equal(failure.action_count, 2);
    vg_policy_end(&rescue, true);
    assert_int_equal(ends, 1);
    assert_int_equal(failure.actions[1].outcomes[0].code, VG_OUTCOME_GOT_IT);
    vg_policy_end(&rescue, true);
    assert_int_equal(ends, 1);
}

static void every_action_has_name_and_help(void **state)
{
    (void)state;
    size_t count;
    const struct vg_action *const *const actions = vg_policy_actions(&count);
    assert_true(count >= 1 && count <= VG_POLICY_STEPS_MAX);
    for (size_t i = 0; i < count; i++) {
        struct vg_policy policy;
        assert_non_null(actions[i]->run);
        assert_true(strlen(actions[i]->help) > 0);
        assert_int_equal(parse(actions[i]->name, &policy), 0);
        assert_ptr_equal(policy.steps[0].action, actions[i]);
        assert_true(strlen(actions[i]->name) < sizeof((struct vg_oom_action *)0)->name);
    }
}

static void caps_of_spilling(void **state)
{
    (void)state;
    const uint64_t total = 16 * VG_GIB;
    const char *const right[] = { "1%", "25%", "100%", "5GiB", "512 MiB", "2T" };
    const char *const wrong[] = { "",    "1",    "%",   "0%",  "101%", "-1%", " 5%", "5 %",
                                  "5%%", "5.5%", "x5%", "5%x", "GiB",  "-1",  "1e3", "1GiB,2GiB" };
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        if (vg_spill_check_cap(right[i], why, sizeof why) != 0)
            fail_msg("\"%s\" was refused", right[i]);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        why[0] = '\0';
        if (vg_spill_check_cap(wrong[i], why, sizeof why) != -EINVAL)
            fail_msg("\"%s\" was accepted", wrong[i]);
        assert_string_not_equal(why, "");
    }
    assert_int_equal(vg_spill_cap_bytes("25%", total), total / 100 * 25);
    assert_int_equal(vg_spill_cap_bytes("5GiB", total), 5 * VG_GIB);
    assert_int_equal(vg_spill_cap_bytes("5GiB", VG_BYTES_UNKNOWN), 5 * VG_GIB);
    assert_int_equal(vg_spill_cap_bytes("25%", VG_BYTES_UNKNOWN), 0);
    assert_int_equal(vg_spill_reserve_bytes(16 * VG_GIB), VG_GIB);
    assert_int_equal(vg_spill_reserve_bytes(100 * VG_GIB), 5 * VG_GIB);
}

static enum vg_outcome_code why_not_to_wait(enum vg_refusal refused_by, bool limit_shared)
{
    const struct vg_oom_state history = { .returned_count = 0 };
    struct vg_last_failure last = { .function = 0 };
    struct vg_failure failure = { .refused_by = refused_by,
                                  .limit_shared = limit_shared,
                                  .asked_bytes = VG_MIB,
                                  .free_bytes = VG_GIB };
    /* However much is free: the policy is asked, since a limit is no riddle. */
    const enum vg_oom_decision course = vg_oom_classify(&failure, 1, &history, &last, 1);
    assert_int_equal(course,
                     refused_by == VG_REFUSED_BY_LIMIT ? VG_DECISION_POLICY : VG_DECISION_AGAIN);
    return failure.why_no_wait;
}

static void waiting_for_the_own_limit_is_futile(void **state)
{
    (void)state;
    assert_int_equal(why_not_to_wait(VG_REFUSED_BY_LIMIT, false), VG_OUTCOME_SKIPPED_LIMIT);
    assert_false(why_not_to_wait(VG_REFUSED_BY_LIMIT, true)); /* others may give back */
    assert_false(why_not_to_wait(VG_REFUSED_BY_DRIVER, false));
}

/* What is written to standard error meanwhile goes to a file. */
static int divert_stderr(FILE *to)
{
    const int kept = dup(2);
    dup2(fileno(to), 2);
    return kept;
}

static void read_diverted(FILE *from, int kept, char *out, size_t cap)
{
    dup2(kept, 2);
    close(kept);
    rewind(from);
    out[fread(out, 1, cap - 1, from)] = '\0';
    fclose(from);
}

/* A busy machine may let a step come to its end before it can say that it is under way. */
static void a_long_step_says_how_it_ended(void **state)
{
    (void)state;
    struct vg_failure failure = { .device = 3 };
    const uint64_t now_ns = vg_clock_monotonic_ns();
    /* It begins only when this test is long over. */
    struct vg_rescue quick = { .failure = &failure, .start_ns = now_ns + 1000000 * VG_MS_NS };
    struct vg_rescue slow = { .failure = &failure, .start_ns = now_ns - 1001 * VG_MS_NS };
    struct vg_rescue told = { .failure = &failure, .start_ns = quick.start_ns, .logged = true };
    char text[256];
    FILE *const file = tmpfile();
    const int kept = divert_stderr(file);
    vg_policy_log(&quick, "quick");
    vg_policy_log_end(&quick, "quick");
    vg_policy_log_end(&slow, "slow");
    vg_policy_log_end(&told, "told");
    vg_policy_log(&slow, "under way");
    vg_policy_log(&slow, "under way once more");
    read_diverted(file, kept, text, sizeof text);
    assert_string_equal(text,
                        "vramguard: GPU 3: slow\nvramguard: GPU 3: told\n"
                        "vramguard: GPU 3: under way\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parses_lists),
        cmocka_unit_test(refuses_the_rest),
        cmocka_unit_test(survives_any_text),
        cmocka_unit_test(runs_in_order_until_one_asks_again),
        cmocka_unit_test(an_action_may_repeat_itself),
        cmocka_unit_test(every_action_has_name_and_help),
        cmocka_unit_test(caps_of_spilling),
        cmocka_unit_test(waiting_for_the_own_limit_is_futile),
        cmocka_unit_test(a_long_step_says_how_it_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
