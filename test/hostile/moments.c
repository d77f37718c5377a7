/* Allocates at the odd moments of a process's life: the constructor and destructor of a library
 * (built with -DLIBRARY), exit handlers, after fork. "moments MOMENT" with MOMENT one of: library,
 * atexit, fork, exec. */
#include <sys/wait.h>

#include "cuda_calls.h"

#ifdef LIBRARY

static CUdeviceptr early;

static __attribute__((constructor)) void begin(void)
{
    use_gpu();
    early = take(4096);
    take(8192);
}

static __attribute__((destructor)) void end(void)
{
    MUST(cuMemFree_v2(early) == CUDA_SUCCESS);
    take(16384);
    fail_once();
}

#else

static void at_exit(void)
{
    use_gpu();
    take(4096);
    fail_once();
}

static void fork_and_allocate(void)
{
    use_gpu();
    take(4096);
    const pid_t pid = fork();
    MUST(pid >= 0);
    if (pid == 0) {
        /* CUDA cannot be used in a child of a process that has used it; asking must not hurt. */
        CUdeviceptr address;
        cuMemAlloc_v2(&address, 4096);
        _exit(0);
    }
    int status;
    MUST(waitpid(pid, &status, 0) == pid && status == 0);
    take(8192);
}

static void fork_before_use(void)
{
    for (int i = 0; i < 3; i++) {
        const pid_t pid = fork();
        MUST(pid >= 0);
        if (pid == 0) {
            use_gpu();
            take((size_t)(i + 1) * 4096);
            exit(i);
        }
        int status;
        MUST(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == i);
    }
    use_gpu();
    take(1 << 20);
}

int main(int argc, char **argv)
{
    MUST(argc == 2);
    if (strcmp(argv[1], "atexit") == 0)
        atexit(at_exit);
    else if (strcmp(argv[1], "fork") == 0)
        fork_and_allocate();
    else if (strcmp(argv[1], "fork-before") == 0)
        fork_before_use();
    else if (strcmp(argv[1], "exec") == 0) {
        use_gpu();
        take(4096);
        execl(argv[0], argv[0], "atexit", (char *)NULL);
    }
    printf("done\n");
    return 3;
}

#endif
