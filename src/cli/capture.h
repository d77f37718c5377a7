/* Runs a program and reads what it prints, in bounded time. For the tool. */
#ifndef VRAMGUARD_CLI_CAPTURE_H
#define VRAMGUARD_CLI_CAPTURE_H

#include <stddef.h>

/* Runs `argv` (found as execvp finds it) with `environment` ("NAME=VALUE" or, to remove one,
 * "NAME"; NULL terminated) added to ours, standard input and error at /dev/null; kills it after
 * `timeout_ms`. Its output goes to `out` (`cap` >= 1 bytes, NUL terminated, the rest is dropped).
 * Returns its exit code, 128 + N when signal N ended it, -ETIMEDOUT, or another -errno when it
 * could not be started. */
int vg_capture(char *const *argv, const char *const *environment, unsigned timeout_ms, char *out,
               size_t cap);

#endif
