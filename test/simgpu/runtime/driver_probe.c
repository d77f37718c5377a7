/* A libcuda.so.1 that writes down how it is looked up and does next to nothing. Lines go to the
 * file PROBE_LOG: first NAME VERSION FLAGS     a lookup through the exported cuGetProcAddress_v2
 *     then NAME VERSION FLAGS      a lookup through the answer to the lookup of cuGetProcAddress
 * PROBE_VERSION and PROBE_DEVICES set what it says of itself; PROBE_INIT is what cuInit returns. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver/cuda_abi.h"

#define EXPORT __attribute__((visibility("default")))

typedef void (*any_function)(void);

static int setting(const char *name, int otherwise)
{
    const char *value = getenv(name);
    return value ? atoi(value) : otherwise;
}

static CUresult init(unsigned int flags)
{
    (void)flags;
    return setting("PROBE_INIT", CUDA_SUCCESS);
}

static CUresult driver_version(int *version)
{
    *version = setting("PROBE_VERSION", 13000);
    return CUDA_SUCCESS;
}

static CUresult device_count(int *count)
{
    *count = setting("PROBE_DEVICES", 1);
    return CUDA_SUCCESS;
}

static CUresult then_get_proc_address(const char *name, void **fn, int version, cuuint64_t flags,
                                      int *status);

static const struct {
    const char *name;
    any_function function;
} functions[] = {
    { "cuGetProcAddress", (any_function)then_get_proc_address },
    { "cuInit", (any_function)init },
    { "cuDriverGetVersion", (any_function)driver_version },
    { "cuDeviceGetCount", (any_function)device_count },
};

static CUresult answer(const char *how, const char *name, void **fn, int version, cuuint64_t flags,
                       int *status)
{
    const char *path = getenv("PROBE_LOG");
    FILE *log = path ? fopen(path, "a") : NULL;
    if (log) {
        fprintf(log, "%s %s %d %llu\n", how, name, version, (unsigned long long)flags);
        fclose(log);
    }
    *fn = NULL;
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if (strcmp(functions[i].name, name) == 0)
            memcpy(fn, &functions[i].function, sizeof *fn);
    if (status)
        *status = *fn ? 0 : 1;
    return *fn ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}

static CUresult then_get_proc_address(const char *name, void **fn, int version, cuuint64_t flags,
                                      int *status)
{
    return answer("then", name, fn, version, flags, status);
}

EXPORT CUresult cuGetProcAddress_v2(const char *name, void **fn, int version, cuuint64_t flags,
                                    int *status);
EXPORT CUresult cuGetProcAddress_v2(const char *name, void **fn, int version, cuuint64_t flags,
                                    int *status)
{
    return answer("first", name, fn, version, flags, status);
}

/* Bait: a runtime that takes these directly has not gone through cuGetProcAddress. */
EXPORT CUresult cuInit(unsigned int flags);
EXPORT CUresult cuInit(unsigned int flags)
{
    (void)flags;
    abort();
}
EXPORT CUresult cuDriverGetVersion(int *version);
EXPORT CUresult cuDriverGetVersion(int *version)
{
    (void)version;
    abort();
}
