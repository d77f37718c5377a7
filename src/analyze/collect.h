/* Gathers the facts of a failed allocation: from the process's own tables, the driver, NVML, the
 * registry and /proc. */
#ifndef VRAMGUARD_ANALYZE_COLLECT_H
#define VRAMGUARD_ANALYZE_COLLECT_H

#include <stdbool.h>
#include <stdint.h>

#include "analyze/census.h"
#include "analyze/outcome.h"
#include "analyze/run.h"
#include "base/region.h"
#include "driver/cuda_abi.h"
#include "heap/blocks.h"
#include "heap/graph_pools.h"
#include "heap/live_index.h"
#include "heap/pools.h"
#include "heap/spilled.h"
#include "record/recorder.h"
#include "shared/registry.h"
#include "unwind/caller.h"

/* The tables of this process. */
struct vg_tables {
    struct vg_recorder *recorder;
    const struct vg_live_index *track;
    const struct vg_blocks *blocks;           /* of PyTorch's allocator; NULL: not watched */
    const struct vg_graph_pools *graph_pools; /* NULL: not watched */
    struct vg_pools *pools;
    struct vg_spilled *spilled;
    const struct vg_registration *registrations; /* [device ordinal] */
    const char *torch_settings;                  /* vg_options.torch_settings */
    const char *settings;                        /* vg_options.settings */
};

/* A line of the program's Python code; `line` 0: not known. */
struct vg_program_line {
    char path[256], function[96];
    uint32_t line;
};

enum { VG_FAILURE_ACTIONS = 8 };

/* What is known at the failing call. */
struct vg_failure {
    struct vg_tables tables;
    const char *api;      /* exported name of the function */
    int32_t error;        /* its CUresult */
    int32_t device;       /* ordinal, -1 when there is no context */
    uint64_t asked_bytes; /* VG_BYTES_UNKNOWN for calls that name no amount */
    uint32_t thread_id;
    uint32_t failure_number;
    uint32_t stack_id;      /* of the recorder's dictionary; 0 when it could not be kept, and */
    const uint64_t *frames; /* then its program counters, innermost first */
    uint32_t frame_count;
    uint32_t stack_truncated;
    uint64_t realtime_ns;       /* CLOCK_REALTIME; 0: it has just happened. If not, free_bytes and
                                   total_bytes are those of then, and all else is as of now */
    uint64_t monotonic_ns;      /* CLOCK_MONOTONIC when the call failed; 0: just now */
    bool survived;              /* told late, and the program has gone on: one line is enough */
    uint64_t torch_limit_bytes; /* PyTorch's own limit (set_per_process_memory_fraction), 0 none
                                   or unknown */
    struct vg_program_line main_line; /* of another thread's failure: where the main thread is */
    const struct vg_census *census;   /* valid during the report; NULL: none was taken */
    struct vg_oom_action actions[VG_FAILURE_ACTIONS]; /* what was tried */
    uint32_t action_count;
    const char *injected_rule; /* with VG_REFUSED_BY_INJECT: which part of VRAMGUARD_INJECT, and */
    uint64_t injected_number;  /* the number of the allocation; else NULL */

    /* For the policy. */
    enum vg_refusal refused_by;
    enum vg_caller caller;
    bool searches_batch_size;    /* vg_caller_searches_batch_size */
    bool below_pytorch;          /* PyTorch's allocator may hold its mutex around the call */
    bool capturing;              /* a stream of the process is being captured into a graph */
    const char *flusher;         /* vg_caller_flusher; NULL for all but VG_CALLER_FLUSHING */
    bool twice;                  /* the caller makes this call a second time when it fails */
    bool pool_call;              /* of a pool: PyTorch may make it a second time */
    bool retry;                  /* and this is the second time */
    bool survived_before;        /* the program has gone on after an earlier failure */
    const char *lacks_elsewhere; /* what it lacks is no memory of the GPU, but this; else NULL */
    uint64_t free_bytes;  /* of the device at the failure, VG_BYTES_UNKNOWN without a context */
    uint64_t total_bytes; /* likewise */
    uint64_t limit_bytes; /* what VRAMGUARD_LIMIT allows of the device; 0: no limit */
    uint64_t limit_left_bytes;
    bool limit_shared;                /* by several processes */
    enum vg_outcome_code why_no_wait; /* waiting is out of the question because of this; else
                                         VG_OUTCOME_NONE */
};

/* The device's default pool, if it has one, and those that the program has made (`made`), into
 * `out`, which holds VG_COLLECT_POOLS_MAX. Returns their number. Any thread. */
enum { VG_COLLECT_POOLS_MAX = VG_POOLS_MAX + 1 };
size_t vg_collect_pools(struct vg_pools *made, int device, CUmemoryPool *out);

/* Describes the failure, and the process that it is of, completely; texts and arrays lie in
 * `region` or live as long as the recorder. Calls the driver, NVML (dlopen) and the dynamic loader,
 * reads /proc, maps memory; takes milliseconds. One at a time. No lock of ours may be held, the
 * caller may hold any of its own. */
void vg_collect(const struct vg_failure *failure, struct vg_region *region,
                struct vg_run_process *process, struct vg_run_failure *out);

/* Makes `census`, which has to last as long as `out`, part of the failure; NULL: it has none. */
void vg_collect_census(struct vg_run_failure *out, const struct vg_census *census);

/* Makes `line` part of a failure in whose stack there is no line of the program; `line->line` 0: it
 * is not known. */
void vg_collect_main_line(struct vg_run_failure *out, const struct vg_program_line *line,
                          struct vg_region *region);

/* The place of the failing call as one label (vg_label_from_frames), "" when another thread is
 * asking right now or nothing is known. */
void vg_collect_where(const struct vg_failure *failure, char *out, size_t cap);

#endif
