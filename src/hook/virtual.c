/* Wrappers of virtual memory management. What is recorded is physical memory on a device, from
 * cuMemCreate until its last reference and its last mapping are gone. Imported handles belong to
 * another process and are not charged to this one. */
#include <stdatomic.h>

#include "base/mapped.h"
#include "guard/guard.h"
#include "hook/wrappers.h"

/* Keys of physical memory: handle values are reused while the memory behind an older one still
 * lives, so they are numbered. */
static uint64_t next_key(void)
{
    static _Atomic uint64_t count;
    return vg_guard_handle_key(VG_KIND_VIRTUAL, atomic_fetch_add(&count, 1) + 1);
}

static bool is_on_device(const CUmemAllocationProp *properties)
{
    return properties->location.type == CU_MEM_LOCATION_TYPE_DEVICE;
}

/* A limit must know the device before the driver has said that the properties may be read: then it
 * is looked whether there is memory. Memory of the host is not limited. */
static void place_before(struct vg_call *call, const CUmemAllocationProp *properties)
{
    if (vg_is_mapped(properties, sizeof *properties) && is_on_device(properties))
        call->device = properties->location.id;
    else
        call->weightless = true;
}

CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t bytes,
                     const CUmemAllocationProp *properties, unsigned long long flags)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemCreate, bytes))
        return VG_PASS(cuMemCreate, (handle, bytes, properties, flags));
    bool on_device = false;
    if (__builtin_expect(call.state->gates != 0, 0))
        place_before(&call, properties);
    do {
        call.result = vg_guard_admits(&call)
                          ? vg_driver.cuMemCreate(handle, bytes, properties, flags)
                          : CUDA_ERROR_OUT_OF_MEMORY;
        if (vg_guard_accepted(&call) && properties && is_on_device(properties)) {
            on_device = true;
            call.device = properties->location.id;
        }
    } while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS && on_device) {
        const uint64_t key = next_key();
        if (vg_virtual_create(&call.state->virtual, *handle, key) == 0)
            vg_guard_record(&call, VG_KIND_VIRTUAL, key, bytes);
    }
    return vg_guard_end(&call);
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemRelease, VG_BYTES_UNKNOWN))
        return VG_PASS(cuMemRelease, (handle));
    struct vg_virtual *const virtual = &call.state->virtual;
    struct vg_virtual_object *const object = vg_virtual_begin_release(virtual, handle);
    call.result = vg_driver.cuMemRelease(handle);
    if (object && call.result != CUDA_SUCCESS)
        vg_virtual_undo_release(virtual, object, handle);
    else if (object)
        vg_guard_forget(call.state, vg_virtual_end_release(virtual, object));
    return vg_guard_end(&call);
}

CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *address)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemRetainAllocationHandle, VG_BYTES_UNKNOWN))
        return VG_PASS(cuMemRetainAllocationHandle, (handle, address));
    call.result = vg_driver.cuMemRetainAllocationHandle(handle, address);
    if (call.result == CUDA_SUCCESS)
        vg_virtual_retain(&call.state->virtual, *handle, (uint64_t)(uintptr_t)address);
    return vg_guard_end(&call);
}

CUresult cuMemMap(CUdeviceptr address, size_t bytes, size_t offset,
                  CUmemGenericAllocationHandle handle, unsigned long long flags)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemMap, bytes))
        return VG_PASS(cuMemMap, (address, bytes, offset, handle, flags));
    do
        call.result = vg_driver.cuMemMap(address, bytes, offset, handle, flags);
    while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS)
        vg_virtual_map(&call.state->virtual, address, bytes, handle);
    return vg_guard_end(&call);
}

static void forget(uint64_t key, void *argument)
{
    vg_guard_forget(argument, key);
}

CUresult cuMemUnmap(CUdeviceptr address, size_t bytes)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemUnmap, bytes))
        return VG_PASS(cuMemUnmap, (address, bytes));
    struct vg_virtual *const virtual = &call.state->virtual;
    struct vg_virtual_mapping *const mappings = vg_virtual_begin_unmap(virtual, address, bytes);
    call.result = vg_driver.cuMemUnmap(address, bytes);
    if (call.result == CUDA_SUCCESS)
        vg_virtual_end_unmap(virtual, mappings, forget, call.state);
    else
        vg_virtual_undo_unmap(virtual, mappings);
    return vg_guard_end(&call);
}
