/* Uses whatever driver there is, by name. Usage: odd_client NAME... */
#include <dlfcn.h>
#include <stdio.h>

#include "observe.h"
#include "simgpu/abi.h"

typedef CUresult (*alloc_function)(CUdeviceptr *, size_t);
typedef CUresult (*alloc_v3_function)(CUdeviceptr *, size_t, unsigned);
typedef CUresult (*free_function)(CUdeviceptr);
typedef CUresult (*query_function)(const char *, void **, int, cuuint64_t, int *);
typedef int (*check_function)(void);

static void use(const char *how, const void *alloc, const void *release)
{
    CUdeviceptr address = 1, huge = 1;
    printf("%s: alloc %d", how, AS_FUNCTION(alloc, alloc_function)(&address, 1 << 20));
    printf(" too much %d", AS_FUNCTION(alloc, alloc_function)(&huge, (size_t)1 << 40));
    printf(" at %llx %llx", address, huge);
    printf(" free %d", AS_FUNCTION(release, free_function)(address));
    printf(" wild %d\n", AS_FUNCTION(release, free_function)(UINT64_MAX));
}

static void use_queries(const void *query)
{
    void *alloc = NULL, *release = NULL, *newer = NULL, *unknown = NULL;
    int status[4] = { -1, -1, -1, -1 };
    CUdeviceptr address = 1;
    AS_FUNCTION(query, query_function)("cuMemAlloc", &alloc, 12000, 0, &status[0]);
    AS_FUNCTION(query, query_function)("cuMemFree", &release, 12000, 0, &status[1]);
    AS_FUNCTION(query, query_function)("cuMemAlloc", &newer, 14000, 0, &status[2]);
    AS_FUNCTION(query, query_function)("cuMemAllocTelepathic", &unknown, 14000, 0, &status[3]);
    printf("status %d %d %d %d\n", status[0], status[1], status[2], status[3]);
    printf("newer %s, unknown %s\n", place_of(newer), place_of(unknown));
    use("queried", alloc, release);
    printf("newer: %d", AS_FUNCTION(newer, alloc_v3_function)(&address, 4096, 7));
    printf(" %d", AS_FUNCTION(newer, alloc_v3_function)(&address, 4096, 0));
    printf(" unknown: %d\n", AS_FUNCTION(unknown, CUresult(*)(CUdeviceptr *))(&address));
}

int main(int argc, char **argv)
{
    void *const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
    if (!driver)
        give_up(dlerror());
    for (int i = 1; i < argc; i++) {
        void *volatile found = dlsym(driver, argv[i]);
        print_lookup(argv[i], found);
        found = dlsym(RTLD_DEFAULT, argv[i]);
        print_lookup(argv[i], found);
    }
    const void *const check = dlsym(driver, "cuFindsItself");
    printf("finds itself: %d\n", AS_FUNCTION(check, check_function)());
    use("looked up", dlsym(driver, "cuMemAlloc_v2"), dlsym(driver, "cuMemFree_v2"));
    const void *const query = dlsym(driver, "cuGetProcAddress_v2");
    if (query)
        use_queries(query);
    return 0;
}
