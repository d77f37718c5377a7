/* A run through the driver API, right and wrong, printing every answer. Included into each object
 * that is to make the calls, linked with the driver: a program, a preloaded or an opened library.
 */
#ifndef TRANSPARENCY_USE_CUDA_H
#define TRANSPARENCY_USE_CUDA_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "observe.h"
#include "simgpu/driver/exports.h"

enum { USE_BYTES = 1 << 20, USE_ERRNO = 123 };

/* Prints the call's result, and errno where the call changed it. */
#define USE(call)                                                                                  \
    do {                                                                                           \
        errno = USE_ERRNO;                                                                         \
        const CUresult use_result = (call);                                                        \
        const int use_errno = errno;                                                               \
        printf("%s: %s = %d%s", when, #call, use_result, use_errno == USE_ERRNO ? "" : " errno");  \
        printf("\n");                                                                              \
    } while (0)

static inline void print_attributes(const char *when, CUdeviceptr address)
{
    static const int attributes[] = {
        CU_POINTER_ATTRIBUTE_CONTEXT,        CU_POINTER_ATTRIBUTE_MEMORY_TYPE,
        CU_POINTER_ATTRIBUTE_DEVICE_POINTER, CU_POINTER_ATTRIBUTE_HOST_POINTER,
        CU_POINTER_ATTRIBUTE_BUFFER_ID,      CU_POINTER_ATTRIBUTE_IS_MANAGED,
        CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR,
        CU_POINTER_ATTRIBUTE_RANGE_SIZE,     CU_POINTER_ATTRIBUTE_MAPPED
    };
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++) {
        unsigned char value[16];
        poison(value, sizeof value);
        const CUresult result = cuPointerGetAttribute(value, attributes[i], address);
        printf("%s: attribute %d = %d", when, attributes[i], result);
        print_words(value, sizeof value);
        printf("\n");
    }
}

static inline void print_amount(const char *when)
{
    size_t free_bytes = 1, total_bytes = 1;
    USE(cuMemGetInfo_v2(&free_bytes, &total_bytes));
    printf("%s: %zu of %zu\n", when, free_bytes, total_bytes);
}

static inline void use_memory(const char *when)
{
    CUdeviceptr address = 1, managed = 1, pitched = 1, huge = 1, base = 1;
    size_t pitch_bytes = 1, bytes = 1;
    void *pinned = NULL;
    char sent[] = "what was copied in", got[sizeof sent] = "";
    USE(cuMemAlloc_v2(&address, USE_BYTES));
    USE(cuMemcpyHtoD_v2(address, sent, sizeof sent));
    USE(cuMemcpyDtoH_v2(got, address, sizeof got));
    USE(cuMemGetAddressRange_v2(&base, &bytes, address + 100));
    printf("%s: got \"%s\", %zu bytes from %s\n", when, got, bytes, base == address ? "it" : "?");
    print_attributes(when, address);
    USE(cuMemAllocManaged(&managed, USE_BYTES, CU_MEM_ATTACH_GLOBAL));
    print_attributes(when, managed);
    USE(cuMemAllocPitch_v2(&pitched, &pitch_bytes, 1000, 10, 4));
    printf("%s: pitch %zu\n", when, pitch_bytes);
    USE(cuMemHostAlloc(&pinned, USE_BYTES, 0));
    print_amount(when);
    USE(cuMemAlloc_v2(&huge, (size_t)1 << 40));
    printf("%s: left %llx\n", when, huge);
    USE(cuMemAlloc_v2(NULL, USE_BYTES));
    USE(cuMemAlloc_v2(&huge, 0));
    USE(cuMemFree_v2(0));
    USE(cuMemFree_v2(0x1234));
    USE(cuMemFree_v2(address + 256));
    USE(cuMemFree_v2(address));
    USE(cuMemFree_v2(address));
    print_attributes(when, address);
    USE(cuMemFree_v2(managed));
    USE(cuMemFree_v2(pitched));
    USE(cuMemFreeHost(pinned));
    USE(cuMemFreeHost(pinned));
    print_amount(when);
}

static inline void print_error_texts(const char *when)
{
    static const int codes[] = { 0, 1, 2, 3, 100, 201, 500, 999, 12345, -1 };
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
        const char *name = "untouched", *text = "untouched";
        const CUresult results[] = { cuGetErrorName(codes[i], &name),
                                     cuGetErrorString(codes[i], &text) };
        printf("%s: error %d: %d %s, %d %s\n", when, codes[i], results[0], name ? name : "NULL",
               results[1], text ? text : "NULL");
    }
}

/* All of it, in a context of its own. */
static inline void use_cuda(const char *when)
{
    CUdeviceptr address = 1;
    CUcontext context = NULL;
    int version = 0, count = -1;
    print_error_texts(when);
    USE(cuMemAlloc_v2(&address, USE_BYTES)); /* perhaps before cuInit, without a context */
    USE(cuMemFree_v2(address));
    USE(cuInit(0));
    USE(cuDriverGetVersion(&version));
    USE(cuDeviceGetCount(&count));
    printf("%s: version %d, %d devices\n", when, version, count);
    USE(cuMemAlloc_v2(&address, USE_BYTES));
    USE(cuCtxCreate_v2(&context, 0, 0));
    use_memory(when);
    USE(cuCtxDestroy_v2(context));
    USE(cuMemAlloc_v2(&address, USE_BYTES));
    fflush(stdout);
}

#endif
