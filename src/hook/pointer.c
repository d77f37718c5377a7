/* Questions about addresses. Spilled memory is answered for as the device memory that the program
 * takes it for; what it truly cannot be (exported, reached by other devices directly) stays the
 * driver's answer. All other addresses go straight to the driver. */
#include <string.h>

#include "guard/spilled_free.h"
#include "hook/wrappers.h"

/* Is the attribute one that tells where the memory lies? Then its value for device memory, and the
 * bytes that has (CUDA Driver API, cuPointerGetAttribute). Mappings tell their range themselves. */
static bool device_value(const struct vg_spilled_range *range, CUpointer_attribute attribute,
                         uint64_t *out_value, size_t *out_bytes)
{
    const bool linear = range->what == VG_SPILLED_LINEAR;
    *out_bytes = 8;
    switch (attribute) {
    case CU_POINTER_ATTRIBUTE_MEMORY_TYPE:
        *out_value = CU_MEMORYTYPE_DEVICE;
        *out_bytes = 4;
        return true;
    case CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL:
        *out_value = (uint64_t)range->device;
        *out_bytes = 4;
        return true;
    case CU_POINTER_ATTRIBUTE_HOST_POINTER: *out_value = 0; return true;
    case CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: *out_value = range->address; return linear;
    case CU_POINTER_ATTRIBUTE_RANGE_SIZE: *out_value = range->bytes; return linear;
    default: return false;
    }
}

CUresult cuPointerGetAttribute(void *data, CUpointer_attribute attribute, CUdeviceptr address)
{
    struct vg_spilled_range range;
    uint64_t value;
    size_t bytes;
    if (!vg_guard_find_spilled(address, &range) ||
        !device_value(&range, attribute, &value, &bytes) || !data)
        return VG_PASS(cuPointerGetAttribute, (data, attribute, address));
    if (attribute == CU_POINTER_ATTRIBUTE_HOST_POINTER)
        return CUDA_ERROR_INVALID_VALUE; /* as for device memory */
    memcpy(data, &value, bytes);
    return CUDA_SUCCESS;
}

CUresult cuPointerGetAttributes(unsigned int count, CUpointer_attribute *attributes, void **data,
                                CUdeviceptr address)
{
    const CUresult result = VG_PASS(cuPointerGetAttributes, (count, attributes, data, address));
    struct vg_spilled_range range;
    uint64_t value;
    size_t bytes;
    if (result != CUDA_SUCCESS || !vg_guard_find_spilled(address, &range))
        return result;
    for (unsigned int i = 0; i < count; i++)
        if (device_value(&range, attributes[i], &value, &bytes))
            memcpy(data[i], &value, bytes);
    return result;
}

CUresult cuMemGetAddressRange_v2(CUdeviceptr *base, size_t *bytes, CUdeviceptr address)
{
    struct vg_spilled_range range;
    if (!vg_guard_find_spilled(address, &range) || range.what != VG_SPILLED_LINEAR)
        return VG_PASS(cuMemGetAddressRange_v2, (base, bytes, address));
    if (base)
        *base = range.address;
    if (bytes)
        *bytes = range.bytes;
    return CUDA_SUCCESS;
}
