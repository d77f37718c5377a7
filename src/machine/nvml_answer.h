/* One question to NVML, asked in a thread of its own and waited for only so long: NVML takes locks
 * of the kernel driver, which a hanging GPU or a reset holds for minutes. */
#ifndef VRAMGUARD_MACHINE_NVML_ANSWER_H
#define VRAMGUARD_MACHINE_NVML_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "base/region.h"
#include "driver/nvml.h"

struct vg_nvml_answer {
    char driver_version[32];
    int own; /* index of the GPU in question, VG_NVML_INSTANCE, or -ENOENT */
    struct vg_nvml_device own_device;
    bool own_described;
    bool processes_known;
    size_t process_count;
    struct vg_nvml_process *processes; /* of the GPU in question */
    size_t device_count;               /* all of them, when asked for */
    struct vg_nvml_device *devices;
    char why[160]; /* when NVML could not be opened */
};

/* A question that is being asked. */
struct vg_nvml_question;

/* Asks for the GPU with this UUID or bus id, and for all devices if `all`; the answer lies in
 * `region`. Returns 0, -ENOENT or -EIO of vg_nvml_open, -ETIMEDOUT when NVML has not answered in
 * VG_MACHINE_NVML_MS or is not asked since it did not the last time, -EAGAIN when no thread can be
 * made to ask it, -ENOMEM. Any thread; no lock of ours may be held. */
int vg_nvml_ask(const char *uuid, const char *pci_bus_id, bool all, struct vg_region *region,
                struct vg_nvml_answer *out);

/* The same in two steps, so that the caller can do other work meanwhile. Returns NULL where NVML is
 * not asked, which vg_nvml_ask has an error for. The question is the caller's until it ends it. */
struct vg_nvml_question *vg_nvml_begin(const char *uuid, const char *pci_bus_id, bool all);

/* Waits for what is left of VG_MACHINE_NVML_MS. Gives `question` back; returns as vg_nvml_ask. */
int vg_nvml_end(struct vg_nvml_question *question, struct vg_region *region,
                struct vg_nvml_answer *out);

#endif
