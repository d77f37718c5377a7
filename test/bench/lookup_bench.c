/* Times dlsym of names that vramguard does not wrap, in nanoseconds a call: one of another library,
 * one that begins like the driver's. Prints both. */
#include <dlfcn.h>
#include <stdio.h>
#include <time.h>

static double measure(void *handle, const char *name)
{
    enum { CALLS = 2000000 };
    struct timespec start, end;
    void *volatile found;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < CALLS; i++)
        found = dlsym(handle, name);
    clock_gettime(CLOCK_MONOTONIC, &end);
    (void)found;
    return ((double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec)) /
           CALLS;
}

int main(void)
{
    void *const libc = dlopen("libc.so.6", RTLD_NOW);
    void *const driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (!libc || !driver) {
        fprintf(stderr, "lookup_bench: %s\n", dlerror());
        return 1;
    }
    printf("%.2f %.2f\n", measure(libc, "qsort"), measure(driver, "cuDeviceGetCount"));
    return 0;
}
