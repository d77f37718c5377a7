/* What run files of format version 3 hold of failures, rescues and marks, frozen: flat structures
 * that were written as they lay in memory, with sentences in them. */
#ifndef VRAMGUARD_RECORD_VERSION3_H
#define VRAMGUARD_RECORD_VERSION3_H

#include <stdint.h>

enum {
    VG_VERSION3_SNAPSHOT = 5, /* its own version */
    VG_VERSION3_SITES = 12,
    VG_VERSION3_PROCESSES = 24,
    VG_VERSION3_DEVICES = 16,
    VG_VERSION3_SIZE_CLASSES = 64,
    VG_VERSION3_FRAMES = 128, /* VG_STACK_FRAMES + VG_PYTHON_FRAMES of recorder/format.h */
    VG_VERSION3_ACTIONS = 8,
    VG_VERSION3_KINDS = 16, /* at least VG_KIND_COUNT of recorder/kind.h */
    VG_VERSION3_COMMAND_CAP = 256,
    VG_VERSION3_LABEL_CAP = 384,
    VG_VERSION3_BACKENDS = 3,
    VG_VERSION3_MARK_DEVICES = 32,
    VG_VERSION3_MARK_TEXT_CAP = 128,
};

/* One frame of the failing call's stack, innermost first. */
struct vg_version3_frame {
    uint64_t address;       /* program counter; return addresses point behind their call */
    uint64_t module_offset; /* address relative to the module's load base; the address itself when
                               the module is unknown */
    char module[48];        /* base name of the mapped file, "" unknown */
    char function[96];      /* "" unknown */
    char location[48];      /* "file.c:12", "" unknown */
    uint32_t is_python;     /* 1: a frame of Python code; then the first three are 0 and empty, and
                               the function is its qualified name */
    uint32_t is_library;    /* 1: of Python's library or of an installed package */
};

/* Allocations made by one stack. */
struct vg_version3_site {
    uint64_t bytes;
    uint64_t count;
    uint32_t stack_id; /* of the recorder's dictionary; 0 = no stack was recorded */
    uint32_t steady;   /* 1: they were made evenly over all the time since the first of them */
    uint64_t span_ns;  /* from the first of them to the failure */
    char
        label[VG_VERSION3_LABEL_CAP]; /* "main (train.c:12) > load > cudaMalloc", outermost first */
    char line[128]; /* of the program's own Python code, the innermost line and its caller's:
                       "train.py:40 main > train.py:14 step"; "" without one */
};

struct vg_version3_process {
    int32_t pid;
    uint32_t uid; /* UINT32_MAX unknown */
    uint32_t flags;
    uint32_t reserved;
    uint64_t bytes;
    char command[VG_VERSION3_COMMAND_CAP];
};

struct vg_version3_device {
    int32_t ordinal; /* as the program numbers it; -1: not visible to the program */
    uint32_t reserved;
    uint64_t total_bytes, free_bytes;
    char name[64];
    char uuid[48]; /* "GPU-5f3c2a10-..." */
    char pci_bus_id[24];
};

/* One thing that was tried before the failure was returned. */
struct vg_version3_action {
    char name[24];
    char outcome[160];
    uint64_t recovered_bytes;
    uint64_t duration_ns;
};

/* What PyTorch's allocator holds of the failing device, as its calls of the driver tell. */
struct vg_version3_torch {
    uint32_t loaded;   /* 1: PyTorch's allocator is loaded */
    uint32_t unjudged; /* 1: there are allocations, but no native stacks to tell whose they are */
    uint64_t bytes[VG_VERSION3_BACKENDS], count[VG_VERSION3_BACKENDS];
    char settings[128]; /* vg_options.torch_settings */
};

/* The tensors of the .safetensors files that the process has mapped. */
struct vg_version3_checkpoint {
    uint64_t f32_bytes;   /* of 4-byte floating point numbers */
    uint64_t half_bytes;  /* of 2-byte ones: F16, BF16 */
    uint64_t other_bytes; /* of all others */
    uint32_t file_count;  /* 0: none is mapped */
    uint32_t unread;      /* files that are mapped and could not be read or understood */
    char name[80]; /* of the largest, without its directory; of a model from the hub its own */
};

struct vg_version3_snapshot {
    uint32_t version;    /* VG_VERSION3_SNAPSHOT */
    uint32_t size_bytes; /* sizeof(struct vg_version3_snapshot), checked by readers */

    /* The run. */
    int32_t pid;
    uint32_t uid;
    uint64_t realtime_ns; /* CLOCK_REALTIME at the failure */
    char command[VG_VERSION3_COMMAND_CAP];
    char host[64];

