#include "child.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what)
{
    perror(what);
    exit(2);
}

struct child child_start(int (*body)(struct child *self, long argument), long argument)
{
    int down[2], up[2];
    if (pipe(down) != 0 || pipe(up) != 0)
        fail("pipe");
    struct child child = { fork(), down[1], up[0] };
    if (child.pid < 0)
        fail("fork");
    if (child.pid == 0) {
        signal(SIGPIPE, SIG_IGN);
        close(down[1]);
        close(up[0]);
        struct child parent = { getppid(), up[1], down[0] };
        _exit(body(&parent, argument));
    }
    close(down[0]);
    close(up[1]);
    return child;
}

void child_sign(struct child *other)
{
    ssize_t ignored = write(other->to, "s", 1); /* the reader's absence is its own message */
    (void)ignored;
}

int child_wait(struct child *other)
{
    char sign;
    return read(other->from, &sign, 1) == 1 ? 0 : -1;
}

static int status_of(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, 0) != pid)
        fail("waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

int child_end(struct child *child)
{
    close(child->to);
    int status = status_of(child->pid);
    close(child->from);
    return status;
}

int child_run_stderr(char *const environment[], int (*body)(void), char *text, size_t size)
{
    int pipes[2];
    if (pipe(pipes) != 0)
        fail("pipe");
    pid_t pid = fork();
    if (pid < 0)
        fail("fork");
    if (pid == 0) {
        for (int i = 0; environment[i] != NULL; i++)
            putenv(environment[i]);
        if (text != NULL)
            dup2(pipes[1], STDERR_FILENO);
        close(pipes[0]);
        close(pipes[1]);
        _exit(body());
    }
    close(pipes[1]);
    size_t used = 0;
    ssize_t got = 1;
    while (text != NULL && used + 1 < size && got > 0) {
        got = read(pipes[0], text + used, size - 1 - used);
        used += got > 0 ? (size_t)got : 0;
    }
    if (text != NULL)
        text[used] = '\0';
    close(pipes[0]);
    return status_of(pid);
}

int child_run(char *const environment[], int (*body)(void))
{
    return child_run_stderr(environment, body, NULL, 0);
}
