/* interposed linked|dlsym|address: takes 1 MiB twice, gives one back, asks how large the GPU is,
 * through functions found in that way. "linked" is a program of its own, linked with the driver
 * (-DDRIVER_LINKED). */
#include <dlfcn.h>

#include "cuda_calls.h"

typedef CUresult (*proc_function)(const char *name, void **function, int version, cuuint64_t flags,
                                  CUdriverProcAddressQueryResult *status);

static struct {
    CUresult (*init)(unsigned int flags);
    CUresult (*retain)(CUcontext *context, CUdevice device);
    CUresult (*set)(CUcontext context);
    CUresult (*alloc)(CUdeviceptr *address, size_t bytes);
    CUresult (*free)(CUdeviceptr address);
    CUresult (*info)(size_t *free_bytes, size_t *total_bytes);
} cuda;

static const struct {
    void *function;
    const char *symbol, *name;
    int version;
} wanted[] = {
    { &cuda.init, "cuInit", "cuInit", 2000 },
    { &cuda.retain, "cuDevicePrimaryCtxRetain", "cuDevicePrimaryCtxRetain", 7000 },
    { &cuda.set, "cuCtxSetCurrent", "cuCtxSetCurrent", 4000 },
    { &cuda.alloc, "cuMemAlloc_v2", "cuMemAlloc", 3020 },
    { &cuda.free, "cuMemFree_v2", "cuMemFree", 3020 },
    { &cuda.info, "cuMemGetInfo_v2", "cuMemGetInfo", 3020 },
};

#ifdef DRIVER_LINKED
CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes);

static void find_linked(void)
{
    cuda.init = cuInit;
    cuda.retain = cuDevicePrimaryCtxRetain;
    cuda.set = cuCtxSetCurrent;
    cuda.alloc = cuMemAlloc_v2;
    cuda.free = cuMemFree_v2;
    cuda.info = cuMemGetInfo_v2;
}
#else
static void find_linked(void)
{
    MUST(!"linked");
}
#endif

static void find(const char *way)
{
    void *const driver = dlopen("libcuda.so.1", RTLD_NOW);
    void *const found = dlsym(driver, "cuGetProcAddress_v2");
    CUdriverProcAddressQueryResult status;
    proc_function get_address;
    MUST(driver && found);
    memcpy(&get_address, &found, sizeof get_address);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        void *function = dlsym(driver, wanted[i].symbol);
        if (strcmp(way, "address") == 0)
            MUST(get_address(wanted[i].name, &function, wanted[i].version, 0, &status) == 0);
        MUST(function);
        memcpy(wanted[i].function, &function, sizeof function);
    }
}

int main(int argc, char **argv)
{
    CUcontext context;
    CUdeviceptr first, second;
    size_t free_bytes, total_bytes;
    MUST(argc == 2);
    if (strcmp(argv[1], "linked") == 0)
        find_linked();
    else
        find(argv[1]);
    MUST(cuda.init(0) == 0 && cuda.retain(&context, 0) == 0 && cuda.set(context) == 0);
    MUST(cuda.alloc(&first, 1 << 20) == 0 && cuda.alloc(&second, 1 << 20) == 0);
    MUST(cuda.free(first) == 0 && cuda.info(&free_bytes, &total_bytes) == 0);
    printf("total %zu MiB\n", total_bytes >> 20);
    return 0;
}
