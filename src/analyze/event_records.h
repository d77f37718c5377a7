/* Failures, rescues and marks in the run file: written by the process, read as parts of a run. */
#ifndef VRAMGUARD_ANALYZE_EVENT_RECORDS_H
#define VRAMGUARD_ANALYZE_EVENT_RECORDS_H

#include "analyze/stack_names.h"
#include "record/reader.h"
#include "record/recorder.h"

enum {
    VG_EVENT_RECORD_CAP = 48 * 1024, /* bytes of a journal record, at most */
    VG_RESCUE_RECORDS_MAX = 1000,    /* of one run; further ones are only counted */
    VG_MARK_RECORDS_MAX = 10000,
    VG_MARK_TEXT_CAP = 128,
};

/* Appends a failure to the journal. Stacks beyond the largest, processes and texts that do not fit
 * are told as sums or left out; a census that does not fit beside the rest gets a record of its
 * own. `buffer` has VG_EVENT_RECORD_CAP bytes, 8-byte aligned. Returns 0 or -ENOMEM. */
int vg_failure_record_append(struct vg_recorder *recorder, const struct vg_run_failure *failure,
                             void *buffer);

/* Counts a rescue and appends it, unless VG_RESCUE_RECORDS_MAX have been. Any thread. */
void vg_rescue_record_append(struct vg_recorder *recorder, const struct vg_run_rescue *rescue);

/* Records a mark now, with `text` made safe to print and cut to VG_MARK_TEXT_CAP - 1 bytes, and
 * counts it. Returns 0, -ENOSPC for one that was only counted, or -ENOMEM. Any thread. */
int vg_mark_record_append(struct vg_recorder *recorder, uint32_t thread_id, const char *text);

/* Reads all failures, rescues and marks of a loaded file, of any version, into `run`, whose process
 * is known already. What cannot be read is counted as damage of the reader. */
void vg_event_records_read(struct vg_reader *reader, struct vg_stack_names *names,
                           struct vg_run *run);

#endif
