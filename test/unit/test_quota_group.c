/* Which processes share one account: the group of the topmost that has the setting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>

#include "core_fixture.h"
#include "os/process.h"
#include "shared/shared_quota.h"

/* "group LIMIT": prints the pid of the leader of this process's group. */
static int print_leader(const char *limit)
{
    printf("%d\n", (int)vg_process_owner_pid(vg_quota_group(limit)));
    return 0;
}

/* Does the shell that runs `script`, in which $0 is this program, lead the group of what it runs?
 */
static bool shell_leads(const char *script, char *const environment[])
{
    int answer[2], status;
    char text[64] = "", self[64];
    assert_int_equal(pipe2(answer, O_CLOEXEC), 0);
    snprintf(self, sizeof self, "/proc/%d/exe", (int)getpid());
    const pid_t pid = fork();
    if (pid == 0) {
        dup2(answer[1], STDOUT_FILENO);
        execle("/bin/sh", "sh", "-c", script, self, (char *)NULL, environment);
        _exit(1);
    }
    close(answer[1]);
    FILE *const reader = fdopen(answer[0], "r");
    assert_non_null(fgets(text, sizeof text, reader));
    fclose(reader);
    waitpid(pid, &status, 0);
    const long leader = strtol(text, NULL, 10);
    assert_true(leader > 0 && leader != (long)getpid());
    return leader == (long)pid;
}

static void the_topmost_process_under_the_limit_leads(void **state)
{
    (void)state;
    char *const under[] = { "VRAMGUARD_LIMIT=1GiB", "VRAMGUARD_LIMIT_SCOPE=shared",
                            "PATH=/usr/bin:/bin", NULL };
    char *const unshared[] = { "VRAMGUARD_LIMIT=1GiB", "PATH=/usr/bin:/bin", NULL };
    char *const another[] = { "VRAMGUARD_LIMIT=2GiB", "VRAMGUARD_LIMIT_SCOPE=shared",
                              "XVRAMGUARD_LIMIT=1GiB", "PATH=/usr/bin:/bin", NULL };
    const char *const child = "\"$0\" group 1GiB; :";
    assert_true(shell_leads(child, under));
    assert_true(shell_leads("sh -c '\"$0\" group 1GiB; :' \"$0\"; :", under));
    /* A process between them without the setting does not divide them. */
    assert_true(shell_leads("env -i sh -c '\"$0\" group 1GiB; :' \"$0\"; :", under));
    assert_false(shell_leads(child, unshared));
    assert_false(shell_leads(child, another));
    assert_true(shell_leads("\"$0\" group 2GiB; :", another));
}

static void reach_child(void *argument)
{
    const int flags = *(const int *)argument;
    vg_quota_group("1GiB");
    CHECK(vg_quota_group_reach() == VG_QUOTA_WHOLE);
    CHECK(unshare(flags) == 0);
    const pid_t pid = fork();
    if (pid == 0)
        _exit((int)vg_quota_group_reach());
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WEXITSTATUS(status) ==
          (flags == CLONE_NEWPID ? VG_QUOTA_PID_NAMESPACE : VG_QUOTA_IPC_NAMESPACE));
    /* LeakSanitizer would fork once more at exit, and the new namespace has seen its first process
     * end. */
    _exit(0);
}

static void what_is_in_another_namespace_is_not_reached(void **state)
{
    (void)state;
    static int flags[] = { CLONE_NEWPID, CLONE_NEWIPC };
    char text[1024];
    for (size_t i = 0; i < 2; i++) {
        const pid_t pid = fork();
        int status;
        if (pid == 0)
            _exit(unshare(flags[i]) == 0 ? 0 : 77);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (status == 0) /* else it is not allowed here */
            assert_int_equal(run_child(reach_child, &flags[i], text, sizeof text), 0);
    }
}

static void fork_child(void *argument)
{
    (void)argument;
    const uint64_t group = vg_quota_group("1GiB");
    CHECK(vg_process_owner_pid(group) == getpid());
    const pid_t pid = fork();
    if (pid == 0)
        _exit(vg_quota_group("1GiB") == group ? 0 : 1);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void forked_child_keeps_the_group(void **state)
{
    (void)state;
    char text[1024];
    assert_int_equal(run_child(fork_child, NULL, text, sizeof text), 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_topmost_process_under_the_limit_leads),
        cmocka_unit_test(forked_child_keeps_the_group),
        cmocka_unit_test(what_is_in_another_namespace_is_not_reached),
    };
    if (argc == 3 && strcmp(argv[1], "group") == 0)
        return print_leader(argv[2]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
