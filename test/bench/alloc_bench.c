/* Times pairs of one allocation and one free over whatever libcuda.so.1 the loader finds.
 *
 *   alloc_bench WAY LIVE THREADS PAIRS
 *
 * WAY: device (cuMemAlloc), async (cuMemAllocAsync), pool (cuMemAllocFromPoolAsync), virtual
 * (create, map, unmap, release: four calls).
 *
 * Each thread keeps LIVE / THREADS allocations and replaces a random one in each step; with LIVE 0
 * it frees what it has just allocated. Calls are made from a stack of realistic depth. Prints the
 * nanoseconds of one pair in one thread: the median of batches, which a busy machine disturbs
 * least, and the mean. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "driver/cuda_abi.h"

enum { STACK_DEPTH = 16, MAX_THREADS = 64 };

enum { BYTES = 4096, BATCH_PAIRS = 64 };

static CUresult (*mem_alloc)(CUdeviceptr *, size_t);
static CUresult (*mem_free)(CUdeviceptr);
static CUresult (*alloc_async)(CUdeviceptr *, size_t, CUstream);
static CUresult (*alloc_from_pool)(CUdeviceptr *, size_t, CUmemoryPool, CUstream);
static CUresult (*free_async)(CUdeviceptr, CUstream);
static CUresult (*create)(CUmemGenericAllocationHandle *, size_t, const CUmemAllocationProp *,
                          unsigned long long);
static CUresult (*release_handle)(CUmemGenericAllocationHandle);
static CUresult (*map)(CUdeviceptr, size_t, size_t, CUmemGenericAllocationHandle,
                       unsigned long long);
static CUresult (*unmap)(CUdeviceptr, size_t);

static CUresult take_device(CUdeviceptr *address)
{
    return mem_alloc(address, BYTES);
}

static CUresult give_device(CUdeviceptr address)
{
    return mem_free(address);
}

static CUresult take_async(CUdeviceptr *address)
{
    return alloc_async(address, BYTES, NULL);
}

static CUresult give_async(CUdeviceptr address)
{
    return free_async(address, NULL);
}

static CUresult take_pool(CUdeviceptr *address)
{
    return alloc_from_pool(address, BYTES, NULL, NULL);
}

static CUresult take_virtual(CUdeviceptr *address)
{
    static const CUmemAllocationProp on_device = {
        .type = 1, .location = { .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = 0 }
    };
    const CUresult result = create(address, BYTES, &on_device, 0);
    return result ? result : map(*address, BYTES, 0, *address, 0);
}

static CUresult give_virtual(CUdeviceptr address)
{
    const CUresult result = unmap(address, BYTES);
    return result ? result : release_handle(address);
}

static const struct {
    const char *name;
    CUresult (*take)(CUdeviceptr *address);
    CUresult (*give)(CUdeviceptr address);
} ways[] = {
    { "device", take_device, give_device },
    { "async", take_async, give_async },
    { "pool", take_pool, give_async },
    { "virtual", take_virtual, give_virtual },
};

static CUresult (*alloc)(CUdeviceptr *);
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

static void *look_up(const char *name)
{
    static void *driver;
    if (!driver && !(driver = dlopen("libcuda.so.1", RTLD_NOW)))
        fail(dlerror());
    void *const found = dlsym(driver, name);
    if (!found)
        fail(dlerror());
    return found;
}

static void choose(const char *way)
{
    *(void **)&mem_alloc = look_up("cuMemAlloc_v2");
    *(void **)&mem_free = look_up("cuMemFree_v2");
    *(void **)&alloc_async = look_up("cuMemAllocAsync");
    *(void **)&alloc_from_pool = look_up("cuMemAllocFromPoolAsync");
    *(void **)&free_async = look_up("cuMemFreeAsync");
    *(void **)&create = look_up("cuMemCreate");
    *(void **)&release_handle = look_up("cuMemRelease");
    *(void **)&map = look_up("cuMemMap");
    *(void **)&unmap = look_up("cuMemUnmap");
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        if (strcmp(ways[i].name, way) == 0) {
            alloc = ways[i].take;
            release = ways[i].give;
            return;
        }
    fail("unknown way");
}

static void make_pairs(CUdeviceptr *live, unsigned long *state, unsigned long count)
{
    CUdeviceptr address;
    for (unsigned long i = 0; i < count; i++) {
        *state = *state * 6364136223846793005ul + 1442695040888963407ul;
        CUdeviceptr *const slot = live_each ? &live[(*state >> 33) % live_each] : &address;
        if (live_each)
            release(*slot);
        if (alloc(slot) != CUDA_SUCCESS)
            fail("an allocation failed");
        if (!live_each)
            release(*slot);
    }
}

static int compare_numbers(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct timing {
    double median_ns, mean_ns; /* of a pair */
};

static struct timing measure(CUdeviceptr *live, unsigned seed)
{
    unsigned long state = seed * 2654435761u + 1;
    const unsigned long batches = pairs / BATCH_PAIRS + 1;
    double *const took_ns = malloc(batches * sizeof *took_ns);
    if (!took_ns)
        fail("out of host memory");
    for (unsigned long i = 0; i < live_each; i++)
        if (alloc(&live[i]) != CUDA_SUCCESS)
            fail("an allocation failed");
    make_pairs(live, &state, pairs / 4); /* warms up */
    pthread_barrier_wait(&barrier);
    const double start_ns = now_ns();
    double last_ns = start_ns;
    for (unsigned long i = 0; i < batches; i++) {
        make_pairs(live, &state, BATCH_PAIRS);
        const double now = now_ns();
        took_ns[i] = (now - last_ns) / BATCH_PAIRS;
        last_ns = now;
    }
    qsort(took_ns, batches, sizeof *took_ns, compare_numbers);
    const struct timing timing = { .median_ns = took_ns[batches / 2],
                                   .mean_ns =
                                       (last_ns - start_ns) / (double)(batches * BATCH_PAIRS) };
    free(took_ns);
    return timing;
}

/* Frames between main and the call, as a program has them. */
static __attribute__((noinline)) struct timing descend(int depth, CUdeviceptr *live, unsigned seed)
{
    const struct timing result = depth ? descend(depth - 1, live, seed) : measure(live, seed);
    __asm__ volatile("" ::: "memory"); /* no tail call */
    return result;
}

struct task {
    pthread_t thread;
    unsigned seed;
    struct timing timing;
};

static void *run(void *argument)
{
    struct task *const task = argument;
    CUdeviceptr *const live = malloc((live_each + 1) * sizeof *live);
    if (!live)
        fail("out of host memory");
    task->timing = descend(STACK_DEPTH - 4, live, task->seed);
    free(live);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct task tasks[MAX_THREADS];
    if (argc != 5)
        fail("usage: alloc_bench WAY LIVE THREADS PAIRS");
    choose(argv[1]);
    const unsigned threads = (unsigned)atoi(argv[3]);
    if (threads < 1 || threads > MAX_THREADS)
        fail("1 to 64 threads");
    live_each = strtoul(argv[2], NULL, 10) / threads;
    pairs = strtoul(argv[4], NULL, 10);
    pthread_barrier_init(&barrier, NULL, threads);
    for (unsigned i = 0; i < threads; i++) {
        tasks[i].seed = i + 1;
        pthread_create(&tasks[i].thread, NULL, run, &tasks[i]);
    }
    double median_ns = 0, mean_ns = 0;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(tasks[i].thread, NULL);
        median_ns += tasks[i].timing.median_ns / threads;
        mean_ns += tasks[i].timing.mean_ns / threads;
    }
    printf("%.2f %.2f\n", median_ns, mean_ns);
    return 0;
}
