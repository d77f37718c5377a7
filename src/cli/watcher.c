#include "cli/watcher.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/unseen_note.h"
#include "os/close_range.h"

enum { WATCHED_FD = 3, PATH_CAP = 4096 };

static char environment[256 * 1024]; /* of the watched process, as far as it is looked at */

/* fork without SIGCHLD at its end: it could be pending, and survive the exec. */
static pid_t fork_silently(void)
{
    return (pid_t)syscall(SYS_clone, 0L, NULL, NULL, NULL, NULL);
}

static bool receives_orphans(void)
{
    int subreaper = 0;
    return getpid() == 1 || (prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0) == 0 && subreaper);
}

/* ---- in the watcher ---- */

/* Looking for the command by name (pgrep -f) is not to find the watcher. */
static void rename_process(void)
{
    enum { ARG_START = 48, ARG_END = 49 }; /* fields of proc_pid_stat(5) */
    static const char name[] = "vramguard-watch";
    uint64_t start, end;
    prctl(PR_SET_NAME, name, 0, 0, 0);
    if (vg_process_stat(0, ARG_START, &start) != 0 || vg_process_stat(0, ARG_END, &end) != 0 ||
        start == 0 || end < start + sizeof name)
        return;
    char *const arguments = (char *)(uintptr_t)start;
    memset(arguments, 0, end - start);
    memcpy(arguments, name, sizeof name);
}

static void detach_watcher(int pidfd)
{
    sigset_t all;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    dup2(pidfd, WATCHED_FD);
    close(0);
    close(1);
    vg_close_from(WATCHED_FD + 1U);
    if (chdir("/") != 0) {
        /* it keeps a folder in use, no more */
    }
}

/* Does the watched process run a program, another than ours, whose environment has lost our
 * library? An answer that cannot be had is no. */
static bool lost_the_library(pid_t pid)
{
    char path[64], theirs[PATH_CAP], ours[PATH_CAP];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    const ssize_t their_length = readlink(path, theirs, sizeof theirs);
    const ssize_t our_length = readlink("/proc/self/exe", ours, sizeof ours);
    if (their_length <= 0 || our_length <= 0 ||
        (their_length == our_length && memcmp(theirs, ours, (size_t)our_length) == 0))
        return false; /* it has not got to its exec yet */
    snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    const ssize_t length = vg_process_read_file(path, environment, sizeof environment);
    if (length < 0 || (size_t)length >= sizeof environment - 1)
        return false;
    for (const char *at = environment; at < environment + length; at += strlen(at) + 1)
        if (vg_text_starts_with(at, "LD_PRELOAD=") && strstr(at, "vramguard"))
            return false;
    return true;
}

/* Sleeps until the process ends; looks at its environment a few times early in its life, when
 * wrappers such as `env -i` replace themselves. Returns whether it had lost the library by then. */
static bool await_end(pid_t pid)
{
    static const int looks_ms[] = { 20, 100, 500, 2000, 10000 };
    struct pollfd watched = { .fd = WATCHED_FD, .events = POLLIN };
    bool lost = false;
    for (size_t i = 0; i <= sizeof looks_ms / sizeof looks_ms[0];) {
        const bool last = i == sizeof looks_ms / sizeof looks_ms[0];
        const int ready = poll(&watched, 1, last ? -1 : looks_ms[i]);
        if (ready > 0 || (ready < 0 && errno != EINTR))
            break;
        if (ready == 0) {
            lost = lost_the_library(pid);
            i++;
        }
    }
    return lost;
}

static void watch_process(const char *note_path, pid_t pid)
{
    struct vg_unseen_note note;
    const bool lost = await_end(pid);
    if (vg_unseen_note_read(note_path, &note) != 0)
        return; /* it was recorded, or never started */
    if (lost && !note.why_not[0])
        snprintf(note.why_not, sizeof note.why_not, "LD_PRELOAD was taken out of its environment");
    vg_unseen_note_tell(&note);
    vg_unseen_note_explain(note_path, note.why_not);
}

/* ---- in `vramguard run` ---- */

bool vg_watcher_start(const char *note_path)
{
    const pid_t self = getpid();
    const int pidfd = receives_orphans() ? -1 : (int)syscall(SYS_pidfd_open, self, 0U);
    if (pidfd < 0)
        return false;
    const pid_t child = fork_silently();
    if (child == 0) {
        setsid();
        rename_process(); /* the watcher's name too: this one is waited for before the exec */
        if (fork_silently() == 0) {
            detach_watcher(pidfd);
            watch_process(note_path, self);
        }
        _exit(0);
    }
    while (child > 0 && waitpid(child, NULL, __WALL) < 0 && errno == EINTR)
        ;
    close(pidfd);
    return child > 0;
}
