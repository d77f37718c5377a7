/* many_threads COUNT ROUNDS: threads that make their first call together, take memory of all kinds,
 * free each other's, look functions up, mark, write reports, and run out of memory now and then.
 * Built, as the library and the simulator under it, to find data races. Prints how many calls of
 * each kind succeeded and failed. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "driver/cuda_abi.h"
#include "vramguard.h"

CUresult cuInit(unsigned int flags);
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device);
CUresult cuCtxSetCurrent(CUcontext context);
CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes);
CUresult cuMemFree_v2(CUdeviceptr address);
CUresult cuMemAllocAsync(CUdeviceptr *address, size_t bytes, CUstream stream);
CUresult cuMemFreeAsync(CUdeviceptr address, CUstream stream);
CUresult cuMemHostAlloc(void **address, size_t bytes, unsigned int flags);
CUresult cuMemFreeHost(void *address);
CUresult cuMemAllocManaged(CUdeviceptr *address, size_t bytes, unsigned int flags);
CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t bytes,
                     const CUmemAllocationProp *properties, unsigned long long flags);
CUresult cuMemRelease(CUmemGenericAllocationHandle handle);
CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes);
CUresult cuGetProcAddress(const char *name, void **function, int version, cuuint64_t flags);

enum { SLOTS = 64, MIB = 1 << 20 };

static pthread_barrier_t start_line;

static int rounds;
static bool races;
/* Addresses on their way from one thread to another. */
static _Atomic CUdeviceptr slots[SLOTS];
static atomic_long taken, refused, looked_up, reports, forks;

static uint32_t next_random(uint32_t *seed)
{
    return *seed = *seed * 1664525u + 1013904223u;
}

/* Seen to be found: a count that nothing guards. */
static long unguarded;

/* Puts memory into a slot and frees what another thread has left there. */
static void exchange(uint32_t *seed)
{
    CUdeviceptr address = 0;
    const size_t bytes = (size_t)4096 << next_random(seed) % 8;
    if (cuMemAlloc_v2(&address, bytes) != CUDA_SUCCESS) {
        atomic_fetch_add(&refused, 1);
        return;
    }
    atomic_fetch_add(&taken, 1);
    const CUdeviceptr other = atomic_exchange(&slots[next_random(seed) % SLOTS], address);
    if (other && cuMemFree_v2(other) != CUDA_SUCCESS)
        abort();
}

static void take_other_kinds(void)
{
    CUdeviceptr address;
    void *host;
    if (cuMemAllocAsync(&address, 65536, NULL) == CUDA_SUCCESS)
        cuMemFreeAsync(address, NULL);
    if (cuMemHostAlloc(&host, 65536, 0) == CUDA_SUCCESS)
        cuMemFreeHost(host);
    if (cuMemAllocManaged(&address, 65536, 1) == CUDA_SUCCESS)
        cuMemFree_v2(address);
    CUmemGenericAllocationHandle handle;
    const CUmemAllocationProp properties = { .type = 1, .location = { .type = 1, .id = 0 } };
    if (cuMemCreate(&handle, 2 * MIB, &properties, 0) == CUDA_SUCCESS)
        cuMemRelease(handle);
}

static void run_out(void)
{
    CUdeviceptr address;
    if (cuMemAlloc_v2(&address, (size_t)1 << 40) != CUDA_ERROR_OUT_OF_MEMORY)
        abort();
    atomic_fetch_add(&refused, 1);
}

static void look_up(void)
{
    void *function;
    size_t free_bytes, total_bytes;
    if (cuGetProcAddress("cuMemAlloc", &function, 12000, 0) == CUDA_SUCCESS &&
        dlsym(RTLD_DEFAULT, "cuMemFree_v2") &&
        cuMemGetInfo_v2(&free_bytes, &total_bytes) == CUDA_SUCCESS)
        atomic_fetch_add(&looked_up, 1);
}

static void report(int thread)
{
    char text[32];
    snprintf(text, sizeof text, "thread %d", thread);
    vramguard_mark(text);
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (vramguard_write_report(null) == 0)
        atomic_fetch_add(&reports, 1);
    close(null);
}

static void fork_once(void)
{
    const pid_t child = fork();
    if (child == 0)
        _exit(0);
    int status;
    if (child > 0 && waitpid(child, &status, 0) == child && status == 0)
        atomic_fetch_add(&forks, 1);
}

static void *work(void *argument)
{
    const int thread = (int)(intptr_t)argument;
    uint32_t seed = (uint32_t)thread * 7919 + 1;
    CUcontext own;
    pthread_barrier_wait(&start_line);
    if (cuInit(0) != CUDA_SUCCESS || cuDevicePrimaryCtxRetain(&own, 0) != CUDA_SUCCESS ||
        cuCtxSetCurrent(own) != CUDA_SUCCESS)
        abort();
    for (int i = 0; i < rounds; i++) {
        if (races)
            unguarded++;
        exchange(&seed);
        if (i % 4 == 0)
            take_other_kinds();
        if (i % 16 == 0)
            look_up();
        if (i % 64 == 1)
            run_out();
        if (i % 64 == 33)
            report(thread);
        if (i % 128 == 65)
            fork_once();
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[64];
    if (argc != 3)
        return 2;
    const int count = atoi(argv[1]);
    rounds = atoi(argv[2]);
    races = getenv("MANY_THREADS_RACE") != NULL;
    if (count < 1 || count > 64)
        return 2;
    pthread_barrier_init(&start_line, NULL, (unsigned)count);
    for (int i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)(intptr_t)i) != 0)
            return 2;
    for (int i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    printf("taken %ld refused %ld looked up %ld reports %ld forks %ld\n", taken, refused, looked_up,
           reports, forks);
    return 0;
}
