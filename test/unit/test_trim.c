/* The parts of trim: the table of hooks, the helper's thread, the command's words and its run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>

#include "base/clock.h"
#include "core_fixture.h"
#include "oom/callback_thread.h"
#include "oom/trim_command.h"
#include "oom/trim_hooks.h"
#include "timing.h"

static char why[96], text[4096];

static uint64_t in_ms(unsigned ms)
{
    return vg_clock_monotonic_ns() + ms * UINT64_C(1000000);
}

/* ---- words ---- */

static void check_words(const char *line, ...)
{
    struct vg_trim_words words;
    va_list wanted;
    size_t count = 0;
    if (vg_trim_command_split(line, &words, why, sizeof why) != 0)
        fail_msg("<%s>: %s", line, why);
    va_start(wanted, line);
    for (const char *word; (word = va_arg(wanted, const char *)); count++) {
        assert_non_null(words.word[count]);
        assert_string_equal(words.word[count], word);
    }
    va_end(wanted);
    assert_null(words.word[count]);
}

#define NO_MORE (const char *)NULL

static void words_are_split(void **state)
{
    (void)state;
    check_words("a", "a", NO_MORE);
    check_words("  a\tbc \n d ", "a", "bc", "d", NO_MORE);
    check_words("a 'b c' \"d e\"", "a", "b c", "d e", NO_MORE);
    check_words("a'b c'd\"e f\"g", "ab cde fg", NO_MORE);
    check_words("a '' \"\"", "a", "", "", NO_MORE);
    check_words("a\\ b \\' \\\\", "a b", "'", "\\", NO_MORE);
    check_words("'a\\' \"\\\"\\\\\" \"'\" '\"'", "a\\", "\"\\", "'", "\"", NO_MORE);
    check_words("a $HOME * | > `b` ; #", "a", "$HOME", "*", "|", ">", "`b`", ";", "#", NO_MORE);
}

static void what_is_no_command_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = { "", " ", "'", "a 'b", "a \"b", "a \\", "\"a\\\"" };
    struct vg_trim_words words;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (vg_trim_command_split(wrong[i], &words, why, sizeof why) != -EINVAL)
            fail_msg("<%s> was accepted", wrong[i]);
    char longest[VG_TRIM_COMMAND_CAP + 1], many[2 * VG_TRIM_WORDS_MAX + 3] = "";
    memset(longest, 'a', sizeof longest);
    longest[VG_TRIM_COMMAND_CAP - 1] = '\0';
    assert_int_equal(vg_trim_command_split(longest, &words, why, sizeof why), 0);
    longest[VG_TRIM_COMMAND_CAP - 1] = 'a';
    longest[VG_TRIM_COMMAND_CAP] = '\0';
    assert_int_equal(vg_trim_command_split(longest, &words, why, sizeof why), -EINVAL);
    for (int i = 0; i < VG_TRIM_WORDS_MAX; i++)
        strcat(many, "a ");
    assert_int_equal(vg_trim_command_split(many, &words, why, sizeof why), 0);
    strcat(many, "a");
    assert_int_equal(vg_trim_command_split(many, &words, why, sizeof why), -EINVAL);
}

static void any_text_is_survived(void **state)
{
    (void)state;
    static const char letters[] = "ab '\"\\\t ";
    struct {
        struct vg_trim_words words;
        char behind;
    } out = { .behind = '#' };
    srand(9);
    for (int i = 0; i < 300000; i++) {
        char line[24] = "";
        for (int k = rand() % 20, at = 0; k > 0; k--)
            line[at++] = letters[rand() % 8];
        const int error = vg_trim_command_split(line, &out.words, why, sizeof why);
        assert_true(error == 0 || error == -EINVAL);
        assert_int_equal(out.behind, '#');
    }
}

/* ---- the command ---- */

