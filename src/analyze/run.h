/* The run: what one process did with the memory of its GPUs, as numbers, enums and names. It is
 * built from the live process and from a run file by the same code (run_build.h), and everything
 * that people see is a view of it. No wording, nothing cut, no fixed number of anything.
 *
 * Memory. Every pointer lies in the region that the builder was given, or lives as long as the
 * source does; nothing is freed singly. Pointers to arrays may be NULL when their count is 0.
 * Texts are never NULL, "" is unknown; they are safe to print (control characters are replaced).
 * Amounts are bytes, VG_BYTES_UNKNOWN when not known (VG_COUNT_UNKNOWN: a count); times are
 * nanoseconds, 0 when not known. An enum of a later version may have a value that is not listed
 * here. */
#ifndef VRAMGUARD_ANALYZE_RUN_H
#define VRAMGUARD_ANALYZE_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "analyze/outer_limits.h"
#include "base/size.h"
#include "machine/machine.h"
#include "record/kind.h"

#define VG_COUNT_UNKNOWN UINT64_MAX

struct vg_oom_action; /* one thing that was tried and what came of it */

/* ---- stacks ---- */

enum vg_run_frame_flag {
    VG_FRAME_PYTHON = 1,  /* of Python code: no address and no module */
    VG_FRAME_LIBRARY = 2, /* of Python's library or of an installed package, not the program's */
    VG_FRAME_INLINED = 4, /* the compiler put it into the frame that follows */
    VG_FRAME_DIRECTORY = 256, /* times this: how many directories its file's name takes to be told
                                 from the run's other files */
};

struct vg_run_frame {
    uint64_t address;       /* program counter; return addresses point behind their call */
    uint64_t module_offset; /* relative to the module's load base; the address itself when the
                               module is unknown */
    const char *module;     /* base name of the mapped file */
    const char *function;   /* Python: its qualified name */
    const char *file;       /* path as the compiler or Python knows it */
    uint32_t line;          /* 0 unknown */
    uint32_t flags;         /* enum vg_run_frame_flag */
};

struct vg_run_stack {
    uint32_t id;                       /* of the run's dictionary; 0: it is in none */
    uint32_t frame_count;              /* 0: nothing is known */
    const struct vg_run_frame *frames; /* innermost first, with their names */
    bool truncated;                    /* there were more than were recorded */
};

/* A line of the program's own Python code. */
struct vg_run_line {
    const char *path; /* as Python knows it; "" : there is none */
    const char *file; /* as much of its end as tells it from the run's other files */
    uint32_t line;
    const char *function; /* qualified name */
    const char *text;     /* of the line, without its indent; "" when the file cannot be read or is
                             newer than the process */
};

/* ---- sites ---- */

/* What an allocation is: one of the driver, or a block that PyTorch's allocator handed out of it.
 * Blocks lie inside allocations: the two are never added up. */
enum vg_run_level { VG_LEVEL_ALLOCATIONS, VG_LEVEL_BLOCKS, VG_LEVELS };

enum { VG_RUN_EIGHTHS = 8 };

/* How the survivors of a site came about. */
enum vg_run_growth_kind {
    VG_GROWTH_UNKNOWN, /* there is too little to say */
    VG_GROWTH_NONE,    /* a working set: of earlier rounds nothing is left, or it came at once */
    VG_GROWTH_STEADY,  /* some of each round is still there, up to now. A load that is under way
                          looks  like that, too */
    VG_GROWTH_STOPPED, /* the same, but nothing has come for a quarter of the time: a cache that has
                          filled, a load that is over */
};

struct vg_run_growth {
    uint32_t kind; /* enum vg_run_growth_kind */
    uint32_t reserved;
    uint64_t kept_count; /* survivors of earlier rounds, and */
    uint64_t kept_bytes; /* what they hold */
    uint64_t each_bytes; /* the mean size of one */
    uint64_t since_ns;   /* age of the oldest of them */
};

/* What one place in the program allocated: all stacks whose innermost line of the program's own
 * Python code is the same (of allocations of the driver: and that line's caller); where there is
 * none, all stacks with the same label. */
