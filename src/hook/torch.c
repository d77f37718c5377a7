/* Wrappers of the functions by which PyTorch's caching allocator tells its profiler what it does
 * (torch_table.h). Whatever is made of it here, PyTorch's own function is called, always: the
 * profiler works as without us. */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "guard/torch_blocks.h"
#include "hook/wrappers.h"
#include "os/elf_symbol.h"

/* c10::Device: passed in one register, since it is trivially copied (c10/core/Device.h). */
struct vg_torch_device {
    int8_t type; /* 1: CUDA (c10/core/DeviceType.h) */
    int8_t index;
};

_Static_assert(sizeof(struct vg_torch_device) == 2, "as c10::Device");

enum { TORCH_CUDA = 1 };

typedef void (*memory_function)(void *, int64_t, size_t, size_t, struct vg_torch_device);
typedef void (*out_of_memory_function)(int64_t, size_t, size_t, struct vg_torch_device);

/* PyTorch's own definition of `symbol`, looked up once into `cached`; NULL when it has none, which
 * cannot be where PyTorch calls it. PyTorch's libraries are loaded with RTLD_LOCAL, so RTLD_NEXT
 * does not find it; the objects are searched, whatever their files are called, without the loader's
 * big lock, since the caller holds its allocator's mutex. Valid for ever: libc10.so has unique
 * symbols, so glibc never unloads it. */
static uintptr_t real_function(const char *symbol, _Atomic uintptr_t *cached)
{
    uintptr_t found = atomic_load_explicit(cached, memory_order_relaxed);
    if (__builtin_expect(found == 0, 0)) {
        struct vg_elf_object object;
        if (vg_elf_find_other_definition(symbol, (uintptr_t)&real_function, &object) == 0)
            found = (uintptr_t)vg_elf_symbol(&object, symbol);
        atomic_store_explicit(cached, found, memory_order_relaxed);
    }
    return found;
}

static int cuda_device(struct vg_torch_device device)
{
    return device.type == TORCH_CUDA ? device.index : -1;
}

#define DEFINE_MEMORY(symbol)                                                                      \
    VG_EXPORT void symbol(void *address, int64_t bytes, size_t allocated_bytes,                    \
                          size_t reserved_bytes, struct vg_torch_device device);                   \
    void symbol(void *address, int64_t bytes, size_t allocated_bytes, size_t reserved_bytes,       \
                struct vg_torch_device device)                                                     \
    {                                                                                              \
        static _Atomic uintptr_t cached;                                                           \
        vg_guard_torch_memory((uintptr_t)address, bytes, allocated_bytes, reserved_bytes,          \
                              cuda_device(device));                                                \
        const memory_function real = (memory_function)real_function(#symbol, &cached);             \
        if (real)                                                                                  \
            real(address, bytes, allocated_bytes, reserved_bytes, device);                         \
    }

#define DEFINE_OUT_OF_MEMORY(symbol)                                                               \
    VG_EXPORT void symbol(int64_t bytes, size_t allocated_bytes, size_t reserved_bytes,            \
                          struct vg_torch_device device);                                          \
    void symbol(int64_t bytes, size_t allocated_bytes, size_t reserved_bytes,                      \
                struct vg_torch_device device)                                                     \
    {                                                                                              \
        static _Atomic uintptr_t cached;                                                           \
        vg_guard_torch_out_of_memory(bytes, allocated_bytes, reserved_bytes, cuda_device(device)); \
        const out_of_memory_function real =                                                        \
            (out_of_memory_function)real_function(#symbol, &cached);                               \
        if (real)                                                                                  \
            real(bytes, allocated_bytes, reserved_bytes, device);                                  \
    }

#define VG_TORCH(symbol, kind, versions) DEFINE_##kind(symbol)
#include "hook/torch_table.h"
#undef VG_TORCH
