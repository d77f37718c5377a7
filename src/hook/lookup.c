/* Name resolution that cannot lie: the real lookup is made first, with the caller's own arguments,
 * and only a result that is exactly a function we wrap is replaced. Version, flags, status and "not
 * found" stay the driver's business. */
#include "guard/process_state.h"
#include "hook/dlsym.h"
#include "hook/wrappers.h"

CUresult cuGetProcAddress(const char *name, void **function, int version, cuuint64_t flags)
{
    if (!vg_driver_has(VG_FN_cuGetProcAddress))
        return CUDA_ERROR_NOT_FOUND;
    const CUresult result = vg_driver.cuGetProcAddress(name, function, version, flags);
    if (result == CUDA_SUCCESS && function && !vg_process_switched_off())
        *function = vg_wrapper_for_name(name, *function);
    return result;
}

CUresult cuGetProcAddress_v2(const char *name, void **function, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *status)
{
    if (!vg_driver_has(VG_FN_cuGetProcAddress_v2))
        return CUDA_ERROR_NOT_FOUND;
    const CUresult result = vg_driver.cuGetProcAddress_v2(name, function, version, flags, status);
    if (result == CUDA_SUCCESS && function && !vg_process_switched_off())
        *function = vg_wrapper_for_name(name, *function);
    return result;
}