static struct vg_trim_command_result run_line(const char *line, uint64_t timeout_ms)
{
    static struct vg_trim_words words;
    const struct vg_trim_facts facts = { .device = 3, .uuid = "GPU-x", .free_bytes = UINT64_MAX };
    struct vg_trim_command_result result;
    sigset_t all, before;
    assert_int_equal(vg_trim_command_split(line, &words, why, sizeof why), 0);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    vg_trim_command_run(&words, &facts, timeout_ms, &result);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

static UNUSED void commands_run(void **state)
{
    (void)state;
    struct vg_trim_command_result result = run_line("true", 5000);
    assert_int_equal(result.error, 0);
    assert_int_equal(result.status, 0);
    assert_false(result.timed_out);
    result = run_line("sh -c 'exit 7'", 5000);
    assert_int_equal(WEXITSTATUS(result.status), 7);
    result = run_line(
        "sh -c 'test $VRAMGUARD_TRIM_DEVICE$VRAMGUARD_TRIM_UUID = 3GPU-x && "
        "test -z \"$VRAMGUARD_TRIM_FREE_BYTES\" && exit 5'",
        5000);
    assert_int_equal(WEXITSTATUS(result.status), 5);
    result = run_line("/nowhere/command", 5000);
    assert_int_equal(result.error, -ENOENT);
    const uint64_t start = vg_clock_monotonic_ns();
    result = run_line("sleep 20", 100);
    assert_true(result.timed_out);
    assert_took_between(vg_clock_monotonic_ns() - start, 100000000, 5000000000);
    assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1);
    assert_int_equal(errno, ECHILD);
}

static void ignored_signal_of_children(void *argument)
{
    (void)argument;
    signal(SIGCHLD, SIG_IGN);
    CHECK(WEXITSTATUS(run_line("sh -c 'exit 7'", 5000).status) == 7);
}

static UNUSED void commands_run_where_children_are_ignored(void **state)
{
    (void)state;
    assert_int_equal(run_child(ignored_signal_of_children, NULL, text, sizeof text), 0);
}

/* ---- hooks ---- */

static uint64_t some_hook(int device, uint64_t wanted, uint64_t freed, void *argument)
{
    (void)device, (void)wanted, (void)freed, (void)argument;
    return 0;
}

static char arguments[VG_TRIM_HOOKS_MAX];

static void hooks_come_in_their_order(void **state)
{
    (void)state;
    static const int priorities[] = { 0, 5, -5, 5, 0, 2147483647, -2147483647 - 1 };
    static const int order[] = { 5, 1, 3, 0, 4, 2, 6 };
    struct vg_trim_cursor cursor = { .sequence = 0 };
    struct vg_trim_hook hook;
    char name[8];
    assert_false(vg_trim_hooks_exist());
    for (int i = 0; i < 7; i++) {
        snprintf(name, sizeof name, "h%d\n", i);
        assert_int_equal(vg_trim_hooks_add(name, priorities[i], some_hook, &arguments[i]), 0);
    }
    assert_true(vg_trim_hooks_exist());
    for (int i = 0; i < 7; i++) {
        assert_true(vg_trim_hooks_enter(&cursor, in_ms(1000), &hook));
        assert_ptr_equal(hook.argument, &arguments[order[i]]);
        snprintf(name, sizeof name, "h%d?", order[i]);
        assert_string_equal(hook.name, name);
        vg_trim_hooks_leave(&hook);
    }
    assert_false(vg_trim_hooks_enter(&cursor, in_ms(1000), &hook));
    for (int i = 0; i < 7; i++)
        assert_int_equal(vg_trim_hooks_remove(some_hook, &arguments[i]), 0);
    assert_false(vg_trim_hooks_exist());
}

