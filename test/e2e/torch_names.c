/* Every function of hook/torch_table.h, as PyTorch has and calls it, without PyTorch: one library
 * that defines them (-DDEFINES), one that calls them across its border (-DCALLS), and a program
 * that opens the latter as Python opens an extension, RTLD_LOCAL. The files are called otherwise
 * than PyTorch's. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct device {
    int8_t type, index;
};

#define KIND_MEMORY(symbol)              void symbol(void *, int64_t, size_t, size_t, struct device);
#define KIND_OUT_OF_MEMORY(symbol)       void symbol(int64_t, size_t, size_t, struct device);
#define VG_TORCH(symbol, kind, versions) KIND_##kind(symbol)
#include "hook/torch_table.h"
#undef VG_TORCH
#undef KIND_MEMORY
#undef KIND_OUT_OF_MEMORY

#ifdef DEFINES

static void say(const char *symbol, const void *address, int64_t bytes, size_t allocated,
                size_t reserved, struct device device)
{
    printf("%s %p %lld %zu %zu %d %d\n", symbol, address, (long long)bytes, allocated, reserved,
           device.type, device.index);
}

#define KIND_MEMORY(symbol)                                                                        \
    void symbol(void *address, int64_t bytes, size_t allocated, size_t reserved,                   \
                struct device device)                                                              \
    {                                                                                              \
        say(#symbol, address, bytes, allocated, reserved, device);                                 \
    }
#define KIND_OUT_OF_MEMORY(symbol)                                                                 \
    void symbol(int64_t bytes, size_t allocated, size_t reserved, struct device device)            \
    {                                                                                              \
        say(#symbol, NULL, bytes, allocated, reserved, device);                                    \
    }
#define VG_TORCH(symbol, kind, versions) KIND_##kind(symbol)
#include "hook/torch_table.h"
#undef VG_TORCH

#elif defined CALLS

void call_all(void);

/* A block on CUDA device 3 that stays, one that goes, one on the CPU; a refusal there. */
static const struct device cuda = { .type = 1, .index = 3 }, cpu = { .type = 0, .index = -1 };

#define KIND_MEMORY(symbol)                                                                        \
    symbol((void *)(uintptr_t)(0x1000 + at), 512, 512, 2048, cuda);                                \
    symbol((void *)(uintptr_t)(0x2000 + at), 1024, 1536, 2048, cuda);                              \
    symbol((void *)(uintptr_t)(0x2000 + at), -1024, 512, 2048, cuda);                              \
    symbol((void *)(uintptr_t)(0x3000 + at), 64, 64, 64, cpu);                                     \
    at += 16;
#define KIND_OUT_OF_MEMORY(symbol)       symbol(4096, 96, 128, cpu);
#define VG_TORCH(symbol, kind, versions) KIND_##kind(symbol)

void call_all(void)
{
    unsigned at = 0;
#include "hook/torch_table.h"
}

#else

#include <dlfcn.h>

int main(int argc, char **argv)
{
    void *const library = dlopen(argv[argc - 1], RTLD_NOW | RTLD_LOCAL);
    void (*call)(void);
    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    *(void **)&call = dlsym(library, "call_all");
    call();
    return 0;
}

#endif
