/* Allocation of device and host memory, and what is true of it. One device of 64 MiB, contexts for
 * nothing (SIMGPU_DEVICES=64MiB SIMGPU_CONTEXT=0). */
#include <string.h>

#include "check.h"

static size_t free_bytes(void)
{
    size_t available = 0;
    size_t total = 0;
    OK(cudaMemGetInfo(&available, &total));
    CHECK(total == 64 * MiB);
    return available;
}

static void test_alloc_and_free(void)
{
    void *ptr = NULL;
    size_t before = free_bytes();
    OK(cudaMalloc(&ptr, 8 * MiB));
    CHECK(ptr != NULL);
    CHECK(free_bytes() == before - 8 * MiB);
    OK(cudaFree(ptr));
    CHECK(free_bytes() == before);
    FAILS(cudaErrorInvalidValue, cudaFree(ptr));
    CHECK(cudaGetLastError() == cudaErrorInvalidValue);
}

static void test_nothing_to_allocate(void)
{
    void *ptr = (void *)1;
    OK(cudaMalloc(&ptr, 0));
    CHECK(ptr == NULL);
    OK(cudaFree(NULL));
    OK(cudaMallocHost(&ptr, 0));
    CHECK(ptr == NULL);
    OK(cudaFreeHost(NULL));
    FAILS(cudaErrorInvalidValue, cudaMallocManaged(&ptr, 0, cudaMemAttachGlobal));
    FAILS(cudaErrorInvalidValue, cudaMalloc(NULL, 1));
    (void)cudaGetLastError();
}

static void test_out_of_memory(void)
{
    int marker = 0;
    void *ptr = &marker;
    size_t before = free_bytes();
    FAILS(cudaErrorMemoryAllocation, cudaMalloc(&ptr, 65 * MiB));
    CHECK(ptr == &marker);
    CHECK(free_bytes() == before);
    CHECK(strcmp(cudaGetErrorString(cudaPeekAtLastError()), "out of memory") == 0);
    CHECK(strcmp(cudaGetErrorName(cudaPeekAtLastError()), "cudaErrorMemoryAllocation") == 0);
    CHECK(cudaGetLastError() == cudaErrorMemoryAllocation);
    CHECK(cudaGetLastError() == cudaSuccess);
    OK(cudaMalloc(&ptr, 16 * MiB));
    OK(cudaFree(ptr));
}

static void test_pitched(void)
{
    void *ptr = NULL;
    size_t pitch = 0;
    OK(cudaMallocPitch(&ptr, &pitch, 1000, 10));
    CHECK(pitch >= 1000 && pitch % 4 == 0);
    OK(cudaMemset(ptr, 0, pitch * 10));
    OK(cudaFree(ptr));

    struct cudaPitchedPtr box = { 0 };
    OK(cudaMalloc3D(&box, (struct cudaExtent){ 100, 8, 4 }));
    CHECK(box.ptr && box.pitch >= 100 && box.xsize == 100 && box.ysize == 8);
    OK(cudaMemset(box.ptr, 0, box.pitch * 8 * 4));
    OK(cudaFree(box.ptr));
}

static struct cudaPointerAttributes attributes_of(const void *ptr)
{
    struct cudaPointerAttributes attributes;
    memset(&attributes, 0xff, sizeof attributes);
    OK(cudaPointerGetAttributes(&attributes, ptr));
    return attributes;
}

static void test_pointer_attributes(void)
{
    int on_stack = 0;
    void *device = NULL;
    void *host = NULL;
    void *managed = NULL;
    struct cudaPointerAttributes attributes = attributes_of(&on_stack);
    CHECK(attributes.type == cudaMemoryTypeUnregistered);
    CHECK(attributes.device == cudaInvalidDeviceId);

    OK(cudaMalloc(&device, MiB));
    attributes = attributes_of((char *)device + 4096);
    CHECK(attributes.type == cudaMemoryTypeDevice && attributes.device == 0);
    CHECK(attributes.devicePointer == (char *)device + 4096);

    OK(cudaMallocHost(&host, MiB));
    attributes = attributes_of(host);
    CHECK(attributes.type == cudaMemoryTypeHost && attributes.hostPointer == host);

    OK(cudaMallocManaged(&managed, MiB, cudaMemAttachGlobal));
    attributes = attributes_of(managed);
    CHECK(attributes.type == cudaMemoryTypeManaged);
    ((char *)managed)[MiB - 1] = 1;

    OK(cudaFree(device));
    OK(cudaFreeHost(host));
    OK(cudaFree(managed));
}

static void test_host_memory(void)
{
    void *host = NULL;
    void *mapped = NULL;
    unsigned int flags = 0;
    OK(cudaHostAlloc(&host, MiB, cudaHostAllocMapped | cudaHostAllocPortable));
    memset(host, 1, MiB);
    OK(cudaHostGetDevicePointer(&mapped, host, 0));
    CHECK(mapped != NULL);
    OK(cudaHostGetFlags(&flags, host));
    CHECK((flags & cudaHostAllocPortable) != 0);
    OK(cudaFreeHost(host));

    char *own = aligned_alloc(4096, MiB);
    CHECK(own);
    OK(cudaHostRegister(own, MiB, 0));
    FAILS(cudaErrorHostMemoryAlreadyRegistered, cudaHostRegister(own, MiB, 0));
    OK(cudaHostUnregister(own));
    FAILS(cudaErrorHostMemoryNotRegistered, cudaHostUnregister(own));
    free(own);
    (void)cudaGetLastError();
}

int main(void)
{
    OK(cudaFree(0));
    test_alloc_and_free();
    test_nothing_to_allocate();
    test_out_of_memory();
    test_pitched();
    test_pointer_attributes();
    test_host_memory();
    CHECK(cudaPeekAtLastError() == cudaSuccess);
    return 0;
}
