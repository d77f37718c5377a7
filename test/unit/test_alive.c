/* Who lives in another pid namespace: told by a lock, and by nothing that is left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "registry_fixture.h"
#include "shared/alive.h"
#include "shared/shared_file.h"

/* What a process of the other namespace does when it has told that it lives. */
static void do_nothing(void)
{
}

static void leave_a_child(void)
{
    if (fork() == 0)
        for (;;)
            pause();
}

/* A process of another pid namespace, which lives until `tell` is closed. */
struct stranger {
    pid_t init; /* of the namespace */
    uint64_t owner;
    int tell;
};

static void be_stranger(const int to_stranger[2], int answer, void (*then)(void))
{
    char byte;
    const pid_t pid = fork();
    if (pid == 0) {
        close(to_stranger[1]); /* or its end would never be seen */
        const uint64_t owner = vg_alive_tell() == 0 ? vg_process_owner_self() : 0;
        then();
        if (write(answer, &owner, sizeof owner) != sizeof owner)
            _exit(1);
        for (;;)
            pause();
    }
    close(to_stranger[1]);
    while (read(to_stranger[0], &byte, 1) > 0)
        ;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    close(answer);
    for (;;)
        pause(); /* its end is that of all others in the namespace */
}

/* Returns false where namespaces are not to be had. */
static bool start_stranger(void (*then)(void), struct stranger *out)
{
    int to_stranger[2], answer[2];
    assert_int_equal(pipe2(to_stranger, O_CLOEXEC), 0);
    assert_int_equal(pipe2(answer, O_CLOEXEC), 0);
    out->init = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, 0UL);
    if (out->init == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* it outlives no test that failed */
        be_stranger(to_stranger, answer[1], then);
    }
    close(to_stranger[0]);
    close(answer[1]);
    out->tell = to_stranger[1];
    if (out->init < 0)
        return false;
    assert_int_equal(read(answer[0], &out->owner, sizeof out->owner), sizeof out->owner);
    close(answer[0]);
    return true;
}

/* Ends the one that told; its namespace stays. */
static void end_stranger(struct stranger *stranger)
{
    close(stranger->tell);
    for (int i = 0; i < 20000 && vg_alive(stranger->owner); i++)
        usleep(1000);
    assert_false(vg_alive(stranger->owner));
}

static void end_namespace(const struct stranger *stranger)
{
    kill(stranger->init, SIGKILL);
    assert_int_equal(waitpid(stranger->init, NULL, 0), stranger->init);
}

static void a_process_elsewhere_lives_to_its_end(void **state)
{
    (void)state;
    void (*const ways[])(void) = { do_nothing, leave_a_child };
    for (size_t i = 0; i < 2; i++) {
        struct stranger stranger;
        assert_int_equal(vg_alive_tell(), 0);
        if (!start_stranger(ways[i], &stranger))
            return;
        assert_true(vg_process_owner_is_elsewhere(stranger.owner));
        assert_int_equal(vg_process_owner_pid(stranger.owner), VG_PROCESS_ELSEWHERE);
        errno = 77;
        assert_int_equal(vg_process_owner_activity(stranger.owner), VG_PROCESS_RUNS);
        assert_int_equal(vg_alive_activity(stranger.owner), VG_PROCESS_RUNS);
        assert_int_equal(vg_alive_thread_activity(stranger.owner, 1, 2), VG_PROCESS_RUNS);
        assert_int_equal(vg_alive_activity(stranger.owner + 1), VG_PROCESS_GONE);
        end_stranger(&stranger); /* a child that it leaves behind does not live for it */
        assert_int_equal(vg_alive_thread_activity(stranger.owner, 1, 2), VG_PROCESS_GONE);
        assert_int_equal(errno, 77);
        end_namespace(&stranger);
    }
}

static void those_here_are_asked_for_as_ever(void **state)
{
    (void)state;
    const uint64_t self = vg_process_owner_self();
    assert_false(vg_process_owner_is_elsewhere(self));
    assert_int_equal(vg_process_owner_pid(self), getpid());
    assert_int_equal(vg_alive_activity(self), VG_PROCESS_RUNS);
    assert_int_equal(vg_alive_activity(self + 1), VG_PROCESS_GONE);
}

static void a_file_that_was_replaced_takes_nobody_for_gone(void **state)
{
    (void)state;
    struct stranger stranger;
    assert_int_equal(vg_alive_tell(), 0);
    assert_false(vg_alive_is_lost());
    if (!start_stranger(do_nothing, &stranger))
        return;
    assert_int_equal(unlink(in_scratch("registry/alive.1")), 0);
    assert_int_equal(vg_alive_activity(stranger.owner), VG_PROCESS_RUNS);
    assert_true(vg_alive_is_lost());
    FILE *const other = fopen(in_scratch("registry/alive.1"), "w");
    assert_non_null(other);
    fclose(other);
    assert_int_equal(vg_alive_activity(stranger.owner), VG_PROCESS_RUNS);
    assert_true(vg_alive_is_lost());
    assert_int_equal(vg_alive_tell(), 0);
    assert_false(vg_alive_is_lost());
    end_namespace(&stranger);
    close(stranger.tell);
}

static void a_link_in_its_place_is_refused(void **state)
{
    (void)state;
    const int directory = vg_shared_directory(); /* makes it */
    assert_true(directory >= 0);
    close(directory);
    assert_int_equal(symlink(in_scratch("elsewhere"), in_scratch("registry/alive.1")), 0);
    assert_int_equal(vg_alive_tell(), -ELOOP);
    assert_int_equal(access(in_scratch("elsewhere"), F_OK), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_registry_folder, remove_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_process_elsewhere_lives_to_its_end),
        TEST(those_here_are_asked_for_as_ever),
        TEST(a_file_that_was_replaced_takes_nobody_for_gone),
        TEST(a_link_in_its_place_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
