/* For unit tests that run in a child process each: what it attempt, ways to fork, threads that
 * start together. */
#ifndef VRAMGUARD_TEST_CHILD_H
#define VRAMGUARD_TEST_CHILD_H

#include <pthread.h>
#include <sys/syscall.h>

#include "core_fixture.h"

static UNUSED char attempt[65536]; /* what the last child wrote to stderr */

/* Fails the test unless `run(argument)` returns in the child, or ends it with code 0. */
static UNUSED void in_child_with(void (*run)(void *argument), void *argument)
{
    const int status = run_child(run, argument, attempt, sizeof attempt);
    if (status != 0)
        fputs(attempt, stderr); /* may be longer than what fail_msg prints */
    assert_int_equal(status, 0);
}

static UNUSED void in_child(void (*run)(void *argument))
{
    in_child_with(run, NULL);
}

/* How often `needle` is in what was attempt. */
static UNUSED int count_text(const char *needle)
{
    int count = 0;
    for (const char *at = attempt; (at = strstr(at, needle)); at++)
        count++;
    return count;
}

static UNUSED pid_t fork_by_call(void)
{
    return fork();
}

/* As a language runtime may do it, past the C library's handlers. Every architecture has clone,
 * and with these arguments it is fork (clone(2)). */
static UNUSED pid_t fork_by_system_call(void)
{
    return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static UNUSED pthread_barrier_t start_line; /* for the threads of run_threads to wait at */

/* Runs `count` threads, with the numbers from 1 on as arguments, and waits for their end. */
static UNUSED void run_threads(unsigned count, void *(*run)(void *number))
{
    pthread_t threads[16];
    CHECK(count <= sizeof threads / sizeof threads[0]);
    pthread_barrier_init(&start_line, NULL, count);
    for (uintptr_t i = 0; i < count; i++)
        CHECK(pthread_create(&threads[i], NULL, run, (void *)(i + 1)) == 0);
    for (unsigned i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
}

#endif
