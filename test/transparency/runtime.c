/* Memory through the CUDA runtime, linked statically or dynamically. The declarations are those of
 * "CUDA Runtime API", section "Memory Management". */
#include <stdio.h>
#include <string.h>

#include "observe.h"

int cudaMalloc(void **address, size_t bytes);
int cudaMallocAsync(void **address, size_t bytes, void *stream);
int cudaMallocManaged(void **address, size_t bytes, unsigned flags);
int cudaMallocPitch(void **address, size_t *pitch, size_t width, size_t height);
int cudaMallocHost(void **address, size_t bytes);
int cudaFree(void *address);
int cudaFreeAsync(void *address, void *stream);
int cudaFreeHost(void *address);
int cudaMemcpy(void *to, const void *from, size_t bytes, int kind);
int cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes);
int cudaGetLastError(void);
int cudaDeviceSynchronize(void);
int cudaDeviceReset(void);
const char *cudaGetErrorName(int error);

#define SAY(call) printf("%s = %s\n", #call, cudaGetErrorName(call))

int main(void)
{
    void *a = NULL, *b = NULL, *c = NULL, *d = NULL, *huge = &a;
    char sent[] = "copied", got[sizeof sent] = "";
    size_t free_bytes, total_bytes, pitch = 0;
    SAY(cudaMalloc(&a, 1 << 20));
    SAY(cudaMemcpy(a, sent, sizeof sent, 1));
    SAY(cudaMemcpy(got, a, sizeof got, 2));
    printf("%s\n", got);
    SAY(cudaMallocAsync(&b, 1 << 20, NULL));
    SAY(cudaMallocManaged(&c, 1 << 20, 1));
    SAY(cudaMallocPitch(&d, &pitch, 1000, 10));
    SAY(cudaMalloc(&huge, (size_t)1 << 40));
    printf("pitch %zu, %s\n", pitch, huge == &a ? "untouched" : "changed");
    SAY(cudaGetLastError());
    SAY(cudaMemGetInfo(&free_bytes, &total_bytes));
    printf("%zu of %zu\n", free_bytes, total_bytes);
    SAY(cudaFree(NULL));
    SAY(cudaFree((char *)a + 64));
    SAY(cudaFree(a));
    SAY(cudaFree(a));
    SAY(cudaFreeAsync(b, NULL));
    SAY(cudaDeviceSynchronize());
    SAY(cudaFree(c));
    SAY(cudaFree(d));
    SAY(cudaMallocHost(&a, 4096));
    SAY(cudaFreeHost(a));
    SAY(cudaMemGetInfo(&free_bytes, &total_bytes));
    printf("%zu of %zu\n", free_bytes, total_bytes);
    SAY(cudaDeviceReset());
    return 0;
}
