/* Wrappers of the functions that give memory a name for other processes. A program that shares one
 * allocation may share the next, and spilled memory cannot be shared: after the first of these
 * calls nothing is spilled any more. */
#include "base/log.h"
#include "guard/spilled_free.h"
#include "hook/wrappers.h"

/* The driver has refused to export what the program takes for device memory. */
static void explain_refusal(const char *function, CUresult result)
{
    static atomic_flag explained = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&explained))
        vg_log_line(
            "%s failed with CUDA error %d: the memory was spilled to the host, and such "
            "memory cannot be shared with other processes",
            function, result);
}

CUresult cuIpcGetMemHandle(CUipcMemHandle *handle, CUdeviceptr address)
{
    struct vg_spilled_range range;
    const CUresult result = VG_PASS(cuIpcGetMemHandle, (handle, address));
    vg_guard_note_export(result);
    if (result != CUDA_SUCCESS && vg_guard_find_spilled(address, &range))
        explain_refusal("cuIpcGetMemHandle", result);
    return result;
}

CUresult cuMemExportToShareableHandle(void *os_handle, CUmemGenericAllocationHandle handle,
                                      CUmemAllocationHandleType type, unsigned long long flags)
{
    const CUresult result = VG_PASS(cuMemExportToShareableHandle, (os_handle, handle, type, flags));
    vg_guard_note_export(result);
    return result;
}

CUresult cuMemPoolExportToShareableHandle(void *os_handle, CUmemoryPool pool,
                                          CUmemAllocationHandleType type, unsigned long long flags)
{
    const CUresult result =
        VG_PASS(cuMemPoolExportToShareableHandle, (os_handle, pool, type, flags));
    vg_guard_note_export(result);
    return result;
}
