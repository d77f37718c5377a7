/* A call that ran out of memory and succeeded after all: what the recorder file keeps of it, and
 * how it is printed. */
#ifndef VRAMGUARD_VIEW_RESCUE_RECORD_H
#define VRAMGUARD_VIEW_RESCUE_RECORD_H

#include <stdint.h>

#include "analyze/collect.h"
#include "analyze/oom_report.h"
#include "base/text.h"

enum { VG_RESCUE_RECORD_VERSION = 2, VG_RESCUE_RECORDS_MAX = 1000 /* of one run */ };

struct vg_rescue_record {
    uint32_t version; /* VG_RESCUE_RECORD_VERSION */
    int32_t device;   /* ordinal, -1 none */
    uint64_t realtime_ns;
    uint64_t asked_bytes; /* VG_BYTES_UNKNOWN for calls that name no amount */
    uint64_t duration_ns; /* of all that was tried */
    uint32_t stack_id;
    uint32_t action_count;
    char api[40];
    struct vg_oom_action actions[VG_OOM_ACTIONS];
};

/* Records the rescue of the call that `failure` describes and counts it; after
 * VG_RESCUE_RECORDS_MAX of a run they are only counted. Any thread. */
void vg_rescue_record_append(const struct vg_failure *failure);

/* Checks and repairs a record from a file, `size_bytes` at `bytes`, into `out`. Returns 0 or
 * -EBADMSG. */
int vg_rescue_record_read(const void *bytes, uint32_t size_bytes, struct vg_rescue_record *out);

/* Appends "2.00 GiB on GPU 0 after 3.1 s; trim: ...; wait: got it; pid 4711 freed 3.20 GiB": no
 * newline. */
void vg_rescue_record_render(const struct vg_rescue_record *record, struct vg_text *out);

#endif
