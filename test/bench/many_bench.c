/* Times many processes that start and allocate at the same time, bare and guarded.
 *
 *   many_bench LIBRARY PROCESSES [COMMAND...]
 *
 * Each process runs the command; without one it initialises the driver, makes a context, allocates
 * and frees, and nothing else. Prints two times in milliseconds: bare, guarded. */
#include <dlfcn.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "driver/cuda_abi.h"

extern char **environ;

static int child(void)
{
    CUresult (*init)(unsigned int);
    CUresult (*retain)(CUcontext *, CUdevice);
    CUresult (*set_current)(CUcontext);
    CUresult (*alloc)(CUdeviceptr *, size_t);
    CUresult (*release)(CUdeviceptr);
    CUcontext context;
    CUdeviceptr address;
    void *const driver = dlopen("libcuda.so.1", RTLD_NOW);
    if (!driver)
        return 1;
    *(void **)&init = dlsym(driver, "cuInit");
    *(void **)&retain = dlsym(driver, "cuDevicePrimaryCtxRetain");
    *(void **)&set_current = dlsym(driver, "cuCtxSetCurrent");
    *(void **)&alloc = dlsym(driver, "cuMemAlloc_v2");
    *(void **)&release = dlsym(driver, "cuMemFree_v2");
    return init(0) || retain(&context, 0) || set_current(context) || alloc(&address, 2 << 20) ||
           release(address);
}

static double run_all(int processes, char *const command[], char **environment)
{
    struct timespec start, end;
    pid_t *const pids = calloc((size_t)processes, sizeof *pids);
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < processes; i++)
        if (posix_spawn(&pids[i], command[0], NULL, NULL, command, environment) != 0)
            exit(1);
    for (int i = 0; i < processes; i++) {
        int status;
        if (waitpid(pids[i], &status, 0) != pids[i] || status != 0) {
            fprintf(stderr, "many_bench: a process failed with status %d\n", status);
            exit(1);
        }
    }
    clock_gettime(CLOCK_MONOTONIC, &end);
    free(pids);
    return (double)(end.tv_sec - start.tv_sec) * 1e3 + (double)(end.tv_nsec - start.tv_nsec) / 1e6;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "child") == 0)
        return child();
    if (argc < 3)
        return 2;
    char *const itself[] = { (char[]){ "/proc/self/exe" }, (char[]){ "child" }, NULL };
    char *const *const command = argc > 3 ? argv + 3 : itself;
    char *const *before = environ;
    size_t count = 0;
    while (before[count])
        count++;
    char preload[4096];
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", argv[1]);
    char **const with = calloc(count + 2, sizeof *with);
    memcpy(with, before, count * sizeof *with);
    with[count] = preload;
    const int processes = atoi(argv[2]);
    run_all(processes / 4 + 1, command, environ); /* warms up the page cache */
    const double bare = run_all(processes, command, environ);
    printf("%.0f %.0f\n", bare, run_all(processes, command, with));
    free(with);
    return 0;
}
