#include "cuda.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cuda cuda;

static void *library;

void *cuda_symbol(const char *name)
{
    return dlsym(library, name);
}

void cuda_load(void)
{
    library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        printf("no driver: %s\n", dlerror());
        exit(2);
    }
    void *address;
#define CALL(name, symbol, params)                                                                 \
    address = cuda_symbol(#symbol);                                                                \
    memcpy(&cuda.name, &address, sizeof(address));
#include "cuda_list.def"
}

void cuda_start(void)
{
    cuda_load();
    CUcontext context;
    CUresult result = cuda.init(0);
    if (result == CUDA_SUCCESS)
        result = cuda.primary_retain(&context, 0);
    if (result == CUDA_SUCCESS)
        result = cuda.context_set(context);
    if (result != CUDA_SUCCESS) {
        printf("no device: error %d\n", result);
        exit(2);
    }
}

size_t cuda_free_bytes(void)
{
    size_t free_bytes = 0, total_bytes = 0;
    cuda.info(&free_bytes, &total_bytes);
    return free_bytes;
}
