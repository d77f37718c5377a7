/* The shield: what our own system calls raise never reaches the program, what is the program's
 * does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/resource.h>

#include "base/signal_block.h"
#include "core_fixture.h"

static volatile sig_atomic_t caught;

static void note(int signal_number)
{
    caught = signal_number;
}

static void write_to_closed_pipe(void)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    close(ends[0]);
    CHECK(write(ends[1], "x", 1) == -1);
    close(ends[1]);
}

static void closed_pipe_child(void *argument)
{
    struct vg_signal_block shield;
    sigset_t before, after;
    (void)argument;
    signal(SIGPIPE, SIG_DFL);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    errno = 4711;
    CHECK(vg_signal_block_begin(&shield));
    write_to_closed_pipe();
    vg_signal_block_end(&shield);
    CHECK(errno == 4711);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int i = 1; i < 32; i++)
        CHECK(sigismember(&before, i) == sigismember(&after, i));
    sigpending(&after);
    CHECK(!sigismember(&after, SIGPIPE));
}

static void hides_our_own_sigpipe(void **state)
{
    (void)state;
    char text[64];
    assert_int_equal(run_child(closed_pipe_child, NULL, text, sizeof text), 0);
}

static void large_file_child(void *argument)
{
    const struct rlimit limit = { .rlim_cur = 10, .rlim_max = 10 };
    struct vg_signal_block shield;
    signal(SIGXFSZ, SIG_DFL);
    setrlimit(RLIMIT_FSIZE, &limit);
    CHECK(vg_signal_block_begin(&shield));
    const int fd = open(argument, O_RDWR | O_CREAT, 0600);
    CHECK(ftruncate(fd, 100) == -1 && errno == EFBIG);
    CHECK(vg_signal_block_fallocate(fd, 0, 4096) == -EFBIG);
    vg_signal_block_end(&shield);
}

static void hides_our_own_sigxfsz(void **state)
{
    (void)state;
    char text[64], path[128];
    snprintf(path, sizeof path, "%s/file", scratch);
    assert_int_equal(run_child(large_file_child, path, text, sizeof text), 0);
}

static void programs_own_child(void *argument)
{
    struct vg_signal_block shield;
    sigset_t pipe_only;
    (void)argument;
    signal(SIGPIPE, note);
    write_to_closed_pipe();
    CHECK(caught == SIGPIPE); /* without the shield as ever */
    caught = 0;
    sigemptyset(&pipe_only);
    sigaddset(&pipe_only, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_only, NULL);
    write_to_closed_pipe(); /* the program's own, pending */
    CHECK(vg_signal_block_begin(&shield));
    write_to_closed_pipe();
    vg_signal_block_end(&shield);
    CHECK(caught == 0); /* still blocked, as the program wants it */
    pthread_sigmask(SIG_UNBLOCK, &pipe_only, NULL);
    CHECK(caught == SIGPIPE); /* and not lost */
}

static void keeps_what_is_the_programs(void **state)
{
    (void)state;
    char text[64];
    assert_int_equal(run_child(programs_own_child, NULL, text, sizeof text), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hides_our_own_sigpipe),
        cmocka_unit_test_setup_teardown(hides_our_own_sigxfsz, make_scratch, remove_scratch),
        cmocka_unit_test(keeps_what_is_the_programs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
