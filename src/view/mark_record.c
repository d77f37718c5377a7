#include "view/mark_record.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "analyze/validate.h"
#include "base/amount.h"
#include "base/clock.h"

static uint32_t size_of(uint32_t device_count)
{
    return (uint32_t)(offsetof(struct vg_mark_record, devices) +
                      device_count * sizeof(struct vg_mark_device));
}

static void add_devices(const struct vg_file_header *header, struct vg_mark_record *out)
{
    for (uint32_t i = 0; i < VG_FILE_DEVICES; i++) {
        const struct vg_file_device *const device = &header->devices[i];
        const uint64_t peak_bytes = atomic_load(&device->peak_bytes);
        if (peak_bytes > 0)
            out->devices[out->device_count++] =
                (struct vg_mark_device){ .device = i,
                                         .live_bytes = atomic_load(&device->live_bytes),
                                         .peak_bytes = peak_bytes };
    }
}

int vg_mark_record_append(struct vg_recorder *recorder, uint32_t thread_id, const char *text)
{
    struct vg_mark_record record;
    if (atomic_fetch_add(&recorder->header->mark_count, 1) >= VG_MARK_RECORDS_MAX)
        return -ENOSPC;
    memset(&record, 0, offsetof(struct vg_mark_record, devices));
    record.version = VG_MARK_RECORD_VERSION;
    record.thread_id = thread_id;
    record.realtime_ns = vg_clock_ns(CLOCK_REALTIME);
    record.monotonic_ns = vg_clock_monotonic_ns();
    vg_text_sanitize(record.text, sizeof record.text, text, strnlen(text, VG_MARK_TEXT_CAP));
    add_devices(recorder->header, &record);
    return vg_recorder_append(recorder, VG_JOURNAL_MARK, &record, size_of(record.device_count),
                              NULL);
}

int vg_mark_record_read(const void *bytes, uint32_t size_bytes, struct vg_mark_record *out)
{
    *out = (struct vg_mark_record){ .version = 0 };
    if (size_bytes < size_of(0) || size_bytes > sizeof *out)
        return -EBADMSG;
    memcpy(out, bytes, size_bytes);
    if (out->version != VG_MARK_RECORD_VERSION || out->device_count > VG_FILE_DEVICES ||
        size_bytes != size_of(out->device_count))
        return -EBADMSG;
    vg_text_repair(out->text, sizeof out->text);
    return 0;
}

void vg_mark_record_render(const struct vg_mark_record *record, struct vg_text *out)
{
    vg_text_add(out, record->text);
    for (uint32_t i = 0; i < record->device_count; i++) {
        const struct vg_mark_device *const device = &record->devices[i];
        vg_text_addf(out, "%s%s live ", i == 0 ? ": " : "; ", VG_AMOUNT(device->live_bytes));
        if (device->device == VG_FILE_HOST)
            vg_text_add(out, "of pinned host memory");
        else
            vg_text_addf(out, "on GPU %u", device->device);
        vg_text_addf(out, ", peak %s", VG_AMOUNT(device->peak_bytes));
    }
}
