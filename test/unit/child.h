/* For unit tests that run in a child process each: what it told, and ways to fork. */
#ifndef VRAMGUARD_TEST_CHILD_H
#define VRAMGUARD_TEST_CHILD_H

#include <sys/syscall.h>

#include "core_fixture.h"

static UNUSED char told[65536]; /* what the last child wrote to stderr */

/* Fails the test unless `run` returns in the child, or ends it with code 0. */
static UNUSED void in_child(void (*run)(void *argument))
{
    const int status = run_child(run, NULL, told, sizeof told);
    if (status != 0)
        fputs(told, stderr); /* may be longer than what fail_msg prints */
    assert_int_equal(status, 0);
}

/* How often `needle` is in what was told. */
static UNUSED int count_text(const char *needle)
{
    int count = 0;
    for (const char *at = told; (at = strstr(at, needle)); at++)
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

#endif
