/* The functions of include/vramguard.h. */
#include <errno.h>

#include "analyze/event_records.h"
#include "base/cancellation.h"
#include "base/version.h"
#include "guard/guard.h"
#include "guard/oom_facts.h"
#include "hook/wrappers.h"
#include "oom/emit.h"
#include "oom/trim_hooks.h"
#define VRAMGUARD_BUILDING
#include "vramguard.h"

VG_EXPORT const char *vramguard_version(void)
{
    static const char marked[] = VG_VERSION_MARK VG_VERSION_TEXT;
    return marked + sizeof VG_VERSION_MARK - 1;
}

VG_EXPORT int vramguard_write_report(int fd)
{
    if (!vg_driver_bind())
        return -ENODEV;
    struct vg_guard_frame frame;
    struct vg_process_state *const state = vg_guard_enter(&frame, sizeof frame);
    if (!state)
        return -ENODEV;
    CUdevice device;
    int error = -ENODEV;
    if (vg_driver.cuCtxGetDevice && vg_driver.cuCtxGetDevice(&device) == CUDA_SUCCESS) {
        struct vg_failure present = {
            .tables = vg_process_tables(state),
            .api = "",
            .device = device,
            .asked_bytes = VG_BYTES_UNKNOWN,
            .thread_id = vg_thread.thread_id,
        };
        vg_cancellation_hold();
        vg_oom_facts_measure_limit(state, &present);
        error = vg_report_write(&present, fd);
        vg_cancellation_release();
    }
    vg_guard_leave();
    return error;
}

VG_EXPORT int vramguard_mark(const char *text)
{
    const int saved_errno = errno; /* the file may grow */
    if (!text)
        return -EINVAL;
    struct vg_guard_frame frame;
    struct vg_process_state *const state =
        vg_driver_bind() ? vg_guard_enter(&frame, sizeof frame) : NULL;
    if (!state)
        return -ENODEV;
    const int error = vg_mark_record_append(&state->recorder, vg_thread.thread_id, text);
    vg_guard_leave();
    errno = saved_errno;
    return error;
}

VG_EXPORT int vramguard_add_trim_hook(const char *name, int priority, vramguard_trim_fn function,
                                      void *argument)
{
    return vg_trim_hooks_add(name, priority, function, argument);
}

VG_EXPORT int vramguard_remove_trim_hook(vramguard_trim_fn function, void *argument)
{
    return vg_trim_hooks_remove(function, argument);
}
