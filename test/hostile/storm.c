/* storm KILLS STEPS: starts programs that take memory, fail, wait in line and spill (STEPS: the
 * path of `steps`), three at a time, and kills each at a random moment of its first 20 ms; KILLS in
 * all. All of them share a limit (VRAMGUARD_LIMIT_SCOPE=shared), and they compete with a program
 * that takes and gives back memory all the time and waits for it if need be: that one is never
 * refused any. In the end this process, which shares the limit, is given all of it
 * (STORM_ALL_MIB). Prints how many kills there were, and how often the other one was
 * served meanwhile. */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "cuda_calls.h"

enum { MIB = 1 << 20, AT_A_TIME = 3, KILLS_PER_ROUND = 99, LATEST_US = 20000, TAKEN_MIB = 60 };

static int is_over[2]; /* its end ends the trader */

static void nap(long us)
{
    const struct timespec pause = { us / 1000000, us % 1000000 * 1000 };
    nanosleep(&pause, NULL);
}

/* Returns how often it was served. */
static unsigned trade_until_over(int over)
{
    unsigned served = 0;
    char byte;
    use_gpu();
    while (read(over, &byte, 1) < 0) { /* nothing yet */
        const CUdeviceptr address = take((size_t)TAKEN_MIB * MIB);
        nap(2000);
        MUST(cuMemFree_v2(address) == CUDA_SUCCESS);
        served++;
        nap(500);
    }
    return served;
}

/* Returns how often it was served, as its answer through `told`. */
static pid_t start_trader(int told)
{
    const pid_t pid = fork();
    MUST(pid >= 0);
    if (pid != 0)
        return pid;
    close(is_over[1]);
    const unsigned served = trade_until_over(is_over[0]);
    MUST(write(told, &served, sizeof served) == sizeof served);
    _exit(0);
}

static pid_t start_victim(char *steps, int number)
{
    static char *const scenarios[] = { "failing", "waiting", "spilling", "limited" };
    const pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        char *const command[] = { steps, scenarios[number % 4], NULL };
        setenv("VRAMGUARD_POLICY", number % 4 == 2 ? "spill" : "wait=1s", 1);
        MUST(freopen("/dev/null", "w", stdout) && freopen("/dev/null", "w", stderr));
        execv(steps, command);
        _exit(127);
    }
    return pid;
}

static int kill_some(char *steps, int kills)
{
    int killed = 0;
    for (int i = 0; i < kills; i += AT_A_TIME) {
        pid_t victims[AT_A_TIME];
        for (int j = 0; j < AT_A_TIME; j++)
            victims[j] = start_victim(steps, i + j + i / 4);
        for (int j = 0; j < AT_A_TIME; j++) {
            int status;
            nap(rand() % LATEST_US);
            MUST(kill(victims[j], SIGKILL) == 0);
            MUST(waitpid(victims[j], &status, 0) == victims[j]);
            killed += WIFSIGNALED(status);
        }
    }
    return killed;
}

/* In a process of its own, whose children those become that a victim has left behind. */
static int run_round(char *steps, int kills, int seed)
{
    const pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        srand((unsigned)seed);
        MUST(prctl(PR_SET_CHILD_SUBREAPER, 1) == 0);
        const int killed = kill_some(steps, kills);
        while (waitpid(-1, NULL, 0) > 0)
            ;
        _exit(killed);
    }
    int status;
    MUST(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    return WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
    int told[2], done = 0;
    unsigned served = 0;
    if (argc == 2) {
        MUST(fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK) == 0);
        printf("trading\n");
        fflush(stdout);
        printf("%u\n", trade_until_over(STDIN_FILENO));
        return 0;
    }
    MUST(argc == 3 && pipe(told) == 0 && pipe2(is_over, O_NONBLOCK | O_CLOEXEC) == 0);
    const pid_t trader = start_trader(told[1]);
    close(told[1]); /* else nobody would hear of its end */
    for (const int kills = atoi(argv[1]); done < kills;) {
        const int some = kills - done < KILLS_PER_ROUND ? kills - done : KILLS_PER_ROUND;
        const int killed = run_round(argv[2], some, done);
        MUST(killed > 0 && killed <= some + AT_A_TIME);
        done += killed;
    }
    close(is_over[1]);
    int status;
    MUST(read(told[0], &served, sizeof served) == sizeof served);
    MUST(waitpid(trader, &status, 0) == trader && status == 0);
    use_gpu();
    take((size_t)atoi(getenv("STORM_ALL_MIB")) * MIB);
    printf("%d killed, the other served %u times\n", done, served);
    return 0;
}
