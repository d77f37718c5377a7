/* Uses CUDA at unusual moments and from unusual places, and ends in every way a program can.
 * Usage: moments WHAT... */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "use_cuda.h"

static void at_exit(void)
{
    use_cuda("atexit");
}

static void at_quick_exit_(void)
{
    use_cuda("at_quick_exit");
}

static void *in_thread(void *unused)
{
    use_cuda("thread");
    return unused;
}

static void join_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, in_thread, NULL) != 0)
        give_up("no thread");
    pthread_join(thread, NULL);
}

static void in_child(int generations)
{
    int status = 0;
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        use_cuda("child");
        if (generations > 1)
            in_child(generations - 1);
        exit(13);
    }
    waitpid(child, &status, 0);
    printf("child ended: %x\n", (unsigned)status);
}

static void in_namespace(void)
{
    typedef CUresult (*init_function)(unsigned);
    typedef CUresult (*count_function)(int *);
    typedef CUresult (*alloc_function)(CUdeviceptr *, size_t);
    int count = -1;
    CUdeviceptr address = 1;
    void *const driver = dlmopen(LM_ID_NEWLM, "libcuda.so.1", RTLD_NOW);
    if (!driver)
        give_up(dlerror());
    void *const init = dlsym(driver, "cuInit");
    void *const get_count = dlsym(driver, "cuDeviceGetCount");
    void *const alloc = dlsym(driver, "cuMemAlloc_v2");
    printf("another namespace: %s %s\n", place_of(init), place_of(alloc));
    printf("cuInit %d", AS_FUNCTION(init, init_function)(0));
    printf(" count %d", AS_FUNCTION(get_count, count_function)(&count));
    printf(" alloc %d\n", AS_FUNCTION(alloc, alloc_function)(&address, USE_BYTES));
    use_cuda("own namespace");
}

static void in_library(const char *path, int mode)
{
    typedef void (*use_function)(const char *);
    void *const library = dlopen(path, RTLD_NOW | mode);
    if (!library)
        give_up(dlerror());
    void *const use = dlsym(library, "use_cuda_from_library");
    AS_FUNCTION(use, use_function)("library");
    dlclose(library);
}

static void do_one(const char *what, char **argv)
{
    const struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    if (strcmp(what, "use") == 0)
        use_cuda("main");
    else if (strcmp(what, "atexit") == 0)
        atexit(at_exit);
    else if (strcmp(what, "thread") == 0)
        join_thread();
    else if (strcmp(what, "fork") == 0)
        in_child(1);
    else if (strcmp(what, "fork twice") == 0)
        in_child(2);
    else if (strcmp(what, "namespace") == 0)
        in_namespace();
    else if (strcmp(what, "library") == 0)
        in_library("libmoments.so", RTLD_LOCAL);
    else if (strcmp(what, "deepbind") == 0)
        in_library("libmoments.so", RTLD_LOCAL | RTLD_DEEPBIND);
    else if (strcmp(what, "exec") == 0)
        execl(argv[0], argv[0], "use", "exit 5", NULL);
    else if (strcmp(what, "exit 5") == 0)
        exit(5);
    else if (strcmp(what, "_exit 6") == 0)
        _exit(6);
    else if (strcmp(what, "quick_exit 7") == 0)
        at_quick_exit(at_quick_exit_), quick_exit(7);
    else if (strcmp(what, "pthread_exit") == 0)
        pthread_exit(NULL);
    else if (strcmp(what, "abort") == 0)
        abort();
    else if (strcmp(what, "SIGSEGV") == 0)
        raise(SIGSEGV);
    else if (strcmp(what, "SIGTERM") == 0)
        raise(SIGTERM);
    else if (strcmp(what, "SIGKILL") == 0)
        raise(SIGKILL);
    else
        give_up(what);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++)
        do_one(argv[i], argv);
    return 0;
}
