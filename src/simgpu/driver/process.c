#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Numbers of the fields of /proc/PID/stat, from proc(5). */
enum { FIELD_STATE = 3, FIELD_THREADS = 20, FIELD_START = 22 };

static int read_stat(pid_t pid, char *text, size_t size)
{
    char path[48];
    /* The main thread's, which says the same: qemu makes up the process's own for itself. */
    snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)pid, (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    ssize_t length = read(fd, text, size - 1);
    int error = errno;
    close(fd);
    if (length < 0)
        return -error;
    text[length] = '\0';
    return length > 0 ? 0 : -ESRCH;
}

int process_identify(pid_t pid, struct process_identity *identity)
{
    char text[1024];
    int result = read_stat(pid, text, sizeof(text));
    if (result != 0)
        return result;

    /* The command, field 2, may hold anything, even parentheses: start behind the last one. */
    char *field = strrchr(text, ')');
    char process_state = 0;
    long threads = 0;
    unsigned long long start = 0;
    if (field == NULL)
        return -EPROTO;
    char *rest = field + 2;
    for (int number = FIELD_STATE; number <= FIELD_START; number++) {
        char *word = strsep(&rest, " ");
        if (word == NULL)
            return -EPROTO;
        if (number == FIELD_STATE)
            process_state = word[0];
        else if (number == FIELD_THREADS)
            sscanf(word, "%ld", &threads);
        else if (number == FIELD_START)
            sscanf(word, "%llu", &start);
    }
    /* A zombie with threads is a main thread that has ended before the others. */
    if ((process_state == 'Z' || process_state == 'X') && threads <= 1)
        return -ESRCH;
    identity->pid = pid;
    identity->start_ticks = start;
    return 0;
}

/* This process's own identity, looked up once: queries come in series. */
static const struct process_identity *own_identity(void)
{
    static _Thread_local struct process_identity own;
    if (own.pid != getpid() && process_identify(getpid(), &own) != 0)
        own.pid = 0;
    return &own;
}

bool process_is_alive(const struct process_identity *identity)
{
    if (identity->pid == own_identity()->pid)
        return identity->start_ticks == own_identity()->start_ticks;
    if (kill(identity->pid, 0) != 0 && errno == ESRCH)
        return false;
    struct process_identity now;
    int result = process_identify(identity->pid, &now);
    if (result == -ESRCH)
        return false;
    if (result == -ENOENT) /* not shown: it has just ended, or /proc is not there */
        return kill(identity->pid, 0) == 0 || errno != ESRCH;
    /* A process that cannot be looked at (hidden /proc) counts as alive: it did answer kill. */
    return result != 0 || now.start_ticks == identity->start_ticks;
}
