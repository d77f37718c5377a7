/* Wrappers of arrays and mipmapped arrays. The driver does not tell their size: the amount is
 * computed from the descriptor and marked as an estimate. */
#include "guard/guard.h"
#include "hook/wrappers.h"
#include "os/mapped.h"

/* Bytes of one channel of the plain formats (CUDA Driver API, CUarray_format); 0 for packed, planar
 * and compressed ones. */
static uint64_t channel_bytes(CUarray_format format)
{
    switch (format) {
    case 0x01: /* UNSIGNED_INT8 */
    case 0x08: /* SIGNED_INT8 */ return 1;
    case 0x02: /* UNSIGNED_INT16 */
    case 0x09: /* SIGNED_INT16 */
    case 0x10: /* HALF */ return 2;
    case 0x03: /* UNSIGNED_INT32 */
    case 0x0a: /* SIGNED_INT32 */
    case 0x20: /* FLOAT */ return 4;
    default: return 0;
    }
}

static uint64_t estimate_bytes(uint64_t width, uint64_t height, uint64_t depth,
                               CUarray_format format, unsigned channels)
{
    uint64_t bytes = channel_bytes(format) * channels;
    if (bytes == 0)
        bytes = 1; /* one byte an element: about what the compressed and planar ones take */
    if (__builtin_mul_overflow(bytes, width ? width : 1, &bytes) ||
        __builtin_mul_overflow(bytes, height ? height : 1, &bytes) ||
        __builtin_mul_overflow(bytes, depth ? depth : 1, &bytes))
        return VG_BYTES_UNKNOWN;
    return bytes;
}

/* A driver may run out of memory before it looks at the descriptor. */
#define ESTIMATE_2D(d)                                                                             \
    ((d) ? estimate_bytes((d)->Width, (d)->Height, 1, (d)->Format, (d)->NumChannels)               \
         : VG_BYTES_UNKNOWN)
#define ESTIMATE_3D(d)                                                                             \
    ((d) ? estimate_bytes((d)->Width, (d)->Height, (d)->Depth, (d)->Format, (d)->NumChannels)      \
         : VG_BYTES_UNKNOWN)

static uint64_t array_key(const void *array)
{
    return vg_guard_handle_key(VG_KIND_ARRAY, (uint64_t)(uintptr_t)array);
}

/* The descriptor is read only after the driver has: a bare program gets an error for a wild one.
 * Where the user wants allocations to be refused by their size it is needed before, and it is
 * looked whether there is memory to be read. */
static bool may_estimate_before(const struct vg_call *call, const void *descriptor, size_t bytes)
{
    return vg_guard_looks_ahead(call) && vg_is_mapped(descriptor, bytes);
}

#define DEFINE_CREATE(symbol, descriptor_type, estimate_of)                                        \
    CUresult symbol(CUarray *array, const descriptor_type *descriptor)                             \
    {                                                                                              \
        struct vg_call call;                                                                       \
        if (!vg_guard_begin(&call, VG_FN_##symbol, VG_BYTES_UNKNOWN))                              \
            return VG_PASS(symbol, (array, descriptor));                                           \
        if (may_estimate_before(&call, descriptor, sizeof *descriptor))                            \
            call.asked_bytes = estimate_of(descriptor);                                            \
        do {                                                                                       \
            call.result = vg_guard_admits(&call) ? vg_next.symbol(array, descriptor)               \
                                                 : CUDA_ERROR_OUT_OF_MEMORY;                       \
            if (vg_guard_accepted(&call))                                                          \
                call.asked_bytes = estimate_of(descriptor);                                        \
        } while (vg_guard_again(&call));                                                           \
        if (call.result == CUDA_SUCCESS)                                                           \
            vg_guard_record(&call, VG_KIND_ARRAY, array_key(*array), call.asked_bytes);            \
        return vg_guard_end(&call);                                                                \
    }

DEFINE_CREATE(cuArrayCreate, CUDA_ARRAY_DESCRIPTOR_v1, ESTIMATE_2D)
DEFINE_CREATE(cuArrayCreate_v2, CUDA_ARRAY_DESCRIPTOR, ESTIMATE_2D)
DEFINE_CREATE(cuArray3DCreate, CUDA_ARRAY3D_DESCRIPTOR_v1, ESTIMATE_3D)
DEFINE_CREATE(cuArray3DCreate_v2, CUDA_ARRAY3D_DESCRIPTOR, ESTIMATE_3D)

CUresult cuArrayDestroy(CUarray array)
{
    struct vg_free_call call;
    if (!vg_guard_begin_free(&call, VG_FN_cuArrayDestroy, array_key(array)))
        return VG_PASS(cuArrayDestroy, (array));
    return vg_guard_end_free(&call, vg_next.cuArrayDestroy(array));
}

/* All levels: each has half the width, height and depth of the one before. */
static uint64_t estimate_levels(const CUDA_ARRAY3D_DESCRIPTOR *descriptor, unsigned levels)
{
    uint64_t sum = 0;
    if (!descriptor)
        return VG_BYTES_UNKNOWN;
    for (unsigned level = 0; level < levels && level < 64; level++) {
        const uint64_t bytes =
            estimate_bytes(descriptor->Width >> level, descriptor->Height >> level,
                           descriptor->Depth >> level, descriptor->Format, descriptor->NumChannels);
        if (__builtin_add_overflow(sum, bytes, &sum))
            return VG_BYTES_UNKNOWN;
    }
    return sum;
}

CUresult cuMipmappedArrayCreate(CUmipmappedArray *array, const CUDA_ARRAY3D_DESCRIPTOR *descriptor,
                                unsigned int levels)
{
    struct vg_call call;
    if (!vg_guard_begin(&call, VG_FN_cuMipmappedArrayCreate, VG_BYTES_UNKNOWN))
        return VG_PASS(cuMipmappedArrayCreate, (array, descriptor, levels));
    if (may_estimate_before(&call, descriptor, sizeof *descriptor))
        call.asked_bytes = estimate_levels(descriptor, levels);
    do {
        call.result = vg_guard_admits(&call)
                          ? vg_next.cuMipmappedArrayCreate(array, descriptor, levels)
                          : CUDA_ERROR_OUT_OF_MEMORY;
        if (vg_guard_accepted(&call))
            call.asked_bytes = estimate_levels(descriptor, levels);
    } while (vg_guard_again(&call));
    if (call.result == CUDA_SUCCESS)
        vg_guard_record(&call, VG_KIND_ARRAY, array_key(*array), call.asked_bytes);
    return vg_guard_end(&call);
}

CUresult cuMipmappedArrayDestroy(CUmipmappedArray array)
{
    struct vg_free_call call;
    if (!vg_guard_begin_free(&call, VG_FN_cuMipmappedArrayDestroy, array_key(array)))
        return VG_PASS(cuMipmappedArrayDestroy, (array));
    return vg_guard_end_free(&call, vg_next.cuMipmappedArrayDestroy(array));
}