static void a_running_hook_is_waited_for_until_its_time_is_over(void **state)
{
    (void)state;
    struct vg_trim_cursor cursor = { .sequence = 0 };
    struct vg_trim_hook hook;
    assert_int_equal(vg_trim_hooks_add("a", 0, some_hook, NULL), 0);
    assert_true(vg_trim_hooks_enter(&cursor, in_ms(150), &hook));
    const uint64_t start = vg_clock_monotonic_ns();
    assert_int_equal(vg_trim_hooks_remove(some_hook, NULL), -EBUSY);
    assert_took_between(vg_clock_monotonic_ns() - start, 100000000, 3000000000);
    assert_false(vg_trim_hooks_exist()); /* it is not called again */
    vg_trim_hooks_leave(&hook);
    assert_int_equal(vg_trim_hooks_remove(some_hook, NULL), 0);
    assert_int_equal(vg_trim_hooks_remove(some_hook, NULL), -ENOENT);
}

static void busy_child(void *argument)
{
    struct vg_trim_hook *const hook = argument;
    CHECK(vg_trim_hooks_remove(some_hook, NULL) == 0); /* runs in the parent only */
    (void)hook;
}

static void a_child_does_not_wait_for_its_parents_calls(void **state)
{
    (void)state;
    struct vg_trim_cursor cursor = { .sequence = 0 };
    struct vg_trim_hook hook;
    assert_int_equal(vg_trim_hooks_add("a", 0, some_hook, NULL), 0);
    assert_true(vg_trim_hooks_enter(&cursor, in_ms(60000), &hook));
    assert_int_equal(run_child(busy_child, &hook, text, sizeof text), 0);
    vg_trim_hooks_leave(&hook);
    assert_int_equal(vg_trim_hooks_remove(some_hook, NULL), 0);
}

enum { CHANGERS = 3, ROUNDS = 2000 };

static _Atomic int changes_over;

struct changer {
    _Atomic int removed;
    bool wrong;
};

/* Counts the calls that come after its removal. */
static uint64_t watched_hook(int device, uint64_t wanted, uint64_t freed, void *argument)
{
    struct changer *const changer = argument;
    (void)device, (void)wanted, (void)freed;
    if (changer->removed)
        changer->wrong = true;
    return 0;
}

static void *change(void *argument)
{
    struct changer *const changer = argument;
    for (int i = 0; i < ROUNDS; i++) {
        changer->removed = 0;
        if (vg_trim_hooks_add("a", i % 5, watched_hook, changer) != 0)
            changer->wrong = true;
        sched_yield();
        if (vg_trim_hooks_remove(watched_hook, changer) != 0)
            changer->wrong = true;
        changer->removed = 1;
    }
    changes_over++;
    return NULL;
}

static void no_hook_is_called_after_its_removal(void **state)
{
    (void)state;
    static struct changer changers[CHANGERS];
    pthread_t threads[CHANGERS];
    unsigned calls = 0;
    for (int i = 0; i < CHANGERS; i++)
        pthread_create(&threads[i], NULL, change, &changers[i]);
    while (changes_over < CHANGERS) {
        struct vg_trim_cursor cursor = { .sequence = 0 };
        struct vg_trim_hook hook;
        while (vg_trim_hooks_enter(&cursor, in_ms(10000), &hook)) {
            hook.function(0, 0, 0, hook.argument);
            vg_trim_hooks_leave(&hook);
            calls++;
        }
    }
    for (int i = 0; i < CHANGERS; i++) {
        pthread_join(threads[i], NULL);
        assert_false(changers[i].wrong);
    }
    assert_true(calls > 0);
    assert_false(vg_trim_hooks_exist());
}

/* ---- the helper ---- */

static _Atomic int runs, dones, ticks;
static _Atomic bool stay;

static void count_run(void *argument)
{
    assert_ptr_equal(argument, &runs);
    if (vg_callback_thread_is_current())
        runs++;
    while (stay)
        usleep(1000);
}

static void leave_thread(void *argument)
{
    (void)argument;
    runs++;
    pthread_exit(NULL);
}

static void count_done(void *argument)
{
    (void)argument;
    dones++;
}