    /* The failing call. */
    char api[40];  /* "cuMemAlloc_v2" */
    int32_t error; /* the driver's CUresult */
    uint32_t thread_id;
    char thread_name[16];
    uint64_t asked_bytes;    /* VG_BYTES_UNKNOWN for calls that name no amount */
    uint32_t failure_number; /* 1 for the first of the process */
    uint32_t refused_by;     /* enum vg_refusal: who said that there is no memory */
    uint32_t limit_shared;   /* 1: several processes share the limit below */
    uint32_t frame_count;
    uint32_t stack_id;
    uint32_t stack_truncated; /* 1: there were more frames than were recorded */
    uint64_t injected_number; /* of the process's allocations, when the user made it fail */
    char injected_rule[48];   /* what of VRAMGUARD_INJECT made it fail */
    struct vg_version3_frame frames[VG_VERSION3_FRAMES];
    char where[VG_VERSION3_LABEL_CAP]; /* the frames as one label */

    /* The device of the failing call. */
    struct vg_version3_device device;
    char driver_version[32]; /* "580.159.04" */
    int32_t cuda_version;    /* 13000 = 13.0; 0 unknown */
    uint32_t nvml_available; /* 0: what other processes hold is not known */
    uint64_t self_bytes;     /* this process on this device, all of it, as NVML counts */
    uint64_t others_bytes;   /* sum over all other processes, listed or not */
    uint64_t limit_bytes;    /* what VRAMGUARD_LIMIT allows of it; 0: no limit */
    uint64_t limit_left_bytes;

    /* This process's tracked device memory on this device. */
    uint64_t live_bytes, live_count, peak_bytes;
    uint64_t alloc_count, free_count, failed_count;
    uint64_t untracked_bytes; /* allocations counted in live_bytes without a record (memory was
                                 too short to keep one) */
    uint64_t size_class_count[VG_VERSION3_SIZE_CLASSES]; /* [n]: live allocations of
                                                             2^n <= bytes < 2^(n+1) */
    uint32_t site_count;                                 /* used entries of sites, largest first */
    uint32_t other_site_count;                           /* further sites, and what they hold */
    uint64_t other_site_bytes, other_site_allocations;
    struct vg_version3_site sites[VG_VERSION3_SITES];

    /* live_bytes and live_count by enum vg_kind. */
    uint64_t kind_bytes[VG_VERSION3_KINDS], kind_count[VG_VERSION3_KINDS];
    uint64_t pinned_bytes, pinned_count; /* host memory, not in live_bytes */
    /* What was asked of a device and is in host memory, in neither of the above. */
    uint64_t spilled_bytes, spilled_count, spill_cap_bytes;
    /* What the driver keeps for this process beyond its live allocations: pools of stream-ordered
     * memory and graphs. Used is part of live_bytes for pools, not for graphs. */
    uint64_t pool_reserved_bytes, pool_used_bytes;
    uint64_t graph_reserved_bytes, graph_used_bytes;

    uint32_t process_count;       /* used entries of processes, largest first; without ourselves */
    uint32_t other_process_count; /* processes that did not fit */
    struct vg_version3_process processes[VG_VERSION3_PROCESSES];

    uint32_t device_count; /* used entries of devices: the machine's other devices */
    uint32_t action_count;
    struct vg_version3_device devices[VG_VERSION3_DEVICES];
    struct vg_version3_action actions[VG_VERSION3_ACTIONS];

    struct vg_version3_torch torch;
    struct vg_version3_checkpoint checkpoint;

    /* The host. */
    uint64_t host_total_bytes, host_available_bytes;
    uint64_t cgroup_limit_bytes, cgroup_used_bytes;
    char recorder_path[256]; /* "" when this run is not recorded */
};

struct vg_version3_rescue {
    uint32_t version; /* VG_RESCUE_RECORD_VERSION */
    int32_t device;   /* ordinal, -1 none */
    uint64_t realtime_ns;
    uint64_t asked_bytes; /* VG_BYTES_UNKNOWN for calls that name no amount */
    uint64_t duration_ns; /* of all that was tried */
    uint32_t stack_id;
    uint32_t action_count;
    char api[40];
    struct vg_version3_action actions[VG_VERSION3_ACTIONS];
};

struct vg_version3_mark_device {
    uint32_t device;
    uint32_t reserved;
    uint64_t live_bytes, peak_bytes; /* the highest up to then */
};

struct vg_version3_mark {
    uint32_t version; /* VG_MARK_RECORD_VERSION */
    uint32_t thread_id;
    uint64_t realtime_ns, monotonic_ns;
    char text[VG_VERSION3_MARK_TEXT_CAP];
    uint32_t device_count;
    uint32_t reserved;
    struct vg_version3_mark_device
        devices[VG_VERSION3_MARK_DEVICES]; /* `device_count` of them are recorded */
};

#endif
