/* A library that takes 4 KiB from the driver, which it finds by dlopen and dlsym or, with LINKED,
 * is linked with. With HARMLESS it only looks another name up. And (without LIBRARY) the program
 * that opens it: bypass LIBRARY plain|deep lazy|now [dlsym]; without the last word the library
 * takes the memory as it is opened, and nothing of it is looked up. One more word:
 * the program then takes what is left, until it is refused. TAKE_MIB: how much the library takes.
 */
#include <dlfcn.h>

#include "cuda_calls.h"

#ifdef LIBRARY

__attribute__((visibility("default"))) int take_some(void);

#if defined(HARMLESS)
static int take_it(void)
{
    return dlsym(RTLD_DEFAULT, "no_such_name") == NULL;
}
#elif defined(LINKED)
static int take_it(void)
{
    use_gpu();
    return take(4096) != 0;
}
#else
static void *find(const char *name)
{
    void *const found = dlsym(dlopen("libcuda.so.1", RTLD_NOW), name);
    MUST(found);
    return found;
}

static int take_it(void)
{
    CUresult (*init)(unsigned int) = (CUresult(*)(unsigned int))(uintptr_t)find("cuInit");
    CUresult (*retain)(CUcontext *, CUdevice) =
        (CUresult(*)(CUcontext *, CUdevice))(uintptr_t)find("cuDevicePrimaryCtxRetain");
    CUresult (*set)(CUcontext) = (CUresult(*)(CUcontext))(uintptr_t)find("cuCtxSetCurrent");
    CUresult (*alloc)(CUdeviceptr *, size_t) =
        (CUresult(*)(CUdeviceptr *, size_t))(uintptr_t)find("cuMemAlloc_v2");
    CUcontext context;
    CUdeviceptr address;
    MUST(init(0) == 0 && retain(&context, 0) == 0 && set(context) == 0);
    return alloc(&address, getenv("TAKE_MIB") ? (size_t)atoi(getenv("TAKE_MIB")) << 20 : 4096) == 0;
}
#endif

int take_some(void)
{
    return take_it();
}

__attribute__((constructor)) static void at_once(void)
{
    if (!getenv("TAKE_LATER"))
        take_it();
}

#else

/* Takes memory where the guard sees it, until there is none. */
static void take_until_refused(void)
{
    CUdeviceptr address;
    use_gpu();
    while (cuMemAlloc_v2(&address, 16 << 20) == CUDA_SUCCESS)
        ;
}

int main(int argc, char **argv)
{
    MUST(argc >= 4);
    const int how = (strcmp(argv[3], "now") == 0 ? RTLD_NOW : RTLD_LAZY) |
                    (strcmp(argv[2], "deep") == 0 ? RTLD_DEEPBIND : 0);
    void *const library = dlopen(argv[1], how);
    MUST(library);
    if (argc > 4) {
        void *const found = dlsym(library, "take_some");
        MUST(found);
        printf("took %d\n", ((int (*)(void))(uintptr_t)found)());
    }
    if (argc > 5)
        take_until_refused();
    puts("done");
    return 0;
}

#endif