struct vg_run_site {
    uint64_t live_bytes, live_count;
    uint64_t allocation_count, free_count; /* of all the run; VG_COUNT_UNKNOWN without counters */
    uint64_t peak_bytes, peak_count;       /* of it live when the device was at its peak */
    uint64_t oldest_ns, newest_ns;         /* ages of the survivors, at the moment told */
    uint64_t made[VG_RUN_EIGHTHS]; /* survivors by the eighth of their stack's allocations in which
                                      they came; where these are not counted, of the time since the
                                      oldest */
    uint64_t oldest_count, newest_count; /* ages of the survivors once more, in what the device has
                                            given out since; VG_COUNT_UNKNOWN: not counted */
    struct vg_run_growth growth;
    uint32_t stack_count;
    uint32_t stack_id;         /* of the one that holds most; 0: no stack was recorded */
    struct vg_run_line own;    /* the program's innermost line */
    struct vg_run_line caller; /* the next line of the program outwards in another file; without
                                  one, the next line */
    const char *called; /* the function of a library that `own` called, by its qualified name, in
                           the stack that holds most; "" none */
    const char *called_path; /* its file, as Python knows it; "" none */
    uint32_t owner;          /* enum vg_run_owner */
    bool is_labelled;        /* the next is filled in, and the text of the lines */
    const char *label; /* "main (train.c:12) > load > cudaMalloc", outermost first; no two sites of
                          a list have the same */
};

enum vg_run_owner { VG_OWNER_UNKNOWN, VG_OWNER_PYTORCH, VG_OWNER_OTHER };

struct vg_run_sites {
    uint32_t count;
    uint32_t rest_stack_count;       /* of a record that was shortened: further stacks, and */
    struct vg_run_site *entries;     /* largest first, by live_bytes */
    uint64_t rest_bytes, rest_count; /* what those hold */
    bool is_known;                   /* false: this level was not recorded */
    uint32_t stack_count;            /* what all that comes from, for records (sites.h) */
    const struct vg_stack_sum *stacks;
};

/* ---- devices ---- */

enum { VG_RUN_SIZE_CLASSES = 64 };

struct vg_run_kind {
    uint32_t kind; /* enum vg_kind */
    uint32_t reserved;
    uint64_t bytes, count;
};

/* One GPU as CUDA and NVML tell of it. */
struct vg_run_gpu {
    int32_t ordinal; /* as the program numbers it; -1: not visible to the program */
    uint32_t reserved;
    uint64_t total_bytes, free_bytes;
    const char *name, *uuid, *pci_bus_id;
};

/* A process that holds memory of a GPU. */
struct vg_run_other {
    int32_t pid;
    uint32_t uid;   /* UINT32_MAX unknown */
    uint32_t flags; /* enum vg_process_flag */
    int32_t rank;   /* in a distributed job, -1 none or unknown */
    uint64_t bytes;
    uint64_t idle_bytes;   /* it has said that it keeps so much unused; 0 nothing known */
    uint64_t start_ns;     /* CLOCK_REALTIME */
    uint64_t unchanged_ns; /* its amount has been seen to be the same for this long */
    const char *command, *user, *job, *container;
};

/* What the process holds of one device, at one moment. */
struct vg_run_device {
    struct vg_run_gpu gpu;
    bool is_host; /* not a GPU: pinned host memory, and what was spilled there */

    /* Allocations of this process that were seen. */
    uint64_t live_bytes, live_count;
    uint64_t counted_bytes; /* the same as running totals say: exact to 1 MiB, and known even when
                               the record of the allocations is cut */
    uint64_t peak_bytes;
    uint64_t peak_realtime_ns;
    uint64_t failed_count;                          /* calls that failed on it, up to now */
    uint64_t untracked_bytes;                       /* part of live_bytes without a record */
    uint64_t size_class_count[VG_RUN_SIZE_CLASSES]; /* [n]: live ones of 2^n <= bytes < 2^(n+1) */
    uint32_t kind_count;
    uint32_t limit_shared;           /* 1: several processes share the limit below */
    const struct vg_run_kind *kinds; /* by kind, those with anything live */
    struct vg_run_sites sites[VG_LEVELS];

