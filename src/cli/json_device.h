/* What a process holds of a device, as JSON. The keys are the fields of analyze/run.h, whose notes
 * on units hold here too: amounts in bytes, times in nanoseconds, null for what is not known. */
#ifndef VRAMGUARD_CLI_JSON_DEVICE_H
#define VRAMGUARD_CLI_JSON_DEVICE_H

#include "analyze/run.h"
#include "cli/json.h"

/* The device with its kinds, its sites on both levels and its other processes. The caller's. */
json_t *vg_json_device(const struct vg_run_device *device);

/* A GPU's own data: ordinal, name, UUID, bus, total and free bytes. The caller's. */
json_t *vg_json_gpu(const struct vg_run_gpu *gpu);

/* A line of the program; JSON's null where there is none. The caller's. */
json_t *vg_json_line(const struct vg_run_line *line);

#endif
