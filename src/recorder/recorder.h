/* Writes this process's recorder file (format.h). All tables of the process live in it, so nothing
 * has to be flushed: what was written before a SIGKILL is there after it. Without a file the same
 * tables live in private memory. */
#ifndef VRAMGUARD_RECORDER_RECORDER_H
#define VRAMGUARD_RECORDER_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/lock.h"
#include "recorder/area.h"
#include "recorder/format.h"
#include "recorder/modules.h"
#include "recorder/stack_table.h"

struct vg_recorder {
    struct vg_file_header *header; /* never NULL once opened */
    struct vg_live_slot *slots;    /* base of the live area */
    struct vg_area_file file;
    struct vg_area live, journal;
    struct vg_lock journal_lock;
    struct vg_stack_table stacks;
    struct vg_modules modules;
    char path[4096]; /* of the file, "" when this run is not recorded */
};

struct vg_recorder_config {
    const char *path_template; /* VRAMGUARD_LOG's text; "" = a new file in the state directory */
    unsigned keep_runs;        /* files kept in the state directory; 0 = all */
    uint32_t snapshot_bytes;   /* size of FAILURE payloads, for readers */
};

/* Sets up `recorder` (zeroed memory at a fixed address) and creates its file. A file that cannot be
 * created is reported in one line and is no error. Returns 0, or -ENOMEM when not even private
 * memory can be had. */
int vg_recorder_open(struct vg_recorder *recorder, const struct vg_recorder_config *config);

/* Makes slots [*out_first, *out_first + count) of the live area usable and the caller's. Zeroed.
 * Any thread. Returns 0 or -ENOMEM. */
int vg_recorder_take_slots(struct vg_recorder *recorder, uint32_t count, uint64_t *out_first);

/* Appends a journal record; `size_bytes` <= 48 KiB. On success `*out_offset` (may be NULL) is the
 * payload's offset in the journal area. Any thread. Returns 0 or -ENOMEM. */
int vg_recorder_append(struct vg_recorder *recorder, enum vg_journal_type type, const void *payload,
                       uint32_t size_bytes, uint64_t *out_offset);

/* Id of a stack (from 1), recording it when it is new; 0 when it cannot be kept. `frames` are
 * `depth` program counters, innermost first. Any thread. */
uint32_t vg_recorder_stack(struct vg_recorder *recorder, const uint64_t *frames, uint32_t depth,
                           bool truncated);

/* The frames of stack `id`. Returns the depth and points `*out_frames` at them (valid as long as
 * the recorder), 0 for id 0 or an unknown one. Any thread. */
uint32_t vg_recorder_stack_frames(struct vg_recorder *recorder, uint32_t id,
                                  const uint64_t **out_frames, bool *out_truncated);

/* Writes the end of the run. The file stays usable afterwards: other exit handlers may still
 * allocate. */
void vg_recorder_finish(struct vg_recorder *recorder, int exit_status);

#endif
