/* Looks cuMemAlloc_v2 up in every way and uses what it gets. Built as a program that does not link
 * the driver, and as a library (-DLIBRARY) to be preloaded or opened, whose lookups are made from
 * its own place. Prints "WAY null|driver|other" per way, where "driver" means: it allocates. */
#include <dlfcn.h>
#include <stdbool.h>

#include "cuda_calls.h"

typedef CUresult (*alloc_function)(CUdeviceptr *address, size_t bytes);

/* The twins return this from a function of the driver's name. */
enum { TWIN = 4242 };

static void try_it(const char *place, const char *way, void *found, bool ready)
{
    alloc_function alloc;
    CUdeviceptr address = 0;
    memcpy(&alloc, &found, sizeof alloc);
    const char *what = "null";
    if (found && ready) {
        const CUresult result = alloc(&address, 4096);
        what = result == CUDA_SUCCESS && address ? "driver" : result == TWIN ? "twin" : "other";
    } else if (found)
        what = "found";
    printf("%s %s %s\n", place, way, what);
}

static void look_everywhere(const char *place, void *driver, bool ready)
{
    for (int round = 0; round < 2; round++) {
        try_it(place, "default", dlsym(RTLD_DEFAULT, "cuMemAlloc_v2"), ready);
        try_it(place, "next", dlsym(RTLD_NEXT, "cuMemAlloc_v2"), ready);
        void *const program = dlopen(NULL, RTLD_NOW);
        try_it(place, "program", dlsym(program, "cuMemAlloc_v2"), ready);
        try_it(place, "vdefault", dlvsym(RTLD_DEFAULT, "cuMemAlloc_v2", "none"), ready);
        if (driver) {
            try_it(place, "handle", dlsym(driver, "cuMemAlloc_v2"), ready);
            try_it(place, "vhandle", dlvsym(driver, "cuMemAlloc_v2", "none"), ready);
            try_it(place, "absent", dlsym(driver, "cuMemAlloc_v9"), ready);
        }
        printf("%s malloc %s\n", place, dlsym(RTLD_NEXT, "malloc") ? "found" : "null");
        printf("%s nothing %s\n", place, dlsym(RTLD_DEFAULT, "no_such") ? "found" : "null");
    }
}

#ifdef LIBRARY

void look_from_library(const char *place, void *driver, int ready);
__attribute__((visibility("default"))) void look_from_library(const char *place, void *driver,
                                                              int ready)
{
    look_everywhere(place, driver, ready);
}

#else

typedef void (*look_function)(const char *place, void *driver, int ready);

static void look_from(const char *place, void *library, void *driver)
{
    look_function look;
    void *const found = dlsym(library, "look_from_library");
    memcpy(&look, &found, sizeof look);
    if (look)
        look(place, driver, 1);
}

static void *symbol(void *library, const char *name)
{
    void *const found = dlsym(library, name);
    MUST(found);
    return found;
}

static void start(void *driver)
{
    CUresult (*init)(unsigned int);
    CUresult (*retain)(CUcontext *, CUdevice);
    CUresult (*set)(CUcontext);
    CUcontext context;
    *(void **)&init = symbol(driver, "cuInit");
    *(void **)&retain = symbol(driver, "cuDevicePrimaryCtxRetain");
    *(void **)&set = symbol(driver, "cuCtxSetCurrent");
    MUST(init(0) == CUDA_SUCCESS && retain(&context, 0) == CUDA_SUCCESS);
    MUST(set(context) == CUDA_SUCCESS);
}

/* lookup local|global LIBRARY TWIN */
int main(int argc, char **argv)
{
    MUST(argc == 4);
    const int scope = strcmp(argv[1], "global") == 0 ? RTLD_GLOBAL : RTLD_LOCAL;
    look_everywhere("before", NULL, false);
    void *const twin = dlopen(argv[3], RTLD_NOW | RTLD_LOCAL);
    void *const driver = dlopen("libcuda.so.1", RTLD_NOW | scope);
    MUST(twin && driver);
    start(driver);
    look_everywhere("main", driver, true);
    try_it("twin", "handle", dlsym(twin, "cuMemAlloc_v2"), true);
    try_it("twin", "driver", dlsym(driver, "cuMemAlloc_v2"), true);
    void *const library = dlopen(argv[2], RTLD_NOW | RTLD_LOCAL);
    MUST(library);
    look_from("opened", library, driver);
    look_from("preloaded", RTLD_DEFAULT, driver); /* where it was preloaded */
    return 0;
}

#endif