    /* What the driver keeps for this process beyond its live allocations. Used is part of
     * live_bytes for pools, not for graphs. */
    uint64_t pool_reserved_bytes, pool_used_bytes;
    uint64_t graph_reserved_bytes, graph_used_bytes;
    uint64_t limit_bytes, limit_left_bytes; /* VRAMGUARD_LIMIT; limit_bytes 0: none */

    /* All of this process, as NVML counts, and the others. */
    bool others_known; /* false: NVML does not tell */
    uint64_t self_bytes, others_bytes;
    uint32_t process_count;
    uint32_t rest_process_count;          /* of a record that was shortened: further ones */
    const struct vg_run_other *processes; /* without this one, largest first, unknown last */
};

/* PyTorch's caching allocator on one device. */
enum vg_run_torch_backend {
    VG_TORCH_NATIVE,     /* cudaMalloc */
    VG_TORCH_EXPANDABLE, /* cuMemCreate: expandable segments */
    VG_TORCH_ASYNC,      /* cudaMallocAsync */
    VG_TORCH_BACKENDS
};

/* Why nothing is known of PyTorch's blocks. Written to files: never renumber. */
enum vg_torch_silence {
    VG_TORCH_TELLS,   /* it tells of them, or there is nothing to tell */
    VG_TORCH_UNHEARD, /* VRAMGUARD_TENSORS=off */
    VG_TORCH_SILENT,  /* it has told of none, though it holds memory of its own allocator */
};

struct vg_run_torch {
    bool loaded;   /* PyTorch's allocator is loaded */
    bool unjudged; /* there are allocations, but no native stacks to tell whose they are */
    uint64_t bytes[VG_TORCH_BACKENDS], count[VG_TORCH_BACKENDS]; /* reserved, by the stacks */
    const char *settings; /* "PYTORCH_CUDA_ALLOC_CONF=..."; "" when not set */
    uint32_t silence;     /* enum vg_torch_silence: why it does not tell of its blocks */
    bool tells_blocks;    /* the following come from its own calls, to the byte */
    uint64_t allocated_bytes, reserved_bytes, block_count;
    uint64_t allocation_count, free_count;   /* of blocks, all the run long */
    uint64_t unused_bytes;                   /* reserved and in no block */
    uint64_t hole_count, largest_hole_bytes; /* of the gaps in segments that are partly used */
    uint64_t empty_bytes, empty_count;       /* segments without any block: its cache */
    uint64_t fraction_bytes;                 /* set_per_process_memory_fraction; 0 none */
    uint64_t graph_bytes;        /* of segments that were taken while a CUDA graph was captured */
    uint32_t graph_count;        /* captures that took them, and */
    uint32_t graph_reuser_count; /* how many captures have used memory of an earlier one */
    bool is_caller;              /* the failing call is its own */
};

/* ---- the process ---- */

enum vg_run_state {
    VG_RUN_ALIVE,
    VG_RUN_EXITED,    /* its end is recorded */
    VG_RUN_GONE,      /* no end is recorded and the process is not there: killed, or _exit */
    VG_RUN_ELSEWHERE, /* it ran on another machine, and no end is recorded */
};

struct vg_run_process {
    int32_t pid;
    uint32_t uid;
    uint64_t start_realtime_ns, end_realtime_ns; /* the end only when it is recorded */
    uint32_t state;                              /* enum vg_run_state */
    int32_t exit_status;                         /* with VG_RUN_EXITED */
    int32_t rank, world_size;                    /* of a distributed job; -1 unknown */
    uint64_t job_hash; /* the same for all ranks of a job, of a live process; 0: unknown, none */
    const char *command, *exe, *host;
    const char *path; /* of its run file; "" when it is not recorded */
};

/* ---- failures, rescues, marks ---- */

/* Who said that there is no memory. Written to files: never renumber. */
enum vg_refusal {
    VG_REFUSED_BY_DRIVER,
    VG_REFUSED_BY_LIMIT,
    VG_REFUSED_BY_INJECT,
    VG_REFUSED_BY_PYTORCH, /* its own fraction: the driver was not asked */
    VG_REFUSED_COUNT
};

/* The tensors of the .safetensors files that the process has mapped. */
struct vg_run_checkpoint {
    uint64_t f32_bytes;   /* of 4-byte floating point numbers */
    uint64_t half_bytes;  /* of 2-byte ones: F16, BF16 */
    uint64_t other_bytes; /* of all others */
    uint32_t file_count;  /* 0: none is mapped */
    uint32_t unread;      /* files that are mapped and could not be read or understood */
    const char *name; /* of the largest, without its directory; of a model from the hub its own */
};

