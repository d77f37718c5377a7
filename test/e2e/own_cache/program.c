/* own_cache LIBRARY [STRANGER]: takes memory through the library; says "result CODE". */
#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "simgpu/driver/exports.h"

typedef CUresult take_memory(CUdeviceptr *address, size_t size_bytes);
typedef int take_with_a_cache(take_memory *take, size_t cached_bytes, size_t wanted_bytes);

enum { MIB = 1 << 20 };

/* ISO C has no conversion from dlsym's pointer to a function's. */
static void look_up(void *library, const char *name, void *out)
{
    void *const address = library ? dlsym(library, name) : NULL;
    if (address)
        memcpy(out, &address, sizeof address);
}

int main(int argc, char **argv)
{
    CUcontext context;
    take_memory *take = cuMemAlloc_v2;
    void *const library = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
    void *const stranger = argc > 2 ? dlopen(argv[2], RTLD_NOW) : NULL;
    take_with_a_cache *run = NULL;
    look_up(library, "take_with_a_cache", &run);
    look_up(stranger, "cudaMalloc", &take);
    if (!run || (argc > 2 && !stranger) || cuInit(0) != CUDA_SUCCESS ||
        cuDevicePrimaryCtxRetain(&context, 0) != CUDA_SUCCESS ||
        cuCtxSetCurrent(context) != CUDA_SUCCESS)
        return 1;
    printf("result %d\n", run(take, (size_t)300 * MIB, (size_t)350 * MIB));
    return 0;
}
