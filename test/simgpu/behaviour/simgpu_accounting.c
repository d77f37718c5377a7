/* Memory that processes share: it adds up, it races for nothing, and it comes back however a
 * process ends. Each check runs in children; the parent never loads the driver, and asks a child of
 * its own (the observer) how much is free. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"
#include "child.h"
#include "cuda.h"

#define MIB         1048576u
#define DEVICE_MIB  1024
#define CONTEXT_MIB 64

/* Answers each sign with the free MiB of the device, until the parent is gone. */
static int observe(struct child *parent, long unused)
{
    (void)unused;
    cuda_start();
    while (child_wait(parent) == 0) {
        long mib = (long)(cuda_free_bytes() / MIB);
        if (write(parent->to, &mib, sizeof(mib)) != sizeof(mib))
            break;
    }
    return 0;
}

static struct child observer;

static long free_mib(void)
{
    long mib = -1;
    child_sign(&observer);
    if (read(observer.from, &mib, sizeof(mib)) != sizeof(mib))
        return -1;
    return mib;
}

/* Takes `mib` and holds it until told to go. */
static int hold(struct child *parent, long mib)
{
    CUdeviceptr address;
    cuda_start();
    CUresult result = cuda.alloc(&address, (size_t)mib * MIB);
    child_sign(parent);
    child_wait(parent);
    return result;
}

static void check_sharing(void)
{
    long before = free_mib();
    struct child one = child_start(hold, 300);
    child_wait(&one);
    CHECK("another process's memory and context are missed", before - free_mib(),
          300 + CONTEXT_MIB);
    struct child two = child_start(hold, 600);
    child_wait(&two);
    CHECK("what does not fit takes nothing but a context", before - free_mib(),
          300 + 2 * CONTEXT_MIB);
    child_sign(&two);
    CHECK("  and fails", child_end(&two), CUDA_ERROR_OUT_OF_MEMORY);
    child_sign(&one);
    CHECK("a process ends", child_end(&one), CUDA_SUCCESS);
    CHECK("  and all comes back", free_mib(), before);
}

static void check_kill(void)
{
    long before = free_mib();
    struct child child = child_start(hold, 200);
    child_wait(&child);
    kill(child.pid, SIGKILL);
    /* Before it is reaped: a dead process holds nothing. */
    siginfo_t info;
    waitid(P_PID, (id_t)child.pid, &info, WEXITED | WNOWAIT);
    CHECK("killed, a zombie", free_mib(), before);
    CHECK("killed, reaped", child_end(&child), 1000 + SIGKILL);
    CHECK("  all comes back", free_mib(), before);
}

static int churn(struct child *parent, long seed)
{
    CUdeviceptr addresses[16] = { 0 };
    cuda_start();
    child_sign(parent);
    srand((unsigned)seed);
    for (;;) {
        int i = rand() % 16;
        if (addresses[i] != 0) {
            cuda.free(addresses[i]);
            addresses[i] = 0;
        } else if (cuda.alloc(&addresses[i], (size_t)(rand() % 4 + 1) * MIB) != CUDA_SUCCESS) {
            addresses[i] = 0;
        }
    }
    return 0;
}

/* The kill hits at every instant of the accounting, sooner or later. */
static void check_random_kills(void)
{
    enum { ROUNDS = 300 };
    long before = free_mib();
    int wrong = 0;
    for (int round = 0; round < ROUNDS; round++) {
        struct child one = child_start(churn, round), two = child_start(churn, round + 1000);
        child_wait(&one);
        child_wait(&two);
        struct timespec pause = { 0, (round * 7919) % 1000000 };
        nanosleep(&pause, NULL);
        kill(one.pid, SIGKILL);
        pause.tv_nsec = (round * 104729) % 500000;
        nanosleep(&pause, NULL);
        kill(two.pid, SIGKILL);
        child_end(&one);
        child_end(&two);
        wrong += free_mib() != before;
    }
    CHECK("600 processes killed at random: nothing lost, nothing stuck", wrong, 0);
}

/* Takes blocks until nothing is left, and tells how many. */
static int grab(struct child *parent, long unused)
{
    (void)unused;
    cuda_start();
    child_sign(parent);
    child_wait(parent);
    long got = 0;
    CUdeviceptr address;
    while (cuda.alloc(&address, 2 * MIB) == CUDA_SUCCESS)
        got++;
    if (write(parent->to, &got, sizeof(got)) != sizeof(got))
        return 1;
    child_wait(parent);
    return 0;
}

static void check_race(void)
{
    enum { PROCESSES = 6 };
    struct child children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        children[i] = child_start(grab, 0);
        child_wait(&children[i]);
    }
    long blocks = free_mib() / 2, taken = 0;
    for (int i = 0; i < PROCESSES; i++)
        child_sign(&children[i]);
    for (int i = 0; i < PROCESSES; i++) {
        long got = 0;
        if (read(children[i].from, &got, sizeof(got)) == sizeof(got))
            taken += got;
    }
    CHECK("six processes race for the last block: all are taken, none twice", taken, blocks);
    CHECK("  nothing is left", free_mib(), 0);
    for (int i = 0; i < PROCESSES; i++) {
        child_sign(&children[i]);
        child_end(&children[i]);
    }
}

