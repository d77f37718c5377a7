/* Checks that print what they found. A program of the suite runs its checks and ends with the value
 * of check_finish. Checks made in forked children count too. */
#ifndef BEHAVIOUR_CHECK_H
#define BEHAVIOUR_CHECK_H

#include <stdbool.h>

/* Before the first check and before any fork. */
void check_start(void);

/* Prints "ok NAME", or "FAIL NAME: got, expected". */
void check_equal(const char *name, long long got, long long expected);
void check_true(const char *name, bool ok, const char *got, const char *expected);

/* The same for whether `got` lies in [least, most]. */
void check_between(const char *name, long long got, long long least, long long most);

/* Prints "skip NAME: reason". */
void check_skip(const char *name, const char *reason);

/* Prints "N passed, N failed, N skipped"; the exit status: 0 if none failed. */
int check_finish(void);

#define CHECK(name, got, expected)  check_equal(name, (long long)(got), (long long)(expected))
#define CHECK_TRUE(name, condition) check_true(name, condition, "false", #condition)

#endif
