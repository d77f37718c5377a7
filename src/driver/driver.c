#include "driver/driver.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "driver/chain.h"
#include "os/elf_symbol.h"
#include "os/fork_gate.h"
#include "os/loader.h"

struct vg_driver vg_driver, vg_next;

#define USE_HOOK  true
#define USE_WATCH true
#define USE_CALL  false

const struct vg_function vg_functions[VG_FN_COUNT] = {
#define VG_CUDA(symbol_, name_, version_, flags_, use_, parameters, arguments)                     \
    [VG_FN_##symbol_] = { .symbol = #symbol_,                                                      \
                          .name = #name_,                                                          \
                          .version = version_,                                                     \
                          .flags = flags_,                                                         \
                          .hooked = USE_##use_ },
#include "driver/cuda_table.h"
#undef VG_CUDA
};

_Static_assert(sizeof vg_driver == VG_FN_COUNT * sizeof(void *), "one pointer a row");

static _Atomic uintptr_t driver_start, driver_end; /* the same, whoever stores them */
static atomic_bool bound;

bool vg_driver_owns(const void *address)
{
    return (uintptr_t)address >= driver_start && (uintptr_t)address < driver_end;
}

static void store_once(void **place, void *address)
{
    if (!__atomic_load_n(place, __ATOMIC_RELAXED))
        __atomic_store_n(place, address, __ATOMIC_RELEASE);
}

bool vg_driver_bind(void)
{
    if (atomic_load_explicit(&bound, memory_order_acquire))
        return true;
    struct vg_elf_object object;
    vg_fork_gate_open();
    if (vg_elf_find_soname("libcuda.so.1", &object) != 0)
        return false;
    /* Known to be loaded, so this cannot fail and leave an error text behind. */
    void *const handle = vg_loader_open(object.path, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
    if (!handle)
        return false;
    /* Several threads may come here at once. Who comes late stores nothing: others already call
     * through these, and what stands between this library and the driver may be found by now. */
    driver_start = object.start;
    driver_end = object.end;
    for (int id = 0; id < VG_FN_COUNT; id++) {
        void *const found = vg_elf_symbol(&object, vg_functions[id].symbol);
        store_once((void **)&vg_next + id, found);
        store_once((void **)&vg_driver + id, found);
    }
    vg_chain_resolve(&object);
    atomic_store_explicit(&bound, true, memory_order_release);
    vg_chain_ask(handle);
    return true;
}

int vg_driver_memory(CUdevice device, uint64_t *out_free_bytes, uint64_t *out_total_bytes)
{
    CUdevice current;
    size_t free_bytes, total_bytes;
    if (device < 0 || !vg_driver.cuCtxGetDevice || !vg_driver.cuMemGetInfo_v2 ||
        vg_driver.cuCtxGetDevice(&current) != CUDA_SUCCESS || current != device ||
        vg_driver.cuMemGetInfo_v2(&free_bytes, &total_bytes) != CUDA_SUCCESS)
        return -ENODEV;
    *out_free_bytes = free_bytes;
    *out_total_bytes = total_bytes;
    return 0;
}

uint64_t vg_driver_pool_value(CUmemoryPool pool, CUmemPool_attribute attribute)
{
    uint64_t value = 0;
    if (!vg_driver.cuMemPoolGetAttribute ||
        vg_driver.cuMemPoolGetAttribute(pool, attribute, &value) != CUDA_SUCCESS)
        return 0;
    return value;
}

int vg_driver_relax(CUstreamCaptureMode *out_before)
{
    *out_before = CU_STREAM_CAPTURE_MODE_RELAXED;
    if (!vg_driver.cuThreadExchangeStreamCaptureMode)
        return -ENOSYS;
    return vg_driver.cuThreadExchangeStreamCaptureMode(out_before) == CUDA_SUCCESS ? 0 : -EIO;
}

void vg_driver_restore(CUstreamCaptureMode before)
{
    vg_driver.cuThreadExchangeStreamCaptureMode(&before);
}

void vg_driver_device_uuid(CUdevice device, char *out, size_t cap)
{
    CUuuid uuid;
    CUresult result = CUDA_ERROR_NOT_FOUND;
    out[0] = '\0';
    /* The second version names a MIG instance rather than its whole GPU. */
    if (vg_driver.cuDeviceGetUuid_v2)
        result = vg_driver.cuDeviceGetUuid_v2(&uuid, device);
    else if (vg_driver.cuDeviceGetUuid)
        result = vg_driver.cuDeviceGetUuid(&uuid, device);
    if (result != CUDA_SUCCESS)
        return;
    char hex[33];
    for (int i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", (unsigned char)uuid.bytes[i]);
    snprintf(out, cap, "GPU-%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}
