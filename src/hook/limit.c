/* What a program under a limit is told of a device's memory: the driver's own answer, but no more
 * than the limit. Without a limit the driver's answer goes through as it is. */
#include <limits.h>

#include "guard/guard.h"
#include "guard/memory_read.h"
#include "hook/wrappers.h"

/* Both: the limit of the device and what it leaves; false when it is not limited. */
static bool limit_of(CUdevice device, uint64_t *out_limit_bytes, uint64_t *out_left_bytes)
{
    return vg_process_limited() && vg_process_limit_of(device, out_limit_bytes, out_left_bytes);
}

static bool limit_of_current(uint64_t *out_limit_bytes, uint64_t *out_left_bytes)
{
    CUdevice device;
    return vg_process_limited() && vg_driver.cuCtxGetDevice &&
           vg_driver.cuCtxGetDevice(&device) == CUDA_SUCCESS &&
           vg_process_limit_of(device, out_limit_bytes, out_left_bytes);
}

static void lower_bytes(size_t *bytes, uint64_t most_bytes)
{
    if (bytes && *bytes > most_bytes)
        *bytes = most_bytes;
}

/* The first versions tell 32 bits. */
static void lower_v1(unsigned int *bytes, uint64_t most_bytes)
{
    if (bytes && *bytes > most_bytes)
        *bytes = (unsigned int)most_bytes;
}

CUresult cuMemGetInfo(unsigned int *free_bytes, unsigned int *total_bytes)
{
    uint64_t limit_bytes, left_bytes;
    const CUresult result = VG_PASS(cuMemGetInfo, (free_bytes, total_bytes));
    if (result == CUDA_SUCCESS && limit_of_current(&limit_bytes, &left_bytes)) {
        lower_v1(free_bytes, left_bytes);
        lower_v1(total_bytes, limit_bytes);
    }
    if (result == CUDA_SUCCESS && free_bytes && total_bytes)
        vg_memory_read_note(*free_bytes, *total_bytes);
    return result;
}

CUresult cuMemGetInfo_v2(size_t *free_bytes, size_t *total_bytes)
{
    uint64_t limit_bytes, left_bytes;
    const CUresult result = VG_PASS(cuMemGetInfo_v2, (free_bytes, total_bytes));
    if (result == CUDA_SUCCESS && limit_of_current(&limit_bytes, &left_bytes)) {
        lower_bytes(free_bytes, left_bytes);
        lower_bytes(total_bytes, limit_bytes);
    }
    if (result == CUDA_SUCCESS && free_bytes && total_bytes)
        vg_memory_read_note(*free_bytes, *total_bytes);
    return result;
}

CUresult cuDeviceTotalMem(unsigned int *bytes, CUdevice device)
{
    uint64_t limit_bytes, left_bytes;
    const CUresult result = VG_PASS(cuDeviceTotalMem, (bytes, device));
    if (result == CUDA_SUCCESS && limit_of(device, &limit_bytes, &left_bytes))
        lower_v1(bytes, limit_bytes);
    return result;
}

CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device)
{
    uint64_t limit_bytes, left_bytes;
    const CUresult result = VG_PASS(cuDeviceTotalMem_v2, (bytes, device));
    if (result == CUDA_SUCCESS && limit_of(device, &limit_bytes, &left_bytes))
        lower_bytes(bytes, limit_bytes);
    return result;
}
