/* load SEED MS THREADS: takes and gives back memory of all GPUs at random for some time. Prints one
 * line: how many allocations, how many of them failed, how many were served after more than 5 ms,
 * and how long the longest call took, in ms. No failure is an error, any other result is. */
#include <pthread.h>
#include <stdatomic.h>

#include "cuda.h"

enum { THREADS_MAX = 8, HELD_MAX = 4, GPUS_MAX = 4 };

static CUcontext contexts[GPUS_MAX];
static int gpu_count;
static uint64_t end_ns;
static unsigned first_seed;
static _Atomic uint64_t asked, failed, waited, longest_ns;

static void note_longest(uint64_t ns)
{
    uint64_t seen = longest_ns;
    while (ns > seen && !atomic_compare_exchange_weak(&longest_ns, &seen, ns))
        ;
}

/* Returns 0 when there is no room. */
static CUdeviceptr allocate(unsigned *seed)
{
    CUdeviceptr address = 77;
    const size_t bytes = (rand_r(seed) % 3 ? 1 + (size_t)rand_r(seed) % 90 : 1) * MIB / 2;
    const uint64_t begin_ns = now_ns();
    const CUresult result = cuMemAlloc_v2(&address, bytes);
    const uint64_t took_ns = now_ns() - begin_ns;
    MUST(result == CUDA_SUCCESS || (result == CUDA_ERROR_OUT_OF_MEMORY && address == 77));
    asked++;
    failed += result != CUDA_SUCCESS;
    waited += result == CUDA_SUCCESS && took_ns > 5000000;
    note_longest(took_ns);
    return result == CUDA_SUCCESS ? address : 0;
}

static void *work(void *argument)
{
    unsigned seed = first_seed + 7919 * (unsigned)(uintptr_t)argument;
    CUdeviceptr held[HELD_MAX] = { 0 };
    const int gpu = rand_r(&seed) % gpu_count;
    if (!contexts[gpu])
        return NULL;
    MUST(cuCtxSetCurrent(contexts[gpu]) == CUDA_SUCCESS);
    while (now_ns() < end_ns) {
        CUdeviceptr *const place = &held[rand_r(&seed) % HELD_MAX];
        if (*place) {
            MUST(cuMemFree_v2(*place) == CUDA_SUCCESS);
            *place = 0;
        } else {
            *place = allocate(&seed);
        }
        sleep_us((uint64_t)rand_r(&seed) % 40000);
    }
    const int keeps = rand_r(&seed) % 2; /* what is left, the end of the process frees */
    for (int i = 0; i < HELD_MAX && !keeps; i++)
        if (held[i])
            MUST(cuMemFree_v2(held[i]) == CUDA_SUCCESS);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX];
    MUST(argc == 4);
    first_seed = (unsigned)strtoul(argv[1], NULL, 10);
    const long count = strtol(argv[3], NULL, 10);
    MUST(count > 0 && count <= THREADS_MAX);
    MUST(cuInit(0) == CUDA_SUCCESS);
    MUST(cuDeviceGetCount(&gpu_count) == CUDA_SUCCESS && gpu_count > 0 && gpu_count <= GPUS_MAX);
    for (int i = 0; i < gpu_count; i++) {
        const CUresult result = cuDevicePrimaryCtxRetain(&contexts[i], i);
        MUST(result == CUDA_SUCCESS || result == CUDA_ERROR_OUT_OF_MEMORY);
        if (result != CUDA_SUCCESS)
            contexts[i] = NULL;
    }
    end_ns = now_ns() + strtoul(argv[2], NULL, 10) * 1000000;
    for (long i = 0; i < count; i++)
        MUST(pthread_create(&threads[i], NULL, work, (void *)(uintptr_t)i) == 0);
    for (long i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    printf("%lu %lu %lu %lu\n", (unsigned long)asked, (unsigned long)failed, (unsigned long)waited,
           (unsigned long)(longest_ns / 1000000));
    return 0;
}
