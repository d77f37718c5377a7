/* Arrays and three-dimensional copies. */
#include <string.h>

#include "check.h"

static void test_array(void)
{
    float in[6] = { 1, 2, 3, 4, 5, 6 };
    float out[6] = { 0 };
    cudaArray_t array = NULL;
    struct cudaChannelFormatDesc desc =
        cudaCreateChannelDesc(32, 0, 0, 0, cudaChannelFormatKindFloat);
    cudaError_t err = cudaMallocArray(&array, &desc, 3, 2, 0);
    skip_unless_supported(err, "arrays");
    OK(err);
    OK(cudaMemcpy2DToArray(array, 0, 0, in, 12, 12, 2, cudaMemcpyHostToDevice));
    OK(cudaMemcpy2DFromArray(out, 12, array, 0, 0, 12, 2, cudaMemcpyDeviceToHost));
    CHECK(memcmp(in, out, sizeof in) == 0);

    struct cudaExtent extent = { 0 };
    struct cudaChannelFormatDesc found = { 0 };
    OK(cudaArrayGetInfo(&found, &extent, NULL, array));
    CHECK(extent.width == 3 && extent.height == 2 && extent.depth == 0);
    CHECK(found.x == 32 && found.y == 0 && found.f == cudaChannelFormatKindFloat);

    memset(out, 0, sizeof out);
    struct cudaMemcpy3DParms copy = { .srcArray = array,
                                      .dstPtr = { out, 12, 12, 2 },
                                      .extent = { 3, 2, 1 },
                                      .kind = cudaMemcpyDeviceToHost };
    OK(cudaMemcpy3D(&copy));
    CHECK(memcmp(in, out, sizeof in) == 0);
    OK(cudaFreeArray(array));
    OK(cudaFreeArray(NULL));
    desc.y = 16; /* channels of different sizes */
    FAILS(cudaErrorInvalidChannelDescriptor, cudaMallocArray(&array, &desc, 3, 2, 0));
    desc.y = desc.z = 32; /* three channels */
    FAILS(cudaErrorInvalidChannelDescriptor, cudaMallocArray(&array, &desc, 3, 2, 0));
    (void)cudaGetLastError();
}

int main(void)
{
    test_array();
    return 0;
}