struct vg_run_host {
    uint64_t total_bytes, available_bytes;
    uint64_t cgroup_limit_bytes, cgroup_used_bytes;
    uint64_t pinned_bytes, pinned_count; /* by this process, in no device's live_bytes */
    uint64_t spilled_bytes, spilled_count, spill_cap_bytes; /* asked of a device; cap 0: none */
};

struct vg_run_failure {
    const struct vg_run_process *process; /* whose it is */
    uint32_t number;                      /* 1 for the first of the process */
    int32_t error;                        /* CUresult */
    uint64_t realtime_ns;                 /* CLOCK_REALTIME */
    const char *api;                      /* "cuMemAlloc_v2" */
    uint64_t asked_bytes;                 /* VG_BYTES_UNKNOWN for calls that name no amount */
    uint32_t refused_by;                  /* enum vg_refusal */
    uint32_t thread_id;
    const char *thread_name;
    bool survived;             /* told late: the program has gone on */
    uint64_t injected_number;  /* of the process's allocations, when the user made it fail, and */
    const char *injected_rule; /* what of VRAMGUARD_INJECT did */
    struct vg_run_stack stack; /* of the call */
    const char *where;         /* the same as one label */
    struct vg_run_line own;    /* the program's innermost line in it */
    struct vg_run_line main_line; /* where there is none, as in a worker thread: the line of the
                                     program in which the main thread is; line 0: not known */
    struct vg_run_device device;  /* as of then; gpu.ordinal -1 when there was no context */
    uint32_t other_gpu_count;     /* the machine's other GPUs */
    uint32_t action_count;
    const struct vg_run_gpu *other_gpus;
    const struct vg_oom_action *actions; /* what was tried */
    struct vg_run_torch torch;
    struct vg_run_checkpoint checkpoint;
    struct vg_run_host host;
    struct vg_outer_limits outer;
    const char *settings;             /* of base/setting.h; NULL or "" none */
    uint64_t alloc_count, free_count; /* of the process, up to then */
    const char *driver_version;       /* "580.159.04" */
    int32_t cuda_version;             /* 13000 = 13.0; 0 unknown */
    uint32_t census_format;           /* VG_CENSUS_FORMAT of who made it; 0: there is none */
    uint32_t census_bytes;
    const void *census; /* census.h: tensors by what they are and who holds them */
    const struct vg_run_line *census_lines; /* what its lines are called, in their order; NULL: not
                                               known */
};

/* A call that ran out of memory and succeeded after all. */
struct vg_run_rescue {
    int32_t device; /* ordinal, -1 none */
    uint32_t action_count;
    uint64_t realtime_ns;
    uint64_t asked_bytes;
    uint64_t duration_ns; /* of all that was tried */
    uint32_t stack_id;
    const char *api;
    const char *where;                   /* label of the stack */
    const struct vg_oom_action *actions; /* what was tried */
};

/* vramguard_mark. */
struct vg_run_mark_device {
    uint32_t device; /* ordinal; VG_FILE_HOST: pinned host memory */
    uint32_t reserved;
    uint64_t live_bytes, peak_bytes; /* the highest up to then */
};

struct vg_run_mark {
    uint64_t realtime_ns, monotonic_ns;
    uint32_t thread_id;
    uint32_t device_count;
    const char *text;
    const struct vg_run_mark_device *devices;
};

/* ---- all of it ---- */

struct vg_run {
    struct vg_run_process process;
    uint32_t device_count;
    uint32_t failure_count, rescue_count, mark_count; /* what is kept of them */
    struct vg_run_device *devices;   /* that the run used, as of now or of its end; is_host last */
    struct vg_run_failure *failures; /* oldest first, like the following */
    struct vg_run_rescue *rescues;
    struct vg_run_mark *marks;
    uint32_t failure_total, rescue_total, mark_total; /* kept or not */
    uint64_t spill_peak_bytes, spill_cap_bytes;
    bool is_incomplete; /* the record is damaged or was cut: parts may be missing */
};

#endif
