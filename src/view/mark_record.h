/* A mark that the program has set (vramguard_mark): what the recorder file keeps of it, and how it
 * is printed. */
#ifndef VRAMGUARD_VIEW_MARK_RECORD_H
#define VRAMGUARD_VIEW_MARK_RECORD_H

#include <stdint.h>

#include "base/text.h"
#include "record/recorder.h"

enum {
    VG_MARK_RECORD_VERSION = 1,
    VG_MARK_RECORDS_MAX = 10000, /* of one run */
    VG_MARK_TEXT_CAP = 128,
};

/* What was live on one device, or in pinned host memory (VG_FILE_HOST). */
struct vg_mark_device {
    uint32_t device;
    uint32_t reserved;
    uint64_t live_bytes, peak_bytes; /* the highest up to then */
};

struct vg_mark_record {
    uint32_t version; /* VG_MARK_RECORD_VERSION */
    uint32_t thread_id;
    uint64_t realtime_ns, monotonic_ns;
    char text[VG_MARK_TEXT_CAP];
    uint32_t device_count;
    uint32_t reserved;
    struct vg_mark_device devices[VG_FILE_DEVICES]; /* `device_count` of them are recorded */
};

/* Records a mark now, with `text` made safe to print and cut to VG_MARK_TEXT_CAP - 1 bytes, and
 * counts it; of a run's further marks beyond VG_MARK_RECORDS_MAX nothing but the number is kept.
 * Returns 0, -ENOSPC for one that was only counted, or -ENOMEM. Any thread. */
int vg_mark_record_append(struct vg_recorder *recorder, uint32_t thread_id, const char *text);

/* Checks and repairs a record from a file, `size_bytes` at `bytes`, into `out`. Returns 0 or
 * -EBADMSG. */
int vg_mark_record_read(const void *bytes, uint32_t size_bytes, struct vg_mark_record *out);

/* Appends "epoch 3: 1.20 GiB live on GPU 0, peak 3.40 GiB": no newline. */
void vg_mark_record_render(const struct vg_mark_record *record, struct vg_text *out);

#endif
