/* fill COUNT FAILURES [STEP...]: makes COUNT allocations of 4 KiB, FAILURES failing ones, then goes
 * through the steps:
 *   close       closes every descriptor but 1
 *   vanish      removes the state directory
 *   root        changes the root directory to an empty one and becomes nobody
 *   more        makes 20,000 allocations more, and one that fails
 *   fail        makes a failing allocation
 *   tick        lets a timer interrupt the process every millisecond
 *   free        frees all
 *   until       makes allocations until one fails, and says how many
 *   wait        says "waiting" and waits for a line on standard input
 *   hold        says "holding" and sleeps */
#include <dirent.h>
#include <grp.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "cuda_calls.h"

static CUdeviceptr *held;
static size_t held_count;

static void take_many(size_t count)
{
    held = realloc(held, (held_count + count + 1) * sizeof *held);
    for (size_t i = 0; i < count; i++)
        held[held_count++] = take(4096);
}

static void close_all(void)
{
    for (int fd = 0; fd < 1024; fd++)
        if (fd != STDOUT_FILENO)
            close(fd);
}

static void vanish(void)
{
    char command[512];
    snprintf(command, sizeof command, "rm -rf %s", getenv("XDG_STATE_HOME"));
    unsetenv("LD_PRELOAD"); /* for the shell */
    MUST(system(command) == 0);
}

static void lose_the_root(void)
{
    MUST(mkdir("empty", 0755) == 0);
    MUST(chroot("empty") == 0 && chdir("/") == 0);
    MUST(setgroups(0, NULL) == 0 && setgid(65534) == 0 && setuid(65534) == 0);
}

static void on_tick(int signal_number)
{
    (void)signal_number;
}

static void tick(void)
{
    const struct sigaction action = { .sa_handler = on_tick, .sa_flags = SA_RESTART };
    const struct itimerval every = { .it_interval.tv_usec = 1000, .it_value.tv_usec = 1000 };
    MUST(sigaction(SIGALRM, &action, NULL) == 0);
    MUST(setitimer(ITIMER_REAL, &every, NULL) == 0);
}

static void run_step(const char *step)
{
    if (strcmp(step, "close") == 0)
        close_all();
    else if (strcmp(step, "vanish") == 0)
        vanish();
    else if (strcmp(step, "root") == 0)
        lose_the_root();
    else if (strcmp(step, "fail") == 0)
        fail_once();
    else if (strcmp(step, "tick") == 0)
        tick();
    else if (strcmp(step, "more") == 0) {
        take_many(20000);
        fail_once();
    } else if (strcmp(step, "free") == 0) {
        while (held_count > 0)
            MUST(cuMemFree_v2(held[--held_count]) == CUDA_SUCCESS);
    } else if (strcmp(step, "until") == 0) {
        CUdeviceptr address;
        long count = 0;
        while (count < 100000 && cuMemAlloc_v2(&address, 4096) == CUDA_SUCCESS)
            count++;
        printf("got %ld\n", count);
    } else if (strcmp(step, "wait") == 0) {
        printf("waiting\n");
        fflush(stdout);
        getchar();
    } else if (strcmp(step, "hold") == 0) {
        printf("holding\n");
        fflush(stdout);
        pause();
    } else
        MUST(!"a known step");
}

int main(int argc, char **argv)
{
    MUST(argc >= 3);
    /* As a shell starts programs; Python ignores both. */
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    use_gpu();
    take_many(strtoul(argv[1], NULL, 10));
    for (long i = strtol(argv[2], NULL, 10); i > 0; i--)
        fail_once();
    for (int i = 3; i < argc; i++)
        run_step(argv[i]);
    printf("done\n");
    return 0;
}
