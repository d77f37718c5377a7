/* The functions of include/vramguard.h. */
#include <errno.h>

#include "base/version.h"
#include "guard/guard.h"
#include "hook/wrappers.h"
#include "report/emit.h"
#include "vramguard.h"

VG_EXPORT const char *vramguard_version(void)
{
    return VG_VERSION_TEXT;
}

VG_EXPORT int vramguard_write_report(int fd)
{
    if (!vg_driver_bind())
        return -ENODEV;
    struct vg_process_state *const state = vg_guard_enter();
    if (!state)
        return -ENODEV;
    CUdevice device;
    int error = -ENODEV;
    if (vg_driver.cuCtxGetDevice && vg_driver.cuCtxGetDevice(&device) == CUDA_SUCCESS) {
        struct vg_failure present = {
            .tables = { .recorder = &state->recorder,
                        .track = &state->track,
                        .pools = &state->pools,
                        .registrations = state->registrations },
            .api = "",
            .device = device,
            .asked_bytes = VG_BYTES_UNKNOWN,
            .thread_id = vg_thread.thread_id,
        };
        vg_guard_measure_limit(state, &present);
        error = vg_report_write(&present, fd);
    }
    vg_guard_leave();
    return error;
}
