/* A library that uses CUDA before main and after it, and when asked to. */
#include <stdlib.h>

#include "use_cuda.h"

__attribute__((visibility("default"))) void use_cuda_from_library(const char *when);

void use_cuda_from_library(const char *when)
{
    use_cuda(when);
}

static __attribute__((constructor)) void start(void)
{
    if (getenv("MOMENTS_EARLY"))
        use_cuda("constructor");
}

static __attribute__((destructor)) void end(void)
{
    if (getenv("MOMENTS_LATE"))
        use_cuda("destructor");
}