static void count_tick(void *argument)
{
    (void)argument;
    ticks++;
}

static void the_helper_runs_what_it_is_given(void **state)
{
    (void)state;
    const struct vg_callback_thread_task task = { .run = count_run,
                                                  .done = count_done,
                                                  .argument = &runs };
    const struct vg_callback_thread_task leaving = { .run = leave_thread, .done = count_done };
    runs = dones = ticks = 0;
    assert_false(vg_callback_thread_is_current());
    for (int i = 1; i <= 50; i++) {
        assert_int_equal(vg_callback_thread_claim(in_ms(5000)), 0);
        assert_int_equal(vg_callback_thread_run(&task, in_ms(5000), count_tick, NULL),
                         VG_CALLBACK_RETURNED);
        assert_int_equal(runs, i);
        assert_int_equal(dones, i);
        vg_callback_thread_release();
    }
    assert_int_equal(vg_callback_thread_claim(in_ms(5000)), 0);
    assert_int_equal(vg_callback_thread_run(&leaving, in_ms(5000), count_tick, NULL),
                     VG_CALLBACK_EXITED);
    assert_int_equal(dones, 51);
    assert_int_equal(vg_callback_thread_claim(in_ms(50)), -EBUSY); /* still claimed */
    vg_callback_thread_release();
    assert_true(ticks > 0);
}

static void claiming_child(void *argument)
{
    (void)argument;
    stay = false;
    const struct vg_callback_thread_task task = { .run = count_run,
                                                  .done = count_done,
                                                  .argument = &runs };
    CHECK(vg_callback_thread_claim(in_ms(50)) == 0);
    CHECK(vg_callback_thread_run(&task, in_ms(5000), count_tick, NULL) == VG_CALLBACK_RETURNED);
    vg_callback_thread_release();
}

static void what_does_not_end_is_abandoned(void **state)
{
    (void)state;
    const struct vg_callback_thread_task task = { .run = count_run,
                                                  .done = count_done,
                                                  .argument = &runs };
    stay = true;
    dones = 0;
    assert_int_equal(vg_callback_thread_claim(in_ms(5000)), 0);
    assert_int_equal(vg_callback_thread_run(&task, in_ms(100), count_tick, NULL),
                     VG_CALLBACK_TIMED_OUT);
    const uint64_t start = vg_clock_monotonic_ns();
    assert_int_equal(vg_callback_thread_claim(in_ms(5000)), -EBUSY);
    assert_took_between(vg_clock_monotonic_ns() - start, 0, 1000000000); /* at once */
    vg_callback_thread_await_end(in_ms(20));                             /* in vain */
    assert_int_equal(vg_callback_thread_claim(in_ms(5000)), -EBUSY);
#ifndef __SANITIZE_THREAD__ /* which has no threads in children of threaded programs */
    assert_int_equal(run_child(claiming_child, NULL, text, sizeof text), 0);
#else
    (void)claiming_child;
#endif
    stay = false;
    vg_callback_thread_await_end(in_ms(5000));
    assert_int_equal(vg_callback_thread_claim(in_ms(5000)), 0);
    vg_callback_thread_release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_split),
        cmocka_unit_test(what_is_no_command_is_refused),
        cmocka_unit_test(any_text_is_survived),
#ifndef __SANITIZE_THREAD__ /* which takes a process that shares our memory for this thread */
        cmocka_unit_test(commands_run),
        cmocka_unit_test(commands_run_where_children_are_ignored),
#endif
        cmocka_unit_test(hooks_come_in_their_order),
        cmocka_unit_test(a_running_hook_is_waited_for_until_its_time_is_over),
        cmocka_unit_test(a_child_does_not_wait_for_its_parents_calls),
        cmocka_unit_test(no_hook_is_called_after_its_removal),
        cmocka_unit_test(the_helper_runs_what_it_is_given),
        cmocka_unit_test(what_does_not_end_is_abandoned),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
