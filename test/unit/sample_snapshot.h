/* A report of a realistic failure, for the tests of the report layer to change and print. */
#ifndef VRAMGUARD_TEST_SAMPLE_SNAPSHOT_H
#define VRAMGUARD_TEST_SAMPLE_SNAPSHOT_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "analyze/oom_report.h"
#include "base/size.h"

static inline void set_text(char *out, size_t cap, const char *text)
{
    snprintf(out, cap, "%s", text);
}

#define SET(field, text) set_text(field, sizeof(field), text)

static inline struct vg_oom_process *add_process(struct vg_oom_report *s, int32_t pid,
                                                 uint64_t bytes, const char *command)
{
    struct vg_oom_process *const p = &s->processes[s->process_count++];
    *p = (struct vg_oom_process){ .pid = pid, .uid = s->uid, .bytes = bytes };
    SET(p->command, command);
    s->others_bytes += bytes;
    return p;
}

static inline struct vg_oom_site *add_site(struct vg_oom_report *s, uint64_t bytes, uint64_t count,
                                           const char *label)
{
    struct vg_oom_site *const site = &s->sites[s->site_count++];
    *site = (struct vg_oom_site){ .bytes = bytes, .count = count, .stack_id = s->site_count };
    SET(site->label, label);
    return site;
}

/* Alone on a 12 GiB device: 10 GiB tracked, 512 MiB context, 1 GiB free, 512 MiB unexplained; asked
 * for 2 GiB. */
static inline void sample_alone(struct vg_oom_report *s)
{
    memset(s, 0, sizeof *s);
    s->version = VG_OOM_VERSION;
    s->size_bytes = sizeof *s;
    s->pid = 4712;
    s->uid = 1000;
    s->thread_id = 4712;
    SET(s->command, "python run_model.py");
    SET(s->api, "cuMemAlloc_v2");
    SET(s->where, "python3.11 > libffi.so.8 ffi_call > libcudart.so.13 cudaMalloc");
    s->error = 2;
    s->failure_number = 1;
    s->asked_bytes = 2 * VG_GIB;
    s->device.total_bytes = 12 * VG_GIB;
    s->device.free_bytes = VG_GIB;
    SET(s->device.name, "Tesla K80");
    SET(s->device.uuid, "GPU-5f3c2a10-0123-4567-89ab-cdef01234567");
    SET(s->driver_version, "580.159.04");
    s->cuda_version = 13000;
    s->nvml_available = 1;
    s->live_bytes = s->peak_bytes = 10 * VG_GIB;
    s->self_bytes = s->live_bytes + VG_GIB / 2;
    s->live_count = 40;
    s->size_class_count[28] = 40;
    add_site(s, 3 * VG_GIB, 12, "main (train.c:12) > load (load.c:7) > libcudart.so.13 cudaMalloc");
    add_site(s, 3 * VG_GIB, 12,
             "main (train.c:14) > step (step.c:90) > libcudart.so.13 cudaMalloc");
    s->other_site_count = 2;
    s->other_site_bytes = 4 * VG_GIB;
    s->other_site_allocations = 16;
    s->host_total_bytes = 64 * VG_GIB;
    s->host_available_bytes = 50 * VG_GIB;
    s->cgroup_limit_bytes = s->cgroup_used_bytes = VG_BYTES_UNKNOWN;
}

/* As above, but 3 GiB of the 10 are another process's. */
static inline void sample_shared(struct vg_oom_report *s)
{
    sample_alone(s);
    s->live_bytes = s->peak_bytes = 7 * VG_GIB;
    s->self_bytes -= 3 * VG_GIB;
    s->other_site_bytes = VG_GIB;
    add_process(s, 4711, 3 * VG_GIB, "/usr/bin/python3 /srv/jobs/train.py");
}

static inline struct vg_oom_device *add_device(struct vg_oom_report *s, int32_t ordinal,
                                               uint64_t total_bytes, uint64_t free_bytes)
{
    struct vg_oom_device *const d = &s->devices[s->device_count++];
    *d = (struct vg_oom_device){ .ordinal = ordinal,
                                 .total_bytes = total_bytes,
                                 .free_bytes = free_bytes };
    SET(d->name, "Tesla K80");
    SET(d->uuid, "GPU-aabbccdd-0123-4567-89ab-cdef01234567");
    return d;
}

#endif
