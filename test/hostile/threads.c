/* threads COUNT ROUNDS STACK_KIB FAILURES [USED_KIB]: each thread makes its first call when all are
 * there, then allocates, keeping 100, and fails. STACK_KIB 0 is the default size, 1 the smallest;
 * USED_KIB is how much of it the thread's own frames have in use by then, after a first call in the
 * main thread. */
#include <alloca.h>
#include <pthread.h>

#include "cuda_calls.h"

static pthread_barrier_t start_line;
static long rounds, failures, used_kib;
static CUcontext context;

static void *work(void *argument)
{
    CUdeviceptr kept[100] = { 0 };
    (void)argument;
    *(volatile char *)alloca((size_t)used_kib * 1024 + 1) = 0;
    MUST(cuCtxSetCurrent(context) == CUDA_SUCCESS);
    pthread_barrier_wait(&start_line);
    for (long i = 0; i < rounds; i++) {
        CUdeviceptr *const mine = &kept[i % 100];
        if (*mine)
            MUST(cuMemFree_v2(*mine) == CUDA_SUCCESS);
        *mine = take(4096);
    }
    for (long i = 0; i < failures; i++)
        fail_once();
    return NULL;
}

int main(int argc, char **argv)
{
    MUST(argc == 5 || argc == 6);
    const long count = strtol(argv[1], NULL, 10), stack_kib = strtol(argv[3], NULL, 10);
    rounds = strtol(argv[2], NULL, 10);
    failures = strtol(argv[4], NULL, 10);
    used_kib = argc == 6 ? strtol(argv[5], NULL, 10) : 0;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    const long smallest = sysconf(_SC_THREAD_STACK_MIN);
    if (stack_kib)
        MUST(pthread_attr_setstacksize(
                 &attributes, (size_t)(stack_kib == 1 ? smallest : stack_kib * 1024)) == 0);
    MUST(cuInit(0) == CUDA_SUCCESS);
    MUST(cuDevicePrimaryCtxRetain(&context, 0) == CUDA_SUCCESS);
    if (argc == 6) {
        MUST(cuCtxSetCurrent(context) == CUDA_SUCCESS);
        MUST(cuMemFree_v2(take(4096)) == CUDA_SUCCESS);
    }
    pthread_barrier_init(&start_line, NULL, (unsigned)count);
    pthread_t threads[64];
    for (long i = 0; i < count; i++)
        MUST(pthread_create(&threads[i], &attributes, work, NULL) == 0);
    for (long i = 0; i < count; i++)
        pthread_join(threads[i], NULL);
    printf("done\n");
    return 0;
}
