/* Stream-ordered allocation. One device of 64 MiB, contexts for nothing. */
#include "check.h"

int main(void)
{
    void *ptr = NULL;
    int marker = 0;
    cudaStream_t stream = NULL;
    cudaMemPool_t pool = NULL;
    unsigned long long used = 0;
    OK(cudaStreamCreate(&stream));
    cudaError_t err = cudaMallocAsync(&ptr, 8 * MiB, stream);
    skip_unless_supported(err, "stream-ordered allocation");
    OK(err);
    OK(cudaMemsetAsync(ptr, 1, 8 * MiB, stream));
    OK(cudaDeviceGetDefaultMemPool(&pool, 0));
    OK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used));
    CHECK(used == 8 * MiB);
    OK(cudaFreeAsync(ptr, stream));
    OK(cudaStreamSynchronize(stream));
    OK(cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used));
    CHECK(used == 0);
    OK(cudaMemPoolTrimTo(pool, 0));
    ptr = &marker;
    FAILS(cudaErrorMemoryAllocation, cudaMallocAsync(&ptr, 65 * MiB, stream));
    CHECK(ptr == &marker);
    CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);

    struct cudaMemPoolProps props = { .allocType = 1,
                                      .location = { cudaMemLocationTypeDevice, 0 } };
    OK(cudaMemPoolCreate(&pool, &props));
    OK(cudaMallocFromPoolAsync(&ptr, MiB, pool, stream));
    OK(cudaFree(ptr));
    OK(cudaMemPoolDestroy(pool));
    OK(cudaStreamDestroy(stream));
    return 0;
}
