/* What the emulated frameworks have in common: driver calls that leave a trace. Each call is one
 * line on stdout, "cuMemAlloc 20971520 = 2", so that a bare and a guarded run can be compared; how
 * long each failing call took goes to the file that TRACE_TIMES names, in nanoseconds.
 *
 * All is static, so that the calls are made by the code of the library that includes it: by the
 * file name of that library the guard knows who calls. */
#ifndef VRAMGUARD_TEST_FRAMEWORKS_TRACE_H
#define VRAMGUARD_TEST_FRAMEWORKS_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "simgpu/driver/exports.h"

#define TRACE_UNUSED __attribute__((unused))
#define EXPORT       __attribute__((visibility("default")))
#define MIB          ((size_t)1 << 20)

static TRACE_UNUSED uint64_t trace_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static TRACE_UNUSED CUresult trace(const char *name, size_t bytes, uint64_t start_ns,
                                   CUresult result)
{
    const uint64_t ns = trace_now_ns() - start_ns;
    const char *const path = getenv("TRACE_TIMES");
    printf("%s %zu = %d\n", name, bytes, result);
    if (result != CUDA_SUCCESS && path) {
        FILE *const file = fopen(path, "a");
        fprintf(file, "%llu\n", (unsigned long long)ns);
        fclose(file);
    }
    return result;
}

static TRACE_UNUSED CUresult traced_alloc(CUdeviceptr *address, size_t bytes)
{
    const uint64_t start_ns = trace_now_ns();
    const CUresult result = cuMemAlloc_v2(address, bytes);
    return trace("cuMemAlloc", bytes, start_ns, result);
}

static TRACE_UNUSED CUresult traced_free(CUdeviceptr address)
{
    const uint64_t start_ns = trace_now_ns();
    const CUresult result = cuMemFree_v2(address);
    return trace("cuMemFree", 0, start_ns, result);
}

static TRACE_UNUSED void traced_info(void)
{
    size_t free_bytes = 0, total_bytes = 0;
    const uint64_t start_ns = trace_now_ns();
    trace("cuMemGetInfo", 0, start_ns, cuMemGetInfo_v2(&free_bytes, &total_bytes));
    printf("free %zu of %zu\n", free_bytes, total_bytes);
}

#endif
