/* Failures, rescues and marks of a run file, whatever version has written them. */
#include <string.h>

#include "analyze/event_reader.h"
#include "analyze/event_records.h"
#include "analyze/frame.h"
#include "analyze/label.h"
#include "analyze/source_line.h"
#include "analyze/version3.h"

/* ---- the call's stack, with the best names there are ---- */

/* The names that the process knew are kept where those from the files are no better. */
static void merge_names(const struct vg_run_stack *recorded, struct vg_run_frame *better,
                        uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (better[i].function[0] || vg_frame_is_python(&better[i]))
            continue;
        for (uint32_t k = 0; k < recorded->frame_count; k++)
            if (recorded->frames[k].address == better[i].address &&
                (recorded->frames[k].function[0] || !better[i].module[0]))
                better[i] = recorded->frames[k];
    }
}

static void name_call_stack(struct vg_stack_names *names, struct vg_run_failure *failure)
{
    char label[VG_LABEL_CAP];
    const struct vg_run_stack recorded = failure->stack;
    const struct vg_run_stack named = vg_stack_names_get(names, recorded.id);
    const struct vg_journal_stack *const stack =
        names->source->stack(names->source->context, recorded.id);
    struct vg_run_frame *const frames =
        vg_region_array(names->region, named.frame_count, sizeof *frames);
    if (frames) {
        memcpy(frames, named.frames, named.frame_count * sizeof *frames);
        merge_names(&recorded, frames, named.frame_count);
        failure->stack.frames = frames;
        failure->stack.frame_count = named.frame_count;
        failure->stack.truncated = named.truncated || recorded.truncated;
    }
    vg_label_from_frames(failure->stack.frames, failure->stack.frame_count, label, sizeof label);
    if (label[0])
        failure->where = vg_region_string(names->region, label);
    const struct vg_own_frame own = vg_stack_names_own(names, stack, 0);
    if (!own.key)
        return;
    failure->own = vg_stack_names_line(names, stack, own.index);
    vg_source_line_read(names->region, names->source->header, &failure->own);
}

/* ---- records ---- */

static bool read_rescue(struct vg_event_reader *r, struct vg_run_rescue *out)
{
    struct vg_part_rescue part;
    if (!vg_part_get(&r->parts, VG_PART_RESCUE, &part, sizeof part))
        return false;
    *out = (struct vg_run_rescue){ .device = part.device,
                                   .realtime_ns = part.realtime_ns,
                                   .asked_bytes = vg_event_amount(part.asked_bytes),
                                   .duration_ns = part.duration_ns,
                                   .stack_id = part.stack_id,
                                   .api = vg_event_text(r, part.api_text),
                                   .where = "" };
    out->actions = vg_event_actions(r, &out->action_count);
    return true;
}

static bool read_mark(struct vg_event_reader *r, struct vg_run_mark *out)
{
    struct vg_part_mark part;
    if (!vg_part_get(&r->parts, VG_PART_MARK, &part, sizeof part))
        return false;
    *out = (struct vg_run_mark){ .realtime_ns = part.realtime_ns,
                                 .monotonic_ns = part.monotonic_ns,
                                 .thread_id = part.thread_id,
                                 .text = vg_event_text(r, part.text) };
    struct vg_run_mark_device *const devices =
        vg_event_array(r, VG_PART_MARK_DEVICES, sizeof *devices, &out->device_count);
    out->devices = devices;
    for (uint32_t i = 0; i < out->device_count; i++) {
        vg_part_get_entry(&r->parts, VG_PART_MARK_DEVICES, i, &devices[i], sizeof devices[i]);
        devices[i].live_bytes = vg_event_amount(devices[i].live_bytes);
        devices[i].peak_bytes = vg_event_amount(devices[i].peak_bytes);
    }
    return true;
}

static void read_failures(struct vg_reader *reader, struct vg_stack_names *names,
                          struct vg_run *run)
{
    run->failures = vg_region_array(names->region, reader->failure_count, sizeof *run->failures);
    for (size_t i = 0; run->failures && i < reader->failure_count; i++) {
        const struct vg_reader_payload *const payload = &reader->failures[i];
        struct vg_run_failure *const failure = &run->failures[run->failure_count];
        struct vg_event_reader r = vg_event_reader_of(payload, names);
        *failure = (struct vg_run_failure){
            .process = &run->process, .api = "", .where = "", .own = vg_run_line_none()
        };
        if (payload->is_version3 ? vg_version3_failure(payload, names, failure) != 0
                                 : !vg_failure_read(&r, failure)) {
            const bool continues = !payload->is_version3 && run->failure_count > 0 &&
                                   vg_failure_read_census(&r, failure - 1);
            reader->damage.records += !continues;
            continue;
        }
        run->process.rank = r.rank;
        run->process.world_size = r.world_size;
        name_call_stack(names, failure);
        run->failure_count++;
    }
}

static const char *label_stack(struct vg_stack_names *names, uint32_t stack_id)
{
    char label[VG_LABEL_CAP];
    const struct vg_run_stack stack = vg_stack_names_get(names, stack_id);
    vg_label_from_frames(stack.frames, stack.frame_count, label, sizeof label);
    return vg_region_string(names->region, label);
}

static void read_rescues(struct vg_reader *reader, struct vg_stack_names *names, struct vg_run *run)
{
    run->rescues = vg_region_array(names->region, reader->rescue_count, sizeof *run->rescues);
    for (size_t i = 0; run->rescues && i < reader->rescue_count; i++) {
        const struct vg_reader_payload *const payload = &reader->rescues[i];
        struct vg_run_rescue *const rescue = &run->rescues[run->rescue_count];
        struct vg_event_reader r = vg_event_reader_of(payload, names);
        if (payload->is_version3 ? vg_version3_rescue(payload, names->region, rescue) != 0
                                 : !read_rescue(&r, rescue)) {
            reader->damage.records++;
            continue;
        }
        rescue->where = label_stack(names, rescue->stack_id);
        run->rescue_count++;
    }
}

void vg_event_records_read(struct vg_reader *reader, struct vg_stack_names *names,
                           struct vg_run *run)
{
    read_failures(reader, names, run);
    read_rescues(reader, names, run);
    run->marks = vg_region_array(names->region, reader->mark_count, sizeof *run->marks);
    for (size_t i = 0; run->marks && i < reader->mark_count; i++) {
        const struct vg_reader_payload *const payload = &reader->marks[i];
        struct vg_event_reader r = vg_event_reader_of(payload, names);
        if (payload->is_version3
                ? vg_version3_mark(payload, names->region, &run->marks[run->mark_count]) != 0
                : !read_mark(&r, &run->marks[run->mark_count]))
            reader->damage.records++;
        else
            run->mark_count++;
    }
}
