/* A realistic failure, for the tests of what reads failures to change and print. Each test program
 * has one at a time: what it consists of lies in the arrays below. */
#ifndef VRAMGUARD_TEST_SAMPLE_FAILURE_H
#define VRAMGUARD_TEST_SAMPLE_FAILURE_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "analyze/outcome.h"
#include "analyze/run.h"
#include "base/size.h"

enum { SAMPLE_CAP = 64 };

static struct vg_run_process process;
static struct vg_run_other processes[SAMPLE_CAP];
static struct vg_run_gpu gpus[SAMPLE_CAP];
static struct vg_run_site sites[SAMPLE_CAP];
static struct vg_run_kind kinds[VG_KIND_COUNT];
static struct vg_oom_action actions[8];

/* For names of actions, which are arrays. */
#define SET(field, text) snprintf(field, sizeof(field), "%s", text)

static inline struct vg_run_other *add_process(struct vg_run_failure *s, int32_t pid,
                                               uint64_t bytes, const char *command)
{
    struct vg_run_other *const p = &processes[s->device.process_count++];
    *p = (struct vg_run_other){ .pid = pid,
                                .uid = process.uid,
                                .bytes = bytes,
                                .command = command,
                                .user = "",
                                .job = "",
                                .container = "" };
    s->device.others_bytes += bytes;
    return p;
}

static inline struct vg_run_site *add_site(struct vg_run_failure *s, uint64_t bytes, uint64_t count,
                                           const char *label)
{
    static const struct vg_run_line none = { .path = "", .file = "", .function = "", .text = "" };
    struct vg_run_sites *const list = &s->device.sites[VG_LEVEL_ALLOCATIONS];
    struct vg_run_site *const site = &sites[list->count++];
    *site = (struct vg_run_site){ .live_bytes = bytes,
                                  .live_count = count,
                                  .allocation_count = VG_COUNT_UNKNOWN,
                                  .free_count = VG_COUNT_UNKNOWN,
                                  .peak_bytes = VG_BYTES_UNKNOWN,
                                  .peak_count = VG_COUNT_UNKNOWN,
                                  .stack_count = 1,
                                  .stack_id = list->count,
                                  .own = none,
                                  .caller = none,
                                  .called = "",
                                  .is_labelled = true,
                                  .label = label };
    return site;
}

static inline void set_kind(struct vg_run_failure *s, uint32_t kind, uint64_t bytes, uint64_t count)
{
    uint32_t i = 0;
    while (i < s->device.kind_count && kinds[i].kind != kind)
        i++;
    if (i == s->device.kind_count)
        s->device.kind_count++;
    kinds[i] = (struct vg_run_kind){ .kind = kind, .bytes = bytes, .count = count };
}

static inline void sample_device(struct vg_run_device *d)
{
    *d = (struct vg_run_device){
        .gpu = { .total_bytes = 12 * VG_GIB,
                 .free_bytes = VG_GIB,
                 .name = "Tesla K80",
                 .uuid = "GPU-5f3c2a10-0123-4567-89ab-cdef01234567",
                 .pci_bus_id = "" },
        .others_known = true,
        .live_bytes = 10 * VG_GIB,
        .peak_bytes = 10 * VG_GIB,
        .self_bytes = 10 * VG_GIB + VG_GIB / 2,
        .live_count = 40,
        .processes = processes,
        .kinds = kinds,
    };
    d->size_class_count[28] = 40;
    d->sites[VG_LEVEL_ALLOCATIONS] = (struct vg_run_sites){ .entries = sites,
                                                            .is_known = true,
                                                            .rest_stack_count = 2,
                                                            .rest_bytes = 4 * VG_GIB,
                                                            .rest_count = 16 };
}

/* Alone on a 12 GiB device: 10 GiB tracked, 512 MiB context, 1 GiB free, 512 MiB unexplained; asked
 * for 2 GiB. */
static inline void sample_alone(struct vg_run_failure *s)
{
    process = (struct vg_run_process){ .pid = 4712,
                                       .uid = 1000,
                                       .rank = -1,
                                       .world_size = -1,
                                       .command = "python run_model.py",
                                       .exe = "python3.11",
                                       .host = "gpu-host",
                                       .path = "" };
    memset(actions, 0, sizeof actions);
    *s = (struct vg_run_failure){
        .process = &process,
        .thread_id = 4712,
        .thread_name = "",
        .injected_rule = "",
        .api = "cuMemAlloc_v2",
        .where = "python3.11 > libffi.so.8 ffi_call > libcudart.so.13 cudaMalloc",
        .own = { .path = "", .file = "", .function = "", .text = "" },
        .error = 2,
        .number = 1,
        .asked_bytes = 2 * VG_GIB,
        .driver_version = "580.159.04",
        .cuda_version = 13000,
        .other_gpus = gpus,
        .actions = actions,
        .torch = { .settings = "" },
        .checkpoint = { .name = "" },
        .host = { .total_bytes = 64 * VG_GIB,
                  .available_bytes = 50 * VG_GIB,
                  .cgroup_limit_bytes = VG_BYTES_UNKNOWN,
                  .cgroup_used_bytes = VG_BYTES_UNKNOWN },
    };
    sample_device(&s->device);
    add_site(s, 3 * VG_GIB, 12, "main (train.c:12) > load (load.c:7) > libcudart.so.13 cudaMalloc");
    add_site(s, 3 * VG_GIB, 12,
             "main (train.c:14) > step (step.c:90) > libcudart.so.13 cudaMalloc");
}

/* As above, but 3 GiB of the 10 are another process's. */
static inline void sample_shared(struct vg_run_failure *s)
{
    sample_alone(s);
    s->device.live_bytes = s->device.peak_bytes = 7 * VG_GIB;
    s->device.self_bytes -= 3 * VG_GIB;
    s->device.sites[VG_LEVEL_ALLOCATIONS].rest_bytes = VG_GIB;
    add_process(s, 4711, 3 * VG_GIB, "/usr/bin/python3 /srv/jobs/train.py");
}

static inline struct vg_run_gpu *add_device(struct vg_run_failure *s, int32_t ordinal,
                                            uint64_t total_bytes, uint64_t free_bytes)
{
    struct vg_run_gpu *const gpu = &gpus[s->other_gpu_count++];
    *gpu = (struct vg_run_gpu){ .ordinal = ordinal,
                                .total_bytes = total_bytes,
                                .free_bytes = free_bytes,
                                .name = "Tesla K80",
                                .uuid = "GPU-aabbccdd-0123-4567-89ab-cdef01234567",
                                .pci_bus_id = "" };
    return gpu;
}

#endif
