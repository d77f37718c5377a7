/* Device code as nvcc's host stubs register and launch it. The image is a few bytes: nothing here
 * executes or reads it. */
#include <string.h>

#include "check.h"
#include "registration.h"

/* The wrapper that nvcc emits around an image: magic, version, data, unused (fatbinary_section.h).
 */
static const unsigned long long image[] = { 0x00100001ba55ed50ull, 0 };
static struct {
    int magic, version;
    const unsigned long long *data;
    void *unused;
} wrapper = { 0x466243b1, 1, image, NULL };

static char host_function, host_variable, not_registered; /* only their addresses matter */

static void test_launch(void)
{
    const dim3 one = { 1, 1, 1 };
    const dim3 none = { 0, 1, 1 };
    const dim3 many = { 1025, 1, 1 };
    void *args[] = { NULL };
    OK(cudaLaunchKernel(&host_function, one, one, args, 0, NULL));
    OK(cudaLaunchCooperativeKernel(&host_function, one, one, args, 0, NULL));
    cudaLaunchConfig_t config = { .gridDim = one, .blockDim = one };
    OK(cudaLaunchKernelExC(&config, &host_function, args));
#if CUDART_MAJOR >= 12
    cudaKernel_t kernel = NULL;
    OK(__cudaGetKernel(&kernel, &host_function));
    OK(__cudaLaunchKernel(kernel, one, one, args, 0, NULL));
    OK(__cudaLaunchKernel_ptsz(kernel, one, one, args, 0, NULL));
    FAILS(cudaErrorInvalidDeviceFunction, __cudaGetKernel(&kernel, &not_registered));
    (void)cudaGetLastError();
#endif
    OK(cudaDeviceSynchronize());

    FAILS(cudaErrorInvalidDeviceFunction, cudaLaunchKernel(&not_registered, one, one, args, 0, 0));
    FAILS(cudaErrorInvalidDeviceFunction, cudaLaunchKernel(&host_variable, one, one, args, 0, 0));
    FAILS(cudaErrorInvalidConfiguration, cudaLaunchKernel(&host_function, none, one, args, 0, 0));
    FAILS(cudaErrorInvalidConfiguration, cudaLaunchKernel(&host_function, one, many, args, 0, 0));
    FAILS(cudaErrorInvalidValue,
          cudaLaunchKernel(&host_function, one, one, args, (size_t)1 << 30, NULL));
    FAILS(cudaErrorInvalidValue,
          cudaLaunchKernel(&host_function, one, one, args, (size_t)1 << 32, NULL));
    FAILS(cudaErrorInvalidValue, cudaLaunchKernelExC(NULL, &host_function, args));
    CHECK(cudaGetLastError() == cudaErrorInvalidValue);
}

static void test_configurations(void)
{
    dim3 grid = { 0, 0, 0 };
    dim3 block = { 0, 0, 0 };
    size_t shared_bytes = 0;
    cudaStream_t stream = NULL;
    CHECK(__cudaPushCallConfiguration((dim3){ 1, 2, 3 }, (dim3){ 4, 5, 6 }, 7, NULL) == 0);
    CHECK(__cudaPushCallConfiguration((dim3){ 9, 1, 1 }, (dim3){ 1, 1, 1 }, 8, NULL) == 0);
    OK(__cudaPopCallConfiguration(&grid, &block, &shared_bytes, &stream));
    CHECK(grid.x == 9 && shared_bytes == 8);
    OK(__cudaPopCallConfiguration(&grid, &block, &shared_bytes, &stream));
    CHECK(grid.z == 3 && block.y == 5 && shared_bytes == 7);
    FAILS(cudaErrorMissingConfiguration,
          __cudaPopCallConfiguration(&grid, &block, &shared_bytes, &stream));
    (void)cudaGetLastError();
}

