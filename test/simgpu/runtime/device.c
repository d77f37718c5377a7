/* Devices and contexts. Two devices (SIMGPU_DEVICES=64MiB,32MiB SIMGPU_CONTEXT=0). */
#include <dlfcn.h>
#include <string.h>

#include "check.h"

static void test_before_any_context(void)
{
    int count = 0;
    int device = -1;
    int version = 0;
    OK(cudaGetDeviceCount(&count));
    CHECK(count == 2);
    OK(cudaGetDevice(&device));
    CHECK(device == 0);
    OK(cudaRuntimeGetVersion(&version));
    CHECK(version / 1000 == CUDART_MAJOR);
    OK(cudaDriverGetVersion(&version));
    CHECK(version >= CUDART_MAJOR * 1000);
    FAILS(cudaErrorInvalidDevice, cudaSetDevice(2));
    FAILS(cudaErrorInvalidDevice, cudaSetDevice(-1));
    CHECK(cudaGetLastError() == cudaErrorInvalidDevice);
}

static cudaError_t get_properties(struct cudaDeviceProp *prop, int device)
{
#if CUDART_MAJOR != 12
    return cudaGetDeviceProperties(prop, device);
#else
    return cudaGetDeviceProperties_v2(prop, device);
#endif
}

/* Members far apart in the struct, each against the attribute of the same meaning. */
static void test_properties(void)
{
    struct {
        struct cudaDeviceProp prop;
        int after;
    } whole;
    int value = 0;
    memset(&whole, 0xff, sizeof whole);
    OK(get_properties(&whole.prop, 1));
    CHECK(whole.after == -1);
    struct cudaDeviceProp prop = whole.prop;
    CHECK(prop.name[0] != 0 && memchr(prop.name, 0, sizeof prop.name));
    CHECK(prop.totalGlobalMem == 32 * MiB);
    OK(cudaDeviceGetAttribute(&value, 1, 1));
    CHECK(prop.maxThreadsPerBlock == value && value > 0);
    OK(cudaDeviceGetAttribute(&value, 75, 1));
    CHECK(prop.major == value && value > 0);
    OK(cudaDeviceGetAttribute(&value, 16, 1));
    CHECK(prop.multiProcessorCount == value && value > 0);
    OK(cudaDeviceGetAttribute(&value, 33, 1));
    CHECK(prop.pciBusID == value);
    OK(cudaDeviceGetAttribute(&value, 97, 1));
    CHECK(prop.sharedMemPerBlockOptin == (size_t)value && value > 0);
#if CUDART_MAJOR >= 12
    CHECK(prop.reserved[10] == 0);
#endif
    FAILS(cudaErrorInvalidDevice, get_properties(&prop, 2));
    (void)cudaGetLastError();
#if CUDART_MAJOR == 12
    struct cudaDeviceProp old;
    memset(&old, 0xff, sizeof old);
    OK(cudaGetDeviceProperties(&old, 1)); /* the shorter struct of CUDA 11 */
    CHECK(old.totalGlobalMem == 32 * MiB);
    CHECK(old.hostRegisterSupported == -1);
#endif
}

static void test_current_device(void)
{
    int device = -1;
    size_t available = 0;
    size_t total = 0;
    OK(cudaSetDevice(1));
    OK(cudaGetDevice(&device));
    CHECK(device == 1);
    OK(cudaMemGetInfo(&available, &total));
    CHECK(total == 32 * MiB);
    OK(cudaSetDevice(0));
    OK(cudaMemGetInfo(&available, &total));
    CHECK(total == 64 * MiB);
}

static void test_bus_id(void)
{
    char id[32] = { 0 };
    int device = -1;
    OK(cudaDeviceGetPCIBusId(id, sizeof id, 1));
    OK(cudaDeviceGetByPCIBusId(&device, id));
    CHECK(device == 1);
    FAILS(cudaErrorInvalidDevice, cudaDeviceGetPCIBusId(id, sizeof id, 2));
    (void)cudaGetLastError();
}

