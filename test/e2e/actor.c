/* A program that does what it is told, line by line on standard input; each line is answered by one
 * on standard output:
 *   context GPU            makes the GPU's primary context, and makes it current
 *   alloc NAME MIB         "alloc NAME CODE MS": the driver's answer and how long it took
 *   free NAME              "free NAME CODE"
 *   thread NAME MIB        allocates in a thread of its own, answered when it is done
 *   join                   waits for all threads
 *   handle NUMBER          installs a handler with SA_RESTART that says "signal NUMBER"
 *   idle                   starts a thread that does nothing
 *   tick                   a timer's handler interrupts the process every 5 ms
 *   fork                   "child PID CODE": a child frees an address of the parent's and exits
 *   load SEED              until the end of the input: takes and frees at random, with pauses
 * At the end of the input it exits with code 0. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "simgpu/driver/exports.h"

enum { NAMES = 64, THREADS = 16, MIB = 1 << 20 };

static struct {
    char name[16];
    CUdeviceptr address;
} held[NAMES];

static struct job {
    pthread_t thread;
    char name[16];
    unsigned long mib;
} jobs[THREADS];

static int job_count;
static CUcontext current;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int place_of(const char *name)
{
    for (int i = 0; i < NAMES; i++)
        if (strcmp(held[i].name, name) == 0)
            return i;
    fprintf(stderr, "actor: no place for \"%s\"\n", name);
    exit(1);
}

static void use_context(int gpu)
{
    CUresult result = cuInit(0);
    if (result == CUDA_SUCCESS)
        result = cuDevicePrimaryCtxRetain(&current, gpu);
    if (result == CUDA_SUCCESS)
        result = cuCtxSetCurrent(current);
    printf("context %d\n", result);
}

static void allocate(const char *name, unsigned long mib)
{
    CUdeviceptr address = 0;
    const uint64_t start_ms = now_ms();
    const CUresult result = cuMemAlloc_v2(&address, mib * MIB);
    const uint64_t took_ms = now_ms() - start_ms;
    pthread_mutex_lock(&mutex);
    if (result == CUDA_SUCCESS) {
        const int place = place_of("");
        snprintf(held[place].name, sizeof held[place].name, "%s", name);
        held[place].address = address;
    }
    printf("alloc %s %d %llu\n", name, result, (unsigned long long)took_ms);
    pthread_mutex_unlock(&mutex);
}

static void *run_job(void *argument)
{
    const struct job *const job = argument;
    cuCtxSetCurrent(current);
    allocate(job->name, job->mib);
    return NULL;
}

static void start_job(const char *name, unsigned long mib)
{
    struct job *const job = &jobs[job_count++];
    snprintf(job->name, sizeof job->name, "%s", name);
    job->mib = mib;
    if (pthread_create(&job->thread, NULL, run_job, job) != 0)
        exit(1);
}

static void join_jobs(void)
{
    while (job_count > 0)
        pthread_join(jobs[--job_count].thread, NULL);
    puts("joined");
}

static void give_back(const char *name)
{
    pthread_mutex_lock(&mutex);
    const int place = place_of(name);
    printf("free %s %d\n", name, cuMemFree_v2(held[place].address));
    held[place].name[0] = '\0';
    pthread_mutex_unlock(&mutex);
}

static void *do_nothing(void *argument)
{
    for (;;)
        pause();
    return argument;
}

static void start_idler(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, do_nothing, NULL) != 0)
        exit(1);
    puts("idling");
}

static void say_signal(int number)
{
    char text[] = "signal 00\n";
    text[7] = (char)('0' + number / 10);
    text[8] = (char)('0' + number % 10);
    if (write(STDOUT_FILENO, text, sizeof text - 1) < 0)
        _exit(1);
}

static void ignore_signal(int number)
{
    (void)number;
}

static void handle(int number, void (*handler)(int))
{
    struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
    if (sigaction(number, &action, NULL) != 0)
        exit(1);
}

static void tick(void)
{
    const struct itimerval often = { .it_interval = { .tv_usec = 5000 },
                                     .it_value = { .tv_usec = 5000 } };
    handle(SIGALRM, ignore_signal);
    setitimer(ITIMER_REAL, &often, NULL);
    puts("ticking");
}

static void make_child(void)
{
    int status = -1;
    const pid_t pid = fork();
    if (pid == 0) {
        cuMemFree_v2(held[0].address);
        exit(7);
    }
    while (waitpid(pid, &status, 0) < 0)
        ;
    printf("child %d %d\n", (int)pid, WEXITSTATUS(status));
}

static bool input_has_ended(void)
{
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    return poll(&input, 1, 0) > 0;
}

static void load(unsigned seed)
{
    CUdeviceptr mine[4] = { 0 };
    unsigned long succeeded = 0, failed = 0, other = 0;
    srand(seed);
    puts("loading");
    while (!input_has_ended()) {
        CUdeviceptr *const one = &mine[rand() % 4];
        const size_t bytes = (size_t)(1 + rand() % 150) * MIB;
        if (*one) {
            cuMemFree_v2(*one);
            *one = 0;
        } else {
            const CUresult result = cuMemAlloc_v2(one, bytes);
            succeeded += result == CUDA_SUCCESS;
            failed += result == CUDA_ERROR_OUT_OF_MEMORY;
            other += result != CUDA_SUCCESS && result != CUDA_ERROR_OUT_OF_MEMORY;
        }
        usleep((useconds_t)(rand() % 3000));
    }
    printf("loaded %lu %lu %lu\n", succeeded, failed, other);
}

int main(void)
{
    char line[128], verb[16], name[16];
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(line, sizeof line, stdin)) {
        unsigned long number = 0;
        verb[0] = name[0] = '\0';
        sscanf(line, "%15s %15s %lu", verb, name, &number);
        if (strcmp(verb, "context") == 0)
            use_context(atoi(name));
        else if (strcmp(verb, "alloc") == 0)
            allocate(name, number);
        else if (strcmp(verb, "thread") == 0)
            start_job(name, number);
        else if (strcmp(verb, "join") == 0)
            join_jobs();
        else if (strcmp(verb, "free") == 0)
            give_back(name);
        else if (strcmp(verb, "handle") == 0)
            handle(atoi(name), say_signal), puts("handled");
        else if (strcmp(verb, "idle") == 0)
            start_idler();
        else if (strcmp(verb, "tick") == 0)
            tick();
        else if (strcmp(verb, "fork") == 0)
            make_child();
        else if (strcmp(verb, "load") == 0)
            load((unsigned)atoi(name));
        else
            return 1;
    }
    return 0;
}
