/* What other processes hold of a GPU, as NVML and the registry tell, for those who consider waiting
 * for it. Opens NVML for the moment: tens of milliseconds on a real machine. */
#ifndef VRAMGUARD_MACHINE_GPU_PROCESSES_H
#define VRAMGUARD_MACHINE_GPU_PROCESSES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/registry.h"

enum { VG_GPU_PROCESSES_MAX = 64, VG_GPU_PROCESSES_NAME_CAP = 96 };

struct vg_gpu_process {
    int32_t pid;
    bool guarded;
    uint64_t bytes; /* as NVML tells; VG_BYTES_UNKNOWN if it does not */
};

struct vg_gpu_processes {
    bool known;                       /* NVML has told; else only the guarded ones are here */
    bool self_seen;                   /* NVML lists this process; in a container it may not */
    uint64_t total_bytes, free_bytes; /* VG_BYTES_UNKNOWN if not known */
    uint64_t others_bytes;            /* sum of the known amounts */
    uint64_t promised_bytes;          /* reserved for others and not yet held by them */
    size_t count;
    struct vg_gpu_process list[VG_GPU_PROCESSES_MAX];
};

/* Measures GPU `uuid`; `file` is its registry file, or NULL. This process is left out. No lock of
 * ours may be held. */
void vg_gpu_processes_measure(const char *uuid, const struct vg_registry_file *file,
                              struct vg_gpu_processes *out);

/* The one with the most memory, NULL when there is none of a known amount. */
const struct vg_gpu_process *vg_gpu_processes_largest(const struct vg_gpu_processes *neighbours);

/* The one with this pid, NULL when it is not there. */
const struct vg_gpu_process *vg_gpu_processes_find(const struct vg_gpu_processes *neighbours,
                                                   int32_t pid);

/* Its command, shortened, "" when it is not known. Returns `out`. */
const char *vg_gpu_processes_command(char *out, size_t cap, int32_t pid);

/* "pid 4711 (python train.py)", the command shortened; VG_GPU_PROCESSES_NAME_CAP bytes hold all of
 * it. Returns `out`. */
const char *vg_gpu_processes_name(char *out, size_t cap, int32_t pid);

#endif