static void *hold_in_thread(void *argument)
{
    struct child *parent = argument;
    struct timespec pause = { 0, 50000000 }; /* until the main thread has ended */
    nanosleep(&pause, NULL);
    child_sign(parent);
    child_wait(parent);
    _exit(0);
}

static int end_main_thread(struct child *parent, long mib)
{
    static struct child kept;
    CUdeviceptr address;
    pthread_t thread;
    cuda_start();
    cuda.alloc(&address, (size_t)mib * MIB);
    kept = *parent;
    pthread_create(&thread, NULL, hold_in_thread, &kept);
    pthread_exit(NULL);
}

/* The main thread has ended and looks like a zombie, but the process lives. */
static void check_main_thread(void)
{
    long before = free_mib();
    struct child child = child_start(end_main_thread, 100);
    child_wait(&child);
    CHECK("a process without its main thread still holds its memory", before - free_mib(),
          100 + CONTEXT_MIB);
    child_sign(&child);
    CHECK("  until it ends", child_end(&child), 0);
    CHECK("  and all comes back", free_mib(), before);
}

/* The child of a fork has nothing and can do nothing; what it does to its copy of the parent's
 * state does not matter to the parent. */
static int fork_after_init(struct child *parent, long unused)
{
    (void)unused;
    CUdeviceptr address, other = 12345;
    cuda_start();
    cuda.alloc(&address, 100 * MIB);
    pid_t pid = fork();
    if (pid == 0) {
        if (cuda.init(0) != CUDA_ERROR_NOT_INITIALIZED)
            _exit(1);
        if (cuda.alloc(&other, MIB) != CUDA_ERROR_NOT_INITIALIZED || other != 12345)
            _exit(2);
        if (cuda.free(address) != CUDA_ERROR_NOT_INITIALIZED)
            _exit(3);
        _exit(0);
    }
    int status;
    waitpid(pid, &status, 0);
    child_sign(parent);
    child_wait(parent);
    if (cuda.free(address) != CUDA_SUCCESS)
        return 10;
    return WEXITSTATUS(status);
}

static void check_fork(void)
{
    long before = free_mib();
    struct child child = child_start(fork_after_init, 0);
    child_wait(&child);
    CHECK("a forked child that ended took nothing along", before - free_mib(), 100 + CONTEXT_MIB);
    child_sign(&child);
    CHECK("CUDA is unusable in a forked child, and fine in its parent", child_end(&child), 0);
    CHECK("  all comes back", free_mib(), before);
}

static int fork_before_init(struct child *parent, long unused)
{
    (void)unused;
    (void)parent;
    cuda_load();
    int version;
    cuda.driver_version(&version);
    pid_t pid = fork();
    if (pid == 0) {
        CUdeviceptr address;
        cuda_start();
        _exit(cuda.alloc(&address, MIB));
    }
    int status;
    waitpid(pid, &status, 0);
    cuda_start();
    CUdeviceptr address;
    return WEXITSTATUS(status) * 10 + cuda.alloc(&address, MIB);
}

static void check_fork_before(void)
{
    struct child child = child_start(fork_before_init, 0);
    CHECK("fork before cuInit: both can use CUDA", child_end(&child), 0);
}

static int many_starts(struct child *parent, long unused)
{
    (void)unused;
    CUdeviceptr address;
    child_wait(parent);
    cuda_start();
    return cuda.alloc(&address, 1000);
}

/* They all fit only because contexts are free of charge here. */
static void check_many(void)
{
    enum { PROCESSES = 200 };
    static struct child children[PROCESSES];
    setenv("SIMGPU_CONTEXT", "0", 1);
    for (int i = 0; i < PROCESSES; i++)
        children[i] = child_start(many_starts, 0);
    for (int i = 0; i < PROCESSES; i++)
        child_sign(&children[i]);
    int failures = 0;
    for (int i = 0; i < PROCESSES; i++)
        failures += child_end(&children[i]) != 0;
    CHECK("200 processes start and allocate at once", failures, 0);
}

int main(void)
{
    check_start();
    signal(SIGPIPE, SIG_IGN);
    setenv("SIMGPU_DEVICES", "1GiB", 1);
    setenv("SIMGPU_CONTEXT", "64MiB", 1);
    observer = child_start(observe, 0);
    CHECK("the device and one context", free_mib(), DEVICE_MIB - CONTEXT_MIB);
    check_sharing();
    check_kill();
    check_random_kills();
    check_race();
    check_main_thread();
    check_fork();
    check_fork_before();
    check_many();
    child_end(&observer);
    return check_finish();
}
