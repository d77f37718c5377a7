/* What NVML knows of the machine's GPUs: who holds how much. Used on the failure path only, and
 * opened only for its duration, so that a program that never fails never loads it. NVML creates no
 * CUDA context. Source of the facts: "NVML API Reference Guide". */
#ifndef VRAMGUARD_DRIVER_NVML_H
#define VRAMGUARD_DRIVER_NVML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/region.h"
#include "driver/nvml_abi.h"

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

typedef int (*vg_nvml_processes_function)(nvmlDevice_t, unsigned int *, nvmlProcessInfo_t *);

/* The functions of NVML that are asked; tests fill in their own. */
struct vg_nvml_functions {
    int (*init)(void);
    int (*shutdown)(void);
    int (*driver_version)(char *, unsigned int);
    int (*count)(unsigned int *);
    int (*handle)(unsigned int, nvmlDevice_t *);
    int (*handle_by_uuid)(const char *, nvmlDevice_t *);
    int (*name)(nvmlDevice_t, char *, unsigned int);
    int (*uuid)(nvmlDevice_t, char *, unsigned int);
    int (*pci)(nvmlDevice_t, nvmlPciInfo_t *);
    int (*memory)(nvmlDevice_t, nvmlMemory_t *);
    vg_nvml_processes_function compute_processes, graphics_processes;
};

/* Of one thread; any number of them may exist at the same time. */
struct vg_nvml {
    void *library; /* NULL: `functions` come from elsewhere */
    const struct vg_nvml_functions *functions;
    struct vg_nvml_functions found; /* in `library` */
    nvmlDevice_t instance;          /* the MIG instance that VG_NVML_INSTANCE stands for */
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

/* All processes with memory on device `index`, compute and graphics, each pid once, into memory of
 * `region`. Returns 0, -EIO or -ENOMEM; then there are none. */
int vg_nvml_processes(const struct vg_nvml *nvml, unsigned index, struct vg_region *region,
                      struct vg_nvml_process **out, size_t *out_count);

#endif