static void test_functions(void)
{
    struct cudaFuncAttributes attributes;
    int blocks = 0;
    memset(&attributes, 0xff, sizeof attributes);
    OK(cudaFuncGetAttributes(&attributes, &host_function));
    CHECK(attributes.maxThreadsPerBlock >= 32 && attributes.maxThreadsPerBlock <= 1024);
    CHECK(attributes.numRegs > 0 && attributes.binaryVersion >= 50);
#if CUDART_MAJOR >= 12
    const char *name = NULL;
    CHECK(attributes.reserved[3] == 0);
    OK(cudaFuncGetName(&name, &host_function));
    CHECK(strcmp(name, "kernel") == 0);
#endif
    OK(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, &host_function, 128, 0));
    CHECK(blocks > 0 && blocks <= 32);
    FAILS(cudaErrorInvalidDeviceFunction, cudaFuncGetAttributes(&attributes, &not_registered));
    (void)cudaGetLastError();
}

static void test_variables(void)
{
    int in[4] = { 1, 2, 3, 4 };
    int out[4] = { 9, 9, 9, 9 };
    void *ptr = NULL;
    size_t bytes = 0;
    OK(cudaGetSymbolSize(&bytes, &host_variable));
    CHECK(bytes == sizeof in);
    OK(cudaMemcpyFromSymbol(out, &host_variable, sizeof out, 0, cudaMemcpyDeviceToHost));
    CHECK(out[0] == 0 && out[3] == 0);
    OK(cudaMemcpyToSymbol(&host_variable, in, sizeof in, 0, cudaMemcpyHostToDevice));
    OK(cudaMemcpyFromSymbol(out, &host_variable, 8, 8, cudaMemcpyDeviceToHost));
    CHECK(out[0] == 3 && out[1] == 4);
    OK(cudaGetSymbolAddress(&ptr, &host_variable));
    OK(cudaMemcpy(out, ptr, sizeof out, cudaMemcpyDeviceToHost));
    CHECK(memcmp(in, out, sizeof in) == 0);
    FAILS(cudaErrorInvalidValue,
          cudaMemcpyToSymbol(&host_variable, in, sizeof in, 4, cudaMemcpyHostToDevice));
    FAILS(cudaErrorInvalidSymbol, cudaGetSymbolAddress(&ptr, &not_registered));
    FAILS(cudaErrorInvalidSymbol, cudaGetSymbolSize(&bytes, &host_function));
    FAILS(cudaErrorInvalidMemcpyDirection,
          cudaMemcpyToSymbol(&host_variable, in, sizeof in, 0, cudaMemcpyDeviceToHost));
    (void)cudaGetLastError();

    OK(cudaDeviceReset()); /* takes the memory of variables with it */
    OK(cudaMemcpyFromSymbol(out, &host_variable, sizeof out, 0, cudaMemcpyDeviceToHost));
    CHECK(out[0] == 0 && out[3] == 0);
}

int main(void)
{
    void *managed = NULL;
    void **handle = __cudaRegisterFatBinary(&wrapper);
    CHECK(handle);
    __cudaRegisterFunction(handle, &host_function, &host_function, "kernel", -1, NULL, NULL, NULL,
                           NULL, NULL);
    __cudaRegisterVar(handle, &host_variable, &host_variable, "variable", 0, 16, 0, 0);
    __cudaRegisterManagedVar(handle, &managed, NULL, "shared", 0, 64, 0, 0);
    __cudaRegisterFatBinaryEnd(handle);

    test_launch();
    test_configurations();
    test_functions();
    test_variables();
    CHECK(__cudaInitModule(handle) == 1);
    CHECK(managed);
    memset(managed, 1, 64);

    __cudaUnregisterFatBinary(handle);
    FAILS(cudaErrorInvalidDeviceFunction,
          cudaLaunchKernel(&host_function, (dim3){ 1, 1, 1 }, (dim3){ 1, 1, 1 }, NULL, 0, NULL));
    return 0;
}
