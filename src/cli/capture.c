#include "cli/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* In the child. */
static void become_program(char *const *argv, const char *const *environment, int output)
{
    const int nothing = open("/dev/null", O_RDWR);
    dup2(nothing, STDIN_FILENO);
    dup2(nothing, STDERR_FILENO);
    dup2(output, STDOUT_FILENO);
    for (; *environment; environment++) {
        const char *const equals = strchr(*environment, '=');
        if (equals)
            putenv((char *)(uintptr_t)*environment);
        else
            unsetenv(*environment);
    }
    execvp(argv[0], argv);
    _exit(127);
}

/* Reads until the end of the output or of the time. Returns false for the latter. */
static bool read_output(int fd, uint64_t deadline_ns, char *out, size_t cap)
{
    size_t length = 0;
    for (;;) {
        struct pollfd waited = { .fd = fd, .events = POLLIN };
        const uint64_t now_ns = vg_clock_monotonic_ns();
        const int left_ms = now_ns < deadline_ns ? (int)((deadline_ns - now_ns) / 1000000) : 0;
        const int ready = poll(&waited, 1, left_ms);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return false;
        char part[512];
        const ssize_t got = read(fd, part, sizeof part);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return true;
        const size_t room = cap - 1 - length;
        const size_t kept = (size_t)got < room ? (size_t)got : room;
        memcpy(out + length, part, kept);
        length += kept;
        out[length] = '\0';
    }
}

int vg_capture(char *const *argv, const char *const *environment, unsigned timeout_ms, char *out,
               size_t cap)
{
    int ends[2], status = 0;
    out[0] = '\0';
    fflush(NULL);
    if (pipe2(ends, O_CLOEXEC) != 0)
        return -errno;
    const pid_t child = fork();
    if (child == 0)
        become_program(argv, environment, ends[1]);
    const int error = child < 0 ? -errno : 0;
    close(ends[1]);
    const uint64_t deadline_ns = vg_clock_monotonic_ns() + timeout_ms * UINT64_C(1000000);
    const bool in_time = !error && read_output(ends[0], deadline_ns, out, cap);
    close(ends[0]);
    if (error)
        return error;
    if (!in_time)
        kill(child, SIGKILL);
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (!in_time)
        return -ETIMEDOUT;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}
