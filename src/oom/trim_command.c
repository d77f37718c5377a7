/* Between the program and the command stands a process of ours, the watcher: a child made by
 * clone(2) without an exit signal, which neither raises SIGCHLD nor is seen by wait(2) as long as
 * it does not execute a program (that resets the signal, execve(2)). It starts the command, waits
 * for it, kills it when its time is over, and ends. Both share our memory, as after vfork, since
 * copying the page tables of a large program takes long; their maker waits in the kernel until they
 * are done with it, so that its stack and its thread-local variables are theirs to use. */
#include "oom/trim_command.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "driver/driver.h"
#include "oom/trim_environment.h"
#include "os/close_range.h"

enum { STACK_BYTES = 64 * 1024, KILLED_WAIT_MS = 1000, DESCRIPTORS_MAX = 65536 };

struct launch {
    const struct vg_trim_words *words;
    char **environment;
    struct vg_trim_command_result *result;
    uint64_t until_ns;
    pid_t program;
    char *command_stack; /* its upper end */
};

static void close_from(int first)
{
    if (vg_close_from((unsigned)first) == 0)
        return;
    const long limit = sysconf(_SC_OPEN_MAX); /* a kernel before 5.9 */
    for (int fd = first; fd < limit && fd < DESCRIPTORS_MAX; fd++)
        close(fd);
}

/* ---- the command, until it is executed ---- */

static void reset_signals(void)
{
    const struct sigaction plain = { .sa_handler = SIG_DFL };
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        sigaction(number, &plain, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

static void open_standard(void)
{
    const int null = open("/dev/null", O_RDWR);
    if (fcntl(STDERR_FILENO, F_GETFD) < 0)
        dup2(null, STDERR_FILENO);
    dup2(null, STDIN_FILENO);
    dup2(STDERR_FILENO, STDOUT_FILENO);
    close_from(STDERR_FILENO + 1);
}

static int become_command(void *argument)
{
    const struct launch *const launch = argument;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    reset_signals();
    open_standard();
    execvpe(launch->words->word[0], launch->words->word, launch->environment);
    launch->result->error = -errno;
    return 127;
}

/* ---- the watcher ---- */

static void pause_ms(long ms)
{
    const struct timespec pause = { .tv_nsec = ms * 1000000 };
    nanosleep(&pause, NULL);
}

/* Has the command ended before `until_ns`? */
static bool await_command(pid_t command, uint64_t until_ns, int *status)
{
    for (long ms = 1;; ms = ms < 16 ? 2 * ms : ms) {
        const pid_t ended = waitpid(command, status, WNOHANG);
        if (ended != 0)
            return ended == command;
        if (vg_clock_monotonic_ns() >= until_ns)
            return false;
        pause_ms(ms);
    }
}

static int watch_command(void *argument)
{
    struct launch *const launch = argument;
    struct vg_trim_command_result *const result = launch->result;
    const struct sigaction plain = { .sa_handler = SIG_DFL };
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != launch->program)
        return 1;                     /* the program has died meanwhile */
    sigaction(SIGCHLD, &plain, NULL); /* ignored, it would leave nothing to wait for */
    const pid_t command =
        clone(become_command, launch->command_stack, CLONE_VM | CLONE_VFORK | SIGCHLD, launch);
    if (command < 0) {
        result->error = -errno;
        return 1;
    }
    close_from(0); /* what the program closes while we wait is to be closed */
    if (!await_command(command, launch->until_ns, &result->status)) {
        result->timed_out = true;
        kill(-command, SIGKILL);
        kill(command, SIGKILL);
        await_command(command, vg_clock_monotonic_ns() + KILLED_WAIT_MS * UINT64_C(1000000),
                      &result->status);
    }
    return 0;
}

/* ---- the program ---- */

void vg_trim_command_run(const struct vg_trim_words *words, const struct vg_trim_facts *facts,
                         uint64_t timeout_ms, struct vg_trim_command_result *out)
{
    const size_t environment_bytes = vg_trim_environment_bytes();
    const size_t bytes = environment_bytes + 2 * STACK_BYTES + 64;
    *out = (struct vg_trim_command_result){ .error = 0 };
    char *const memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED) {
        out->error = -errno;
        return;
    }
    char *const stacks = memory + (environment_bytes + 63) / 64 * 64;
    struct launch launch = {
        .words = words,
        .environment = vg_trim_environment_fill(memory, environment_bytes, facts),
        .result = out,
        .until_ns = vg_clock_monotonic_ns() + timeout_ms * 1000000,
        .program = getpid(),
        .command_stack = stacks + STACK_BYTES,
    };
    const pid_t watcher = clone(watch_command, stacks + 2 * STACK_BYTES,
                                CLONE_VM | CLONE_VFORK /* no exit signal */, &launch);
    if (watcher < 0)
        out->error = -errno;
    else /* the program may have been faster, if it waits for all kinds of children */
        while (waitpid(watcher, NULL, __WALL) < 0 && errno == EINTR)
            ;
    munmap(memory, bytes);
}