static void test_settings(void)
{
    size_t stack_bytes = 0;
    unsigned int flags = 0;
    OK(cudaDeviceSetLimit(0, 4096));
    OK(cudaDeviceGetLimit(&stack_bytes, 0));
    CHECK(stack_bytes >= 4096);
    OK(cudaGetDeviceFlags(&flags));
#if CUDART_MAJOR >= 12
    OK(cudaInitDevice(1, 0, 0));
    FAILS(cudaErrorInvalidDevice, cudaInitDevice(2, 0, 0));
#endif
    FAILS(cudaErrorInvalidValue, cudaSetDeviceFlags(0x100));
    (void)cudaGetLastError();
}

static void test_peers(void)
{
    int can = -1;
    OK(cudaDeviceCanAccessPeer(&can, 0, 1));
    CHECK(can == 0 || can == 1);
    if (!can)
        return;
    char in[] = "over there";
    char out[sizeof in] = { 0 };
    void *here = NULL;
    void *there = NULL;
    OK(cudaDeviceEnablePeerAccess(1, 0));
    OK(cudaMalloc(&here, sizeof in));
    OK(cudaSetDevice(1));
    OK(cudaMalloc(&there, sizeof in));
    OK(cudaSetDevice(0));
    OK(cudaMemcpy(here, in, sizeof in, cudaMemcpyHostToDevice));
    OK(cudaMemcpyPeer(there, 1, here, 0, sizeof in));
    OK(cudaMemcpy(out, there, sizeof in, cudaMemcpyDeviceToHost));
    CHECK(memcmp(in, out, sizeof in) == 0);
    OK(cudaFree(here));
    OK(cudaFree(there));
    OK(cudaDeviceDisablePeerAccess(1));
}

static void test_reset(void)
{
    void *ptr = NULL;
    size_t before = 0;
    size_t after = 0;
    size_t total = 0;
    OK(cudaMemGetInfo(&before, &total));
    OK(cudaMalloc(&ptr, 4 * MiB));
    FAILS(cudaErrorInvalidValue, cudaMalloc(NULL, 1));
    OK(cudaDeviceReset());
    CHECK(cudaPeekAtLastError() == cudaSuccess);
    OK(cudaMemGetInfo(&after, &total));
    CHECK(after == before);
    OK(cudaMalloc(&ptr, 4 * MiB));
    OK(cudaFree(ptr));

    int device = -1;
    OK(cudaSetDevice(1));
    OK(cudaDeviceReset());
    OK(cudaGetDevice(&device));
    CHECK(device == 1);
    OK(cudaSetDevice(0));
}

/* A context that the driver API made current is the one the runtime uses. */
static void test_driver_context(void)
{
    typedef int (*create)(void **context, unsigned int flags, int device);
    typedef int (*destroy)(void *context);
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    CHECK(library);
    create context_create = (create)(size_t)dlsym(library, "cuCtxCreate_v2");
    destroy context_destroy = (destroy)(size_t)dlsym(library, "cuCtxDestroy_v2");
    CHECK(context_create && context_destroy);
    void *context = NULL;
    int device = -1;
    size_t available = 0;
    size_t total = 0;
    OK(cudaSetDevice(0));
    OK(context_create(&context, 0, 1));
    OK(cudaGetDevice(&device));
    CHECK(device == 1);
    OK(cudaMemGetInfo(&available, &total));
    CHECK(total == 32 * MiB);
    OK(context_destroy(context));
    OK(cudaGetDevice(&device));
    CHECK(device == 0);
    OK(cudaMemGetInfo(&available, &total));
    CHECK(total == 64 * MiB);
}

int main(void)
{
    test_before_any_context();
    test_properties();
    test_current_device();
    test_bus_id();
    test_settings();
    test_peers();
    test_reset();
    test_driver_context();
    CHECK(cudaPeekAtLastError() == cudaSuccess);
    return 0;
}
