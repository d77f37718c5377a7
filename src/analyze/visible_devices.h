/* How to name a GPU in CUDA_VISIBLE_DEVICES, where the program was started: the program's own
 * numbers are those of what the variable shows, in the order that it gives. Pure.
 * Source: CUDA C++ Programming Guide, "Environment Variables": numbers or UUIDs (a beginning that
 * only one GPU has is enough), separated by commas; what follows an invalid one is not visible. */
#ifndef VRAMGUARD_ANALYZE_VISIBLE_DEVICES_H
#define VRAMGUARD_ANALYZE_VISIBLE_DEVICES_H

#include <stddef.h>
#include <stdint.h>

enum { VG_VISIBLE_VALUE_CAP = 64 };

/* One GPU of the machine, as NVML knows it. */
struct vg_visible_device {
    int ordinal;      /* the program's number, -1 when it does not see it */
    const char *uuid; /* "GPU-5f3c2a10-...", "MIG-..."; "" unknown */
};

/* Writes what CUDA_VISIBLE_DEVICES is to be set to, for `devices[wanted]` alone to be visible, to
 * `out`. `visible` is the variable's value as the program has it, NULL when it is not set. Numbers
 * that are known to be right are preferred, else it is the UUID, shortened as far as the `count`
 * devices stay distinct. Returns 0, or -ENOENT when no value is known to be right (`out` is ""). */
int vg_visible_device_value(const char *visible, const struct vg_visible_device *devices,
                            size_t count, size_t wanted, char out[VG_VISIBLE_VALUE_CAP]);

#endif
