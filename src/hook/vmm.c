/* Wrappers of virtual memory management. What is recorded is physical memory on a device, from
 * cuMemCreate until its last reference and its last mapping are gone. Imported handles belong to
 * another process and are not charged to this one. */
#include <stdatomic.h>

#include "guard/guard.h"
#include "guard/spilled_free.h"
#include "hook/wrappers.h"
#include "os/mapped.h"

/* Keys of physical memory: handle values are reused while the memory behind an older one still
 * lives, so they are numbered; each thread takes numbers by the hundred, which is seldom enough for
 * a counter that all write to. */
static uint64_t next_key(enum vg_kind kind)
{
    enum { AT_ONCE = 256 };
    static _Atomic uint64_t count;
    static _Thread_local uint64_t last;
    if (last % AT_ONCE == 0)
        last = atomic_fetch_add(&count, 1) << 30; /* far apart, see vg_shard_of */
    return vg_guard_handle_key(kind, ++last);
}

/* Is the memory to lie on a device? Then the call is about that one. */
static bool is_on_device(struct vg_call *call, const CUmemAllocationProp *properties)
{
    if (!properties || properties->location.type != CU_MEM_LOCATION_TYPE_DEVICE)
        return false;
    call->device = properties->location.id;
    return true;
}

CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t bytes,
                     const CUmemAllocationProp *properties, unsigned long long flags)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemCreate, bytes))
        return VG_PASS(cuMemCreate, (handle, bytes, properties, flags));
    /* Gates that refuse stand before devices only, and have to know the place before the driver has
     * said that the properties may be read: then it is looked whether there is memory. */
    const bool looks_ahead = vg_guard_looks_ahead(&call);
    bool on_device = looks_ahead && vg_is_mapped(properties, sizeof *properties) &&
                     is_on_device(&call, properties);
    do {
        call.result = (looks_ahead && !on_device) || vg_guard_admits(&call)
                          ? vg_next.cuMemCreate(handle, bytes, properties, flags)
                          : CUDA_ERROR_OUT_OF_MEMORY;
        if (vg_guard_accepted(&call))
            on_device = is_on_device(&call, properties);
    } while (VG_GUARD_AGAIN_FOR(&call, .shape = VG_REQUEST_PHYSICAL, .bytes = bytes,
                                .properties = properties, .flags = flags,
                                .key = next_key(VG_KIND_SPILLED_VIRTUAL), .answer = handle));
    if (call.result == CUDA_SUCCESS && on_device) {
        const uint64_t key = vg_guard_placed(&call) ? call.placed_key : next_key(VG_KIND_VIRTUAL);
        if (vg_vmm_create(&call.state->virtual, *handle, key) == 0)
            vg_guard_record(&call, VG_KIND_VIRTUAL, key, bytes);
    }
    return vg_guard_end(&call);
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemRelease, VG_BYTES_UNKNOWN))
        return VG_PASS(cuMemRelease, (handle));
    struct vg_vmm *const virtual = &call.state->virtual;
    struct vg_vmm_allocation *const object = vg_vmm_begin_release(virtual, handle);
    call.result = vg_next.cuMemRelease(handle);
    if (object && call.result != CUDA_SUCCESS)
        vg_vmm_undo_release(virtual, object, handle);
    else if (object)
        vg_guard_forget(call.state, vg_vmm_end_release(virtual, object));
    return vg_guard_end(&call);
}

CUresult cuMemRetainAllocationHandle(CUmemGenericAllocationHandle *handle, void *address)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemRetainAllocationHandle, VG_BYTES_UNKNOWN))
        return VG_PASS(cuMemRetainAllocationHandle, (handle, address));
    call.result = vg_next.cuMemRetainAllocationHandle(handle, address);
    if (call.result == CUDA_SUCCESS)
        vg_vmm_retain(&call.state->virtual, *handle, (uint64_t)(uintptr_t)address);
    return vg_guard_end(&call);
}

static void note_mapping(struct vg_process_state *state, CUdeviceptr address, size_t bytes,
                         CUmemGenericAllocationHandle handle)
{
    uint64_t ended;
    const uint64_t key = vg_vmm_map(&state->virtual, address, bytes, handle, &ended);
    if (key)
        vg_live_index_note_mapped(&state->track, key, address);
    if (vg_spilled_any())
        vg_spilled_map(&state->spilled, address, bytes, key);
    vg_guard_forget(state, ended);
}

CUresult cuMemMap(CUdeviceptr address, size_t bytes, size_t offset,
                  CUmemGenericAllocationHandle handle, unsigned long long flags)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemMap, bytes))
        return VG_PASS(cuMemMap, (address, bytes, offset, handle, flags));
    do
        call.result = vg_next.cuMemMap(address, bytes, offset, handle, flags);
    while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS) {
        vg_guard_mapped(call.state);
        note_mapping(call.state, address, bytes, handle);
    }
    return vg_guard_end(&call);
}

static void forget_key(uint64_t key, void *argument)
{
    vg_guard_forget(argument, key);
}

CUresult cuMemUnmap(CUdeviceptr address, size_t bytes)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMemUnmap, bytes))
        return VG_PASS(cuMemUnmap, (address, bytes));
    struct vg_vmm *const virtual = &call.state->virtual;
    struct vg_vmm_unmapping mappings;
    vg_vmm_begin_unmap(virtual, address, bytes, &mappings);
    struct vg_spilled_node *const spilled =
        vg_spilled_any() ? vg_spilled_begin_unmap(&call.state->spilled, address, bytes) : NULL;
    call.result = vg_next.cuMemUnmap(address, bytes);
    vg_spilled_end_unmap(&call.state->spilled, spilled, call.result == CUDA_SUCCESS);
    if (call.result == CUDA_SUCCESS)
        vg_vmm_end_unmap(virtual, &mappings, forget_key, call.state);
    else
        vg_vmm_undo_unmap(virtual, &mappings);
    return vg_guard_end(&call);
}

/* The program asked for memory on the device and is told that it got it. */
CUresult cuMemGetAllocationPropertiesFromHandle(CUmemAllocationProp *properties,
                                                CUmemGenericAllocationHandle handle)
{
    struct vg_spilled_range range;
    const CUresult result = VG_PASS(cuMemGetAllocationPropertiesFromHandle, (properties, handle));
    if (result == CUDA_SUCCESS && vg_guard_find_spilled_handle(handle, &range))
        properties->location =
            (CUmemLocation){ .type = CU_MEM_LOCATION_TYPE_DEVICE, .id = range.device };
    return result;
}
