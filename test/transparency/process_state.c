/* Prints the process's own state, uses CUDA, and prints it again. */
#include <dirent.h>
#include <fcntl.h>
#include <fenv.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "use_cuda.h"

extern char **environ;

static void print_signals(void)
{
    sigset_t mask;
    stack_t stack;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    sigaltstack(NULL, &stack);
    printf("alternate stack: %d\nsignals:", stack.ss_flags);
    for (int number = 1; number < NSIG; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) != 0)
            continue;
        printf(" %d%s", number, sigismember(&mask, number) ? " blocked" : "");
        if (action.sa_handler != SIG_DFL)
            printf(" %s %x", action.sa_handler == SIG_IGN ? "ignored" : "handled",
                   (unsigned)action.sa_flags);
    }
    printf("\n");
}

/* Those of a folder that a process has for itself: open files, threads. */
static int print_folder(const char *path, int with_targets)
{
    DIR *const folder = opendir(path);
    const struct dirent *entry;
    int count = 0;
    while (folder && (entry = readdir(folder))) {
        char link[300], target[300] = "";
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(folder))
            continue;
        count++;
        snprintf(link, sizeof link, "%s/%.100s", path, entry->d_name);
        const ssize_t length = readlink(link, target, sizeof target - 1);
        if (with_targets && length > 0)
            printf("open file %s (%x)\n", target, (unsigned)fcntl(atoi(entry->d_name), F_GETFL));
    }
    closedir(folder);
    return count;
}

/* A thread that has answered the guard may still be on its way out; one that stays is seen. */
static int remaining_threads(void)
{
    int threads = print_folder("/proc/self/task", 0);
    for (int i = 0; i < 1000 && threads > 1; i++) {
        usleep(10000);
        threads = print_folder("/proc/self/task", 0);
    }
    return threads;
}

static void print_state(void)
{
    const int threads = remaining_threads();
    char text[4096];
    struct itimerval timer;
    const mode_t mask = umask(0);
    umask(mask);
    printf("umask %o\ncwd %s\nlocale %s\n", mask, getcwd(text, sizeof text),
           setlocale(LC_ALL, NULL));
    printf("rounding %d exceptions %d raised %d\n", fegetround(), fegetexcept(),
           fetestexcept(FE_ALL_EXCEPT));
    getitimer(ITIMER_REAL, &timer);
    printf("timer %ld nice %d\n", (long)timer.it_value.tv_sec, getpriority(PRIO_PROCESS, 0));
    prctl(PR_GET_NAME, text);
    printf("name %s dumpable %d\n", text, prctl(PR_GET_DUMPABLE));
    printf("scheduler %d\n", sched_getscheduler(0));
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit limit;
        getrlimit((__rlimit_resource_t)i, &limit);
        printf("limit %d: %llu %llu\n", i, (unsigned long long)limit.rlim_cur,
               (unsigned long long)limit.rlim_max);
    }
    for (char **variable = environ; *variable; variable++)
        printf("environment %s\n", *variable);
    print_signals();
    print_folder("/proc/self/fd", 1);
    printf("%d threads\n", threads);
}

int main(void)
{
    umask(027);
    signal(SIGUSR1, SIG_IGN);
    print_state();
    use_cuda("now");
    print_state();
    return 0;
}
