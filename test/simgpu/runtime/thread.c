/* What is per thread: the last error and the current device. What is not: the context. */
#include <pthread.h>

#include "check.h"

static void *other_thread(void *shared)
{
    int device = -1;
    CHECK(cudaPeekAtLastError() == cudaSuccess);
    OK(cudaGetDevice(&device));
    CHECK(device == 0);
    OK(cudaFree(*(void **)shared)); /* memory of another thread */
    FAILS(cudaErrorInvalidDevice, cudaSetDevice(99));
    CHECK(cudaPeekAtLastError() == cudaErrorInvalidDevice);
    return NULL;
}

static void *allocate_often(void *unused)
{
    for (int i = 0; i < 2000; i++) {
        void *ptr = NULL;
        OK(cudaMalloc(&ptr, 4096));
        OK(cudaFree(ptr));
    }
    return unused;
}

int main(void)
{
    enum { THREADS = 4 };
    pthread_t threads[THREADS];
    void *ptr = NULL;
    int device = -1;

    /* The first calls of a process may come from several threads at once. */
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, allocate_often, NULL) == 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);

    OK(cudaMalloc(&ptr, MiB));
    OK(cudaSetDevice(1));
    FAILS(cudaErrorInvalidValue, cudaMalloc(NULL, 1));
    CHECK(pthread_create(&threads[0], NULL, other_thread, &ptr) == 0);
    pthread_join(threads[0], NULL);
    CHECK(cudaPeekAtLastError() == cudaErrorInvalidValue);
    OK(cudaGetDevice(&device));
    CHECK(device == 1);
    CHECK(cudaGetLastError() == cudaErrorInvalidValue);
    CHECK(cudaGetLastError() == cudaSuccess);
    return 0;
}
