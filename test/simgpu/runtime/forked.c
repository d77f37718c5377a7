/* A forked child cannot go on with its parent's device: every call says "initialization error". */
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void in_child(void *parents)
{
    void *ptr = NULL;
    int count = 0;
    FAILS(cudaErrorInitializationError, cudaMalloc(&ptr, 4096));
    FAILS(cudaErrorInitializationError, cudaSetDevice(0));
    FAILS(cudaErrorInitializationError, cudaGetDeviceCount(&count));
    FAILS(cudaErrorInitializationError, cudaFree(parents));
    _exit(0);
}

int main(void)
{
    void *ptr = NULL;
    int status = 0;
    OK(cudaMalloc(&ptr, 4096));
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
        in_child(ptr);
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    OK(cudaFree(ptr));
    return 0;
}
