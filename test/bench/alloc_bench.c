/* Times pairs of one allocation and one free over whatever libcuda.so.1 the loader finds.
 *
 *   alloc_bench LIVE THREADS PAIRS
 *
 * Each thread keeps LIVE / THREADS allocations and replaces a random one in each step; with LIVE 0
 * it frees what it has just allocated. Calls are made from a stack of realistic depth. Prints the
 * nanoseconds of one pair in one thread. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "driver/cuda_abi.h"

enum { STACK_DEPTH = 16, MAX_THREADS = 64 };

static CUresult (*alloc)(CUdeviceptr *, size_t);
static CUresult (*release)(CUdeviceptr);
static unsigned long live_each, pairs;
static pthread_barrier_t barrier;

static double now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void fail(const char *what)
{
    fprintf(stderr, "alloc_bench: %s\n", what);
    exit(1);
}

static double measure(CUdeviceptr *live, unsigned seed)
{
    unsigned long state = seed * 2654435761u + 1;
    for (unsigned long i = 0; i < live_each; i++)
        if (alloc(&live[i], 4096) != CUDA_SUCCESS)
            fail("an allocation failed");
    CUdeviceptr address;
    double start = 0;
    for (unsigned long i = 0; i < pairs + pairs / 4; i++) {
        if (i == pairs / 4) { /* the first quarter warms up */
            pthread_barrier_wait(&barrier);
            start = now_ns();
        }
        state = state * 6364136223846793005ul + 1442695040888963407ul;
        CUdeviceptr *const slot = live_each ? &live[(state >> 33) % live_each] : &address;
        if (live_each)
            release(*slot);
        if (alloc(slot, 4096) != CUDA_SUCCESS)
            fail("an allocation failed");
        if (!live_each)
            release(*slot);
    }
    return (now_ns() - start) / (double)pairs;
}

/* Frames between main and the call, as a program has them. */
static __attribute__((noinline)) double descend(int depth, CUdeviceptr *live, unsigned seed)
{
    const double result = depth ? descend(depth - 1, live, seed) : measure(live, seed);
    __asm__ volatile("" ::: "memory"); /* no tail call */
    return result;
}

struct task {
    pthread_t thread;
    unsigned seed;
    double ns;
};

static void *run(void *argument)
{
    struct task *const task = argument;
    CUdeviceptr *const live = malloc((live_each + 1) * sizeof *live);
    if (!live)
        fail("out of host memory");
    task->ns = descend(STACK_DEPTH - 4, live, task->seed);
    free(live);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct task tasks[MAX_THREADS];
    if (argc != 4)
        fail("usage: alloc_bench LIVE THREADS PAIRS");
    const unsigned threads = (unsigned)atoi(argv[2]);
    if (threads < 1 || threads > MAX_THREADS)
        fail("1 to 64 threads");
    live_each = strtoul(argv[1], NULL, 10) / threads;
    pairs = strtoul(argv[3], NULL, 10);
    void *const driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (!driver)
        fail(dlerror());
    *(void **)&alloc = dlsym(driver, "cuMemAlloc_v2");
    *(void **)&release = dlsym(driver, "cuMemFree_v2");
    if (!alloc || !release)
        fail("cuMemAlloc_v2 or cuMemFree_v2 is missing");
    pthread_barrier_init(&barrier, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        tasks[i].seed = i + 1;
        pthread_create(&tasks[i].thread, NULL, run, &tasks[i]);
    }
    double sum = 0;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(tasks[i].thread, NULL);
        sum += tasks[i].ns;
    }
    printf("%.2f\n", sum / threads);
    return 0;
}
