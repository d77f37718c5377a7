/* What NVML knows of the machine's GPUs: who holds how much. Used on the failure path only, and
 * opened only for its duration, so that a program that never fails never loads it. NVML creates no
 * CUDA context. Source of the facts: "NVML API Reference Guide". */
#ifndef VRAMGUARD_DRIVER_NVML_H
#define VRAMGUARD_DRIVER_NVML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vg_nvml_process {
    int32_t pid;    /* of NVML's own pid namespace: inside a container perhaps not ours */
    uint64_t bytes; /* VG_BYTES_UNKNOWN where the driver does not tell (WDDM, some MIG setups) */
};

struct vg_nvml_device {
    char uuid[96];
    char name[96];
    char pci_bus_id[32];
    uint64_t total_bytes, free_bytes; /* VG_BYTES_UNKNOWN when not told */
};

struct vg_nvml {
    void *library;
    const struct vg_nvml_functions *functions;
    char functions_storage[16 * sizeof(void *)];
    void *instance; /* the MIG instance that VG_NVML_INSTANCE stands for */
};

/* The index that vg_nvml_find answers for a MIG instance, which has none of its own. */
enum { VG_NVML_INSTANCE = 1 << 16 };

/* Loads and initialises NVML. Returns 0, or -ENOENT (no library) or -EIO (nvmlInit failed; e.g. no
 * driver loaded), with a reason in `why`. On 0 the caller ends it with vg_nvml_close. May take tens
 * of milliseconds on a real machine. No lock of ours may be held (it calls dlopen). */
int vg_nvml_open(struct vg_nvml *out, char *why, size_t why_cap);
void vg_nvml_close(struct vg_nvml *nvml);

/* Version of the kernel driver ("580.159.04"), "" when not told. */
void vg_nvml_driver_version(const struct vg_nvml *nvml, char *out, size_t cap);

/* Devices of the machine, whether CUDA_VISIBLE_DEVICES shows them or not; 0 on error. */
unsigned vg_nvml_device_count(const struct vg_nvml *nvml);

/* Describes device `index` of NVML's numbering. Returns 0 or -EIO. */
int vg_nvml_describe_device(const struct vg_nvml *nvml, unsigned index, struct vg_nvml_device *out);

/* NVML's number of the GPU with this UUID ("GPU-...") or, where that finds none, this PCI bus id
 * (CUDA and NVML number devices differently). To a program in a MIG instance CUDA names the
 * instance's UUID; NVML knows it as "MIG-..." with the same digits, and answers for the instance
 * alone. Returns an index for the functions below or -ENOENT. */
int vg_nvml_find(struct vg_nvml *nvml, const char *uuid, const char *pci_bus_id);

/* Processes with memory on device `index`, compute and graphics, each pid once; at most `cap` of
 * them go to `out`. Returns how many there are, or -EIO. */
int vg_nvml_processes(const struct vg_nvml *nvml, unsigned index, struct vg_nvml_process *out,
                      size_t cap);

#endif
