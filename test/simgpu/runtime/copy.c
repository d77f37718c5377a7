/* What is copied in comes back out, whichever way. */
#include <string.h>

#include "check.h"

enum { BYTES = 1 << 16 };
static unsigned char in[BYTES], out[BYTES];

cudaError_t cudaMemcpy_ptds(void *dst, const void *src, size_t bytes, int kind);

static void fill(unsigned int seed)
{
    for (int i = 0; i < BYTES; i++)
        in[i] = (unsigned char)((unsigned int)i * 31 + seed);
    memset(out, 0, sizeof out);
}

static void test_linear(void *a, void *b)
{
    fill(1);
    OK(cudaMemcpy(a, in, BYTES, cudaMemcpyHostToDevice));
    OK(cudaMemcpy(b, a, BYTES, cudaMemcpyDeviceToDevice));
    OK(cudaMemcpy(out, b, BYTES, cudaMemcpyDeviceToHost));
    CHECK(memcmp(in, out, BYTES) == 0);

    fill(2);
    OK(cudaMemcpy(a, in, BYTES, cudaMemcpyDefault));
    OK(cudaMemcpy_ptds(out, a, BYTES, cudaMemcpyDefault));
    CHECK(memcmp(in, out, BYTES) == 0);

    fill(3);
    OK(cudaMemcpy(out, in, BYTES, cudaMemcpyHostToHost));
    CHECK(memcmp(in, out, BYTES) == 0);
    OK(cudaMemcpy(a, in, 0, cudaMemcpyHostToDevice));
    FAILS(cudaErrorInvalidMemcpyDirection, cudaMemcpy(a, in, BYTES, 5));
    FAILS(cudaErrorInvalidMemcpyDirection, cudaMemcpy(a, in, 0, -1));
    (void)cudaGetLastError();
}

static void test_async(void *a)
{
    cudaStream_t stream = NULL;
    OK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    fill(4);
    OK(cudaMemcpyAsync(a, in, BYTES, cudaMemcpyHostToDevice, stream));
    OK(cudaMemcpyAsync(out, a, BYTES, cudaMemcpyDeviceToHost, stream));
    OK(cudaStreamSynchronize(stream));
    CHECK(memcmp(in, out, BYTES) == 0);
    OK(cudaStreamDestroy(stream));
}

static void test_set(void *a)
{
    fill(5);
    OK(cudaMemcpy(a, in, BYTES, cudaMemcpyHostToDevice));
    OK(cudaMemset((char *)a + 16, 0x1ab, 32)); /* only the low byte counts */
    OK(cudaMemsetAsync((char *)a + 64, 7, 1, NULL));
    OK(cudaMemcpy(out, a, BYTES, cudaMemcpyDeviceToHost));
    memset(in + 16, 0xab, 32);
    in[64] = 7;
    CHECK(memcmp(in, out, BYTES) == 0);
}

/* 4 rows of 8 bytes, 100 apart here and 256 apart there. */
static void test_two_dimensions(void *a)
{
    fill(6);
    OK(cudaMemset(a, 0, BYTES));
    OK(cudaMemcpy2D(a, 256, in, 100, 8, 4, cudaMemcpyHostToDevice));
    OK(cudaMemcpy(out, a, BYTES, cudaMemcpyDeviceToHost));
    for (size_t row = 0; row < 4; row++) {
        CHECK(memcmp(out + row * 256, in + row * 100, 8) == 0);
        CHECK(out[row * 256 + 8] == 0);
    }
    OK(cudaMemset2D((char *)a + 256, 256, 0x11, 4, 2));
    OK(cudaMemcpy2DAsync(out, 16, a, 256, 8, 4, cudaMemcpyDeviceToHost, NULL));
    OK(cudaDeviceSynchronize());
    CHECK(memcmp(out, in, 8) == 0);
    CHECK(out[16] == 0x11 && out[19] == 0x11 && out[20] == in[100 + 4]);
    CHECK(memcmp(out + 48, in + 300, 8) == 0);
    FAILS(cudaErrorInvalidPitchValue, cudaMemcpy2D(a, 7, in, 8, 8, 1, cudaMemcpyHostToDevice));
    (void)cudaGetLastError();

    struct cudaPitchedPtr box = { a, 64, 64, 4 };
    OK(cudaMemset(a, 0, BYTES));
    OK(cudaMemset3D(box, 9, (struct cudaExtent){ 3, 2, 2 }));
    OK(cudaMemcpy(out, a, BYTES, cudaMemcpyDeviceToHost));
    CHECK(out[0] == 9 && out[2] == 9 && out[3] == 0 && out[64] == 9 && out[128] == 0);
    CHECK(out[256] == 9 && out[256 + 64] == 9 && out[512] == 0);
}

int main(void)
{
    void *a = NULL;
    void *b = NULL;
    OK(cudaMalloc(&a, BYTES));
    OK(cudaMalloc(&b, BYTES));
    test_linear(a, b);
    test_async(a);
    test_set(a);
    test_two_dimensions(a);
    OK(cudaFree(a));
    OK(cudaFree(b));
    return 0;
}
