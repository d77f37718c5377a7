/* Streams, events and callbacks. */
#include <stdatomic.h>

#include "check.h"

static atomic_int called;

static void on_host(void *data)
{
    atomic_fetch_add(&called, *(int *)data);
}

static void on_stream(cudaStream_t stream, cudaError_t status, void *data)
{
    (void)stream;
    if (status == cudaSuccess)
        atomic_fetch_add(&called, *(int *)data);
}

#if CUDART_MAJOR >= 12 /* what version 11 lacks */
static void check_identity(cudaStream_t stream)
{
    int device = -1;
    unsigned long long first = 0;
    unsigned long long second = 0;
    OK(cudaStreamGetId(stream, &first));
    OK(cudaStreamGetId(NULL, &second));
    CHECK(first != second);
    OK(cudaStreamGetDevice(stream, &device));
    CHECK(device == 0);
}
#else
static void check_identity(cudaStream_t stream)
{
    (void)stream;
}
#endif

static void test_streams(void)
{
    cudaStream_t stream = NULL;
    unsigned int flags = 0;
    int least = -100;
    int greatest = 100;
    OK(cudaStreamCreate(&stream));
    OK(cudaStreamGetFlags(stream, &flags));
    CHECK(flags == cudaStreamDefault);
    check_identity(stream);
    OK(cudaStreamQuery(stream));
    OK(cudaStreamDestroy(stream));

    OK(cudaDeviceGetStreamPriorityRange(&least, &greatest));
    CHECK(greatest <= least);
    OK(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, greatest));
    OK(cudaStreamGetPriority(stream, &least));
    CHECK(least == greatest);
    OK(cudaStreamDestroy(stream));
    FAILS(cudaErrorInvalidResourceHandle, cudaStreamDestroy(NULL));
    FAILS(cudaErrorInvalidValue, cudaStreamCreate(NULL));
    (void)cudaGetLastError();
}

static void test_events(void)
{
    cudaEvent_t start = NULL;
    cudaEvent_t end = NULL;
    cudaStream_t stream = NULL;
    float ms = -1;
    OK(cudaStreamCreate(&stream));
    OK(cudaEventCreate(&start));
    OK(cudaEventCreateWithFlags(&end, cudaEventBlockingSync));
    OK(cudaEventRecord(start, stream));
    OK(cudaEventRecordWithFlags(end, stream, 0));
    OK(cudaEventSynchronize(end));
    OK(cudaEventQuery(end));
    OK(cudaEventElapsedTime(&ms, start, end));
    CHECK(ms >= 0 && ms < 10000);
    OK(cudaStreamWaitEvent(stream, end, 0));
    OK(cudaStreamSynchronize(stream));
    OK(cudaEventDestroy(start));
    OK(cudaEventDestroy(end));
    OK(cudaStreamDestroy(stream));
}

static void test_callbacks(void)
{
    cudaStream_t stream = NULL;
    int one = 1;
    int ten = 10;
    OK(cudaStreamCreate(&stream));
    OK(cudaLaunchHostFunc(stream, on_host, &one));
    OK(cudaStreamAddCallback(stream, on_stream, &ten, 0));
    OK(cudaStreamSynchronize(stream));
    CHECK(atomic_load(&called) == 11);
    FAILS(cudaErrorInvalidValue, cudaLaunchHostFunc(stream, NULL, NULL));
    (void)cudaGetLastError();
    OK(cudaStreamDestroy(stream));
}

int main(void)
{
    test_streams();
    test_events();
    test_callbacks();
    return 0;
}
