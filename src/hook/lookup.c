/* Name resolution that cannot lie: the real lookup is made first, with the caller's own arguments,
 * and only a result that is exactly a function we wrap is replaced. Version, flags, status and "not
 * found" stay the driver's business. */
#include "guard/process_state.h"
#include "hook/dlsym.h"
#include "hook/wrappers.h"

/* Is the caller to get the real answer? An interposer behind us looks for what is behind itself. */
static bool gets_bare(const void *caller)
{
    return vg_process_switched_off() || vg_chain_is_behind(caller);
}

CUresult cuGetProcAddress(const char *name, void **function, int version, cuuint64_t flags)
{
    void *own = NULL;
    if (!vg_driver_has(VG_FN_cuGetProcAddress))
        return CUDA_ERROR_NOT_FOUND;
    if (gets_bare(__builtin_return_address(0)))
        return vg_driver.cuGetProcAddress(name, function, version, flags);
    const CUresult result = vg_next.cuGetProcAddress(name, function, version, flags);
    if (result != CUDA_SUCCESS || !function)
        return result;
    *function = vg_wrapper_for_name(name, *function);
    if (vg_chain_is_behind(*function) &&
        vg_driver.cuGetProcAddress(name, &own, version, flags) == CUDA_SUCCESS)
        *function = vg_wrapper_before(name, *function, own);
    return result;
}

CUresult cuGetProcAddress_v2(const char *name, void **function, int version, cuuint64_t flags,
                             CUdriverProcAddressQueryResult *status)
{
    CUdriverProcAddressQueryResult own_status;
    void *own = NULL;
    if (!vg_driver_has(VG_FN_cuGetProcAddress_v2))
        return CUDA_ERROR_NOT_FOUND;
    if (gets_bare(__builtin_return_address(0)))
        return vg_driver.cuGetProcAddress_v2(name, function, version, flags, status);
    const CUresult result = vg_next.cuGetProcAddress_v2(name, function, version, flags, status);
    if (result != CUDA_SUCCESS || !function)
        return result;
    *function = vg_wrapper_for_name(name, *function);
    if (vg_chain_is_behind(*function) &&
        vg_driver.cuGetProcAddress_v2(name, &own, version, flags, &own_status) == CUDA_SUCCESS)
        *function = vg_wrapper_before(name, *function, own);
    return result;
}
