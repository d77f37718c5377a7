/* A recorded run, opened, read and built (analyze/run.h). */
#ifndef VRAMGUARD_CLI_RUN_VIEW_H
#define VRAMGUARD_CLI_RUN_VIEW_H

#include "analyze/file_source.h"
#include "base/text.h"
#include "cli/symbols.h"

struct vg_run_view {
    struct vg_reader reader;
    struct vg_symbols *symbols; /* NULL: without names of native functions */
    struct vg_file_source source;
    struct vg_region region;
    struct vg_run run;
};

/* Opens the run file `path`, which outlives `view`, reads it and builds the run. `names`: native
 * functions and source lines are named, which takes time. Returns 0, or -errno with a reason for
 * people in `why`, as vg_reader_open. On success vg_run_view_close gives everything back. */
int vg_run_view_open(struct vg_run_view *view, const char *path, bool names, char *why,
                     size_t why_cap);
void vg_run_view_close(struct vg_run_view *view);

/* Bytes live on all GPUs together, and the peak of the GPU with the highest. */
uint64_t vg_run_live_bytes(const struct vg_run *run);
uint64_t vg_run_peak_bytes(const struct vg_run *run);

/* "0", "0,1", "-": the GPUs the run used. */
void vg_run_add_devices(struct vg_text *out, const struct vg_run *run);

/* How it ended, in a few words: "running", "exit 0", "out of memory: asked 2.00 GiB, free 1.50
 * GiB", "killed, 9.87 GiB live". */
void vg_run_add_end(struct vg_text *out, const struct vg_run *run);

#endif
