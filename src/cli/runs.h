/* The recorded runs in the state directory, and how each of them ended. */
#ifndef VRAMGUARD_CLI_RUNS_H
#define VRAMGUARD_CLI_RUNS_H

#include <stddef.h>
#include <stdint.h>

#include "analyze/oom_report.h"
#include "base/text.h"
#include "record/reader.h"

struct vg_run_entry {
    char *path;
    uint64_t start_realtime_ns;
    int32_t pid;
};

struct vg_runs {
    struct vg_run_entry *entries; /* newest first */
    size_t count;
    size_t unreadable_count; /* recorder files by name that could not be read */
    char unreadable[512];    /* the first of them, and why: "x.vgr: format version 2, ..." */
    char directory[4096];
};

/* Reads the header of every recorder file in the state directory; no directory means no runs.
 * Returns 0, or -errno with a reason in `why` (`why_cap` bytes). Freed by vg_runs_free. */
int vg_runs_scan(struct vg_runs *out, char *why, size_t why_cap);
void vg_runs_free(struct vg_runs *runs);

enum vg_run_state vg_run_state_of(const struct vg_file_header *header);

/* Copies the run's failure `index` (0 is the oldest; reader loaded) to `out`, ready to be printed.
 * Returns 0 or -EBADMSG when it cannot be used. */
int vg_run_failure(const struct vg_reader *reader, size_t index, struct vg_oom_report *out);

/* Bytes live on all devices together, and the peak of the device with the highest. */
uint64_t vg_run_live_bytes(const struct vg_file_header *header);
uint64_t vg_run_peak_bytes(const struct vg_file_header *header);

/* "0", "0,1", "-": the devices the run used. */
void vg_run_add_devices(struct vg_text *out, const struct vg_file_header *header);

/* How it ended, in a few words: "running", "exit 0", "out of memory: asked 2.00 GiB, free 1.50
 * GiB", "killed, 9.87 GiB live". Needs the reader loaded. */
void vg_run_add_end(struct vg_text *out, const struct vg_reader *reader);

#endif
