/* Keeps blocks of 16 MiB until the GPU has none left, says how many it got, and exits with 3. */
#include <stdio.h>

#include "driver/cuda_abi.h"

CUresult cuInit(unsigned int flags);
CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice device);
CUresult cuCtxSetCurrent(CUcontext context);
CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes);

int keep_blocks(void);

/* Exported, so that reports have a name for it. */
__attribute__((visibility("default"), noinline)) int keep_blocks(void)
{
    CUdeviceptr address;
    int count = 0;
    while (cuMemAlloc_v2(&address, (size_t)16 << 20) == CUDA_SUCCESS)
        count++;
    return count;
}

int main(void)
{
    CUcontext context;
    if (cuInit(0) || cuDevicePrimaryCtxRetain(&context, 0) || cuCtxSetCurrent(context)) {
        puts("no GPU");
        return 2;
    }
    printf("%d blocks\n", keep_blocks());
    return 3;
}
