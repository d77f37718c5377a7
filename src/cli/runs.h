/* The recorded runs in the state directory. */
#ifndef VRAMGUARD_CLI_RUNS_H
#define VRAMGUARD_CLI_RUNS_H

#include <stddef.h>
#include <stdint.h>

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

/* Where runs are looked for: in the folder that VRAMGUARD_LOG names, if it names one, or else in
 * the state directory. Returns 0 or -errno. */
int vg_runs_directory(char *out, size_t cap);

/* Reads the header of every recorder file in `directory`; for NULL in that of vg_runs_directory,
 * which need not be there yet. Files of other users that may not be read are left out. Returns 0,
 * or -errno with a reason in `why`
 * (`why_cap` bytes). Freed by vg_runs_free. */
int vg_runs_scan(struct vg_runs *out, const char *directory, char *why, size_t why_cap);
void vg_runs_free(struct vg_runs *runs);

#endif
