/* An error that the context does not survive stays until the device is reset. The driver is told to
 * fail: SIMGPU_FAIL makes the second synchronization report a failed launch. */
#include "check.h"

int main(void)
{
    OK(cudaDeviceSynchronize());
    FAILS(cudaErrorLaunchFailure, cudaDeviceSynchronize());
    CHECK(cudaGetLastError() == cudaErrorLaunchFailure);
    CHECK(cudaGetLastError() == cudaErrorLaunchFailure);
    OK(cudaDeviceReset());
    CHECK(cudaGetLastError() == cudaSuccess);
    return 0;
}
