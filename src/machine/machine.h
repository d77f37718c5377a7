/* Who holds what on each GPU of the machine: one snapshot of what NVML, the registry of guarded
 * processes and /proc tell, for all who ask: reports, waiting, admission, the search for deadlocks,
 * the choice of a GPU, `vramguard list`.
 *
 * Everything lies in memory of the caller's region; nothing is cut and nothing is shared between
 * threads. NVML is asked in a thread of its own and waited for at most VG_MACHINE_NVML_MS: where it
 * hangs, what it knows is unknown, `slow` says so, and for a minute nobody asks it again. No lock
 * of ours may be held; the caller may hold its own. Amounts are bytes, VG_BYTES_UNKNOWN if not
 * known. */
#ifndef VRAMGUARD_MACHINE_MACHINE_H
#define VRAMGUARD_MACHINE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/region.h"
#include "driver/nvml.h"
#include "shared/registry.h"

struct vg_nvml_question; /* machine/nvml_answer.h */

enum { VG_MACHINE_NVML_MS = 800, VG_MACHINE_NVML_PAUSE_MS = 60000, VG_MACHINE_NAME_CAP = 96 };

/* What a process on a GPU is. Written to run files: never renumber. */
enum vg_process_flag {
    VG_PROCESS_GUARDED = 1,   /* runs with vramguard: it is in the registry */
    VG_PROCESS_INVISIBLE = 2, /* the pid does not exist here, or means another process here: NVML
                                 tells the pids of another pid namespace; or it is not known: a
                                 guarded one of another pid namespace */
    VG_PROCESS_WAITING = 4,   /* in line for memory of this GPU */
    VG_PROCESS_PYTORCH = 8,   /* PyTorch's allocator is loaded there; only looked for where advice
                                 names the process */
    VG_PROCESS_PARENT = 16,   /* it started this process, or the one that did, ... */
    VG_PROCESS_CHILD = 32,    /* this process, or a child of it, ... started it */
    VG_PROCESS_JOB = 64,      /* another rank or worker of the job of which this process is part */
    VG_PROCESS_ORPHAN = 128,  /* who started it has ended and left it behind (os/family.h) */
    VG_PROCESS_GIVES_BACK = 256, /* guarded, and answers requests to give back what it only keeps */
};

/* What belongs to the same program as this process, and so does not come free by waiting. */
#define VG_PROCESS_OWN_PROGRAM (VG_PROCESS_PARENT | VG_PROCESS_CHILD | VG_PROCESS_JOB)

struct vg_machine_process {
    int32_t pid;             /* VG_PROCESS_ELSEWHERE: it has none here */
    uint32_t uid;            /* UINT32_MAX unknown */
    uint32_t flags;          /* enum vg_process_flag */
    int32_t rank;            /* in a distributed job, -1 none or unknown */
    uint64_t start_ticks;    /* of proc(5), 0 unknown: with the pid it is who it is */
    uint64_t owner;          /* word of the registry; 0 for one that is not guarded */
    uint64_t bytes;          /* all that it holds of the GPU, as NVML tells */
    uint64_t held_bytes;     /* its live allocations as it tells itself; 0 when not guarded */
    uint64_t reserved_bytes; /* promised to it, what it holds included; 0 none */
    uint64_t idle_bytes;     /* what it has said that it keeps unused and could give back */
    uint64_t unchanged_ns;   /* CLOCK_MONOTONIC: `bytes` has been seen to be the same since then; 0
                                when nobody has looked before */
};

struct vg_machine_gpu {
    char uuid[96], name[64], pci_bus_id[32]; /* "" unknown; safe to print */
    uint64_t total_bytes, free_bytes;
    bool known;     /* NVML has told of the processes; else only guarded ones are here */
    bool slow;      /* it has not, because it did not answer in time */
    bool self_seen; /* it lists this process; in a container it may not */
    uint64_t self_bytes;
    uint64_t others_bytes;   /* sum of the known amounts of all others; without NVML, of what the
                                guarded ones tell themselves */
    uint64_t promised_bytes; /* reserved for others and not yet held by them */
    uint64_t taken_ns;       /* CLOCK_MONOTONIC of this snapshot */
    size_t process_count;
    struct vg_machine_process *processes; /* without this one, largest first, unknown last */
};

/* What is asked for beyond pids and amounts; each costs some reads in /proc for each process. */
enum vg_machine_detail {
    VG_MACHINE_PLAIN = 0,
    VG_MACHINE_RELATIONS = 1, /* PARENT, CHILD, JOB, ORPHAN, rank, uid, start_ticks */
};

struct vg_machine_question {
    const char *uuid;               /* of the GPU, "" unknown */
    const char *pci_bus_id;         /* for a GPU whose UUID NVML does not know; "" unknown */
    struct vg_registry_file *file;  /* of the GPU; NULL when there is none */
    unsigned details;               /* enum vg_machine_detail */
    bool has_context;               /* this process has memory of the GPU: NVML, if its pids are of
                                       this pid namespace, lists it */
    struct vg_nvml_question *begun; /* of vg_machine_begin, which vg_machine_measure gives back;
                                       NULL: NVML is asked then */
};

/* Fills `out` for one GPU. Never fails: what cannot be known is unknown. */
void vg_machine_measure_gpu(const struct vg_machine_question *question, struct vg_region *region,
                            struct vg_machine_gpu *out);

/* All GPUs. */
struct vg_machine {
    char driver_version[32]; /* "580.159.04", "" unknown */
    bool known, slow;        /* as above */
    char why[160];           /* not known because of this */
    size_t gpu_count;        /* NVML's, in its order; 0 without it */
    struct vg_machine_gpu *gpus;
    struct vg_machine_gpu *asked; /* the GPU of the question: one of them, a MIG instance or one
                                     that NVML does not know. Only this one has processes. */
    bool is_instance;             /* it is a MIG instance: one of `gpus` is its GPU as a whole */
};

void vg_machine_measure(const struct vg_machine_question *question, struct vg_region *region,
                        struct vg_machine *out);

/* Begins to ask NVML for what vg_machine_measure tells, so that the caller can do other work before
 * that. Returns what goes into the question then, which may be NULL. */
struct vg_nvml_question *vg_machine_begin(const char *uuid, const char *pci_bus_id);

/* The one with the most memory, NULL when there is none of a known amount. */
const struct vg_machine_process *vg_machine_largest(const struct vg_machine_gpu *gpu);

/* The one with this pid, NULL when it is not there. */
const struct vg_machine_process *vg_machine_find(const struct vg_machine_gpu *gpu, int32_t pid);

/* A number that stays the same as long as the other processes of the GPU, what each of them holds,
 * and who waits in its line stay the same. `file`: of the GPU, or NULL. */
uint64_t vg_machine_fingerprint(const struct vg_machine_gpu *gpu,
                                const struct vg_registry_file *file);

/* The command of `pid`, shortened, "" when it is not known, which it is of a pid below 1. Returns
 * `out`. */
const char *vg_machine_command(char *out, size_t cap, int32_t pid);

/* "pid 4711 (python train.py)", the command shortened; VG_MACHINE_ELSEWHERE for the pid
 * VG_PROCESS_ELSEWHERE. VG_MACHINE_NAME_CAP bytes hold all of it. Returns `out`. */
#define VG_MACHINE_ELSEWHERE "a process of another container or host"
const char *vg_machine_name(char *out, size_t cap, int32_t pid);

/* How NVML is opened; tests put their own in. */
extern int (*vg_machine_open_nvml)(struct vg_nvml *out, char *why, size_t why_cap);

#endif
