/* Threads of ours: with a stack as asked for, without the program's signals, joined by nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>

#include "os/process.h"
#include "os/thread.h"

static struct {
    sem_t done;
    size_t stack_bytes;
    sigset_t blocked;
    int detach_state;
    pid_t id;
} seen;

static void *look(void *argument)
{
    pthread_attr_t attributes;
    void *stack;
    pthread_getattr_np(pthread_self(), &attributes);
    pthread_attr_getstack(&attributes, &stack, &seen.stack_bytes);
    pthread_attr_getdetachstate(&attributes, &seen.detach_state);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, NULL, &seen.blocked);
    seen.id = vg_thread_id();
    sem_post(argument);
    return NULL;
}

static void a_thread_is_as_asked_for(void **state)
{
    (void)state;
    enum { STACK_BYTES = 192 * 1024 };
    static const int faults[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS };
    sigset_t blocked, before, after;
    sem_init(&seen.done, 0, 0);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    sigaddset(&blocked, SIGBUS); /* its own faults it does not block, whatever the caller does */
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(vg_thread_start(look, &seen.done, STACK_BYTES), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    while (sem_wait(&seen.done) != 0)
        ;
    assert_true(seen.stack_bytes <= STACK_BYTES + 16384 && seen.stack_bytes >= STACK_BYTES / 2);
    assert_int_equal(seen.detach_state, PTHREAD_CREATE_DETACHED);
    for (int i = 1; i < 32; i++) {
        bool of_fault = false;
        for (size_t k = 0; k < sizeof faults / sizeof faults[0]; k++)
            of_fault = of_fault || i == faults[k];
        assert_int_equal(sigismember(&seen.blocked, i), !of_fault && i != SIGKILL && i != SIGSTOP);
    }
    for (int i = 1; i < 32; i++)
        assert_int_equal(sigismember(&before, i), sigismember(&after, i));
    assert_int_not_equal(seen.id, vg_thread_id());
    assert_int_equal(vg_process_owner_pid(vg_process_owner_self()), vg_thread_id());
}

static void a_thread_that_cannot_be_is_an_error(void **state)
{
    (void)state;
    assert_int_equal(vg_thread_start(look, NULL, (size_t)1 << 60), -EAGAIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_is_as_asked_for),
        cmocka_unit_test(a_thread_that_cannot_be_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
