/* Where a run comes from: the live process (process_source.h) or its run file (file_source.h). What
 * is built from a source is the same for both (run_build.h). */
#ifndef VRAMGUARD_ANALYZE_RUN_SOURCE_H
#define VRAMGUARD_ANALYZE_RUN_SOURCE_H

#include <stdbool.h>
#include <stdint.h>

#include "analyze/run.h"
#include "base/region.h"
#include "record/format.h"

/* One live allocation, or one live block of PyTorch's allocator. */
struct vg_run_live {
    uint64_t address;
    uint64_t mapped_address; /* of virtual memory: where it was mapped last; 0 nowhere */
    uint64_t bytes;
    uint64_t monotonic_ns;
    uint64_t number;        /* which of its stack's it was, from 1; 0 not counted */
    uint64_t device_number; /* and which of its device's */
    uint32_t stack_id;      /* 0 none */
    uint16_t device;        /* index into the header's devices */
    uint16_t kind;          /* enum vg_kind; VG_KIND_NONE for a block */
};

/* What one stack has allocated on one device, all the run long. */
struct vg_run_counter {
    uint64_t allocation_count, free_count;
    uint64_t peak_bytes, peak_count; /* live at the peak of the device */
    uint32_t stack_id;
    uint16_t device;
};

typedef void vg_run_live_visit(const struct vg_run_live *live, void *argument);
typedef void vg_run_counter_visit(const struct vg_run_counter *counter, void *argument);

struct vg_run_source {
    bool is_live; /* it is this very process */
    const struct vg_file_header *header;
    const char *path;     /* of the run file, "" none */
    uint64_t now_ns;      /* CLOCK_MONOTONIC of the moment that is told */
    uint32_t stack_count; /* no stack has a larger id */
    uint32_t code_count;  /* no code object has */
    void *context;        /* of the functions below */

    /* Calls `visit` for everything live on `level`. Returns 0, -ENOMEM, or -ENOTSUP when this level
     * was not recorded. */
    int (*each_live)(void *context, enum vg_run_level level, vg_run_live_visit *visit,
                     void *argument);
    /* Calls `visit` for what stacks have counted; one may come several times. Returns 0, or
     * -ENOTSUP when nothing was counted. */
    int (*each_counter)(void *context, enum vg_run_level level, vg_run_counter_visit *visit,
                        void *argument);
    /* The record with this id, NULL for none. Valid as long as the source. */
    const struct vg_journal_stack *(*stack)(void *context, uint32_t id);
    const struct vg_journal_code *(*code)(void *context, uint32_t id);
    /* An address will be asked for: many are looked up at once. */
    void (*note_address)(void *context, uint64_t address);
    /* Names what a return address stands for, innermost first: itself, and what was inlined there.
     * Fills at most `cap` of `out`; texts lie in `region` or live as long as the source. Returns
     * how many, at least 1. */
    uint32_t (*name_address)(void *context, uint64_t address, struct vg_region *region,
                             struct vg_run_frame *out, uint32_t cap);
    /* Whose allocation the stack is. NULL: it is not known. */
    enum vg_run_owner (*judge_stack)(void *context, const struct vg_journal_stack *stack);
};

#endif
