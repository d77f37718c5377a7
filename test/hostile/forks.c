/* forks HOW ROUNDS: children of fork made beside threads that are in the guard, and in the parts of
 * the C library that it calls, must come to their end.
 *   registering   once, while another thread's first call is inside on_exit(3), with its lock
 *   first         ROUNDS times, while another thread makes the first call of the process
 *   beside        ROUNDS times, while threads allocate, fail and register handlers of their own;
 *                 the child makes a call of its own first, which needs the locks
 * A child ends by exit(3) with 7. One that does not within 30 s is said to hang. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <time.h>

#include "cuda_calls.h"

enum { CHILD_CODE = 7, PATIENCE_S = 30, SMALL_BYTES = 4096, HANDLERS_PER_LIST = 32, THREADS = 4 };

static void nap(long us)
{
    const struct timespec pause = { us / 1000000, us % 1000000 * 1000 };
    nanosleep(&pause, NULL);
}

/* Its exit code; one that hangs is killed and said. */
static int end_of(pid_t pid)
{
    struct timespec now, begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
        int status;
        const pid_t ended = waitpid(pid, &status, WNOHANG);
        MUST(ended >= 0);
        if (ended == pid) {
            MUST(WIFEXITED(status));
            return WEXITSTATUS(status);
        }
        nap(500);
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (now.tv_sec - begin.tv_sec < PATIENCE_S);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    printf("a forked child hangs\n");
    fflush(stdout);
    _exit(1);
}

/* ---- inside on_exit ----
 * glibc asks calloc for room for further handlers while it holds the lock of their list. */

extern void *__libc_calloc(size_t count, size_t bytes);

/* Volatile: libc's functions are declared as if they called nothing of ours. */
static volatile size_t list_bytes; /* what it asks for */
static _Thread_local volatile bool looks_for_list, in_first_call;
static atomic_int is_inside, has_forked;

__attribute__((visibility("default"))) void *calloc(size_t count, size_t bytes)
{
    if (looks_for_list)
        list_bytes = count * bytes;
    if (in_first_call && list_bytes && count * bytes == list_bytes) {
        is_inside = 1;
        /* Where fork waits for us it cannot be over. */
        for (int i = 0; i < 300 && !has_forked; i++)
            nap(1000);
    }
    return __libc_calloc(count, bytes);
}

static void do_nothing(void)
{
}

static void fill_list(void)
{
    looks_for_list = true;
    for (int i = 0; i < 4 * HANDLERS_PER_LIST && !list_bytes; i++)
        MUST(atexit(do_nothing) == 0);
    looks_for_list = false;
    MUST(list_bytes > HANDLERS_PER_LIST * sizeof(void *));
    for (int i = 1; i < HANDLERS_PER_LIST; i++)
        MUST(atexit(do_nothing) == 0);
}

static void *make_first_call(void *unused)
{
    in_first_call = true;
    use_gpu();
    take(SMALL_BYTES);
    in_first_call = false;
    is_inside = 1; /* if it never was: bare */
    return unused;
}

static void fork_while_registering(void)
{
    pthread_t thread;
    fill_list();
    MUST(pthread_create(&thread, NULL, make_first_call, NULL) == 0);
    while (!is_inside)
        nap(100);
    const pid_t pid = fork();
    if (pid == 0)
        exit(CHILD_CODE);
    has_forked = 1;
    MUST(end_of(pid) == CHILD_CODE);
    MUST(pthread_join(thread, NULL) == 0);
}

/* ---- at random ---- */

static void fork_beside_first_call(int round)
{
    const pid_t runner = fork();
    if (runner == 0) {
        pthread_t thread;
        MUST(pthread_create(&thread, NULL, make_first_call, NULL) == 0);
        nap(round * 37 % 400);
        const pid_t child = fork();
        if (child == 0)
            exit(CHILD_CODE);
        MUST(end_of(child) == CHILD_CODE);
        MUST(pthread_join(thread, NULL) == 0);
        _exit(CHILD_CODE);
    }
    MUST(end_of(runner) == CHILD_CODE);
}

static atomic_bool is_over;

static void *load(void *number)
{
    use_gpu();
    for (uintptr_t i = (uintptr_t)number; !is_over; i++) {
        const CUdeviceptr address = take(SMALL_BYTES);
        if (i % 512 == 0)
            fail_once();
        MUST(cuMemFree_v2(address) == CUDA_SUCCESS);
        if (i % 64 == 0)
            sched_yield();
    }
    return NULL;
}

static void fork_beside_load(int rounds)
{
    pthread_t threads[THREADS];
    for (uintptr_t i = 0; i < THREADS; i++)
        MUST(pthread_create(&threads[i], NULL, load, (void *)i) == 0);
    use_gpu();
    for (int i = 0; i < rounds; i++) {
        const pid_t pid = fork();
        if (pid == 0) {
            CUdeviceptr address; /* CUDA does not work here; asking must not hurt */
            cuMemAlloc_v2(&address, SMALL_BYTES);
            exit(CHILD_CODE);
        }
        MUST(end_of(pid) == CHILD_CODE);
    }
    is_over = true;
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
    MUST(argc == 3);
    const int rounds = atoi(argv[2]);
    if (strcmp(argv[1], "registering") == 0)
        fork_while_registering();
    else if (strcmp(argv[1], "first") == 0)
        for (int i = 0; i < rounds; i++)
            fork_beside_first_call(i);
    else if (strcmp(argv[1], "beside") == 0)
        fork_beside_load(rounds);
    printf("done\n");
    fflush(stdout);
    return 0;
}
