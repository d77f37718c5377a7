/* Failures, rescues and marks from the parts of their records. Files may hold anything: amounts
 * that cannot be become unknown, texts safe to print, counts what there is. */
#include <errno.h>
#include <string.h>

#include "analyze/event_records.h"
#include "analyze/frame.h"
#include "analyze/label.h"
#include "analyze/outcome.h"
#include "analyze/run_build.h"
#include "analyze/sites.h"
#include "analyze/version3.h"
#include "base/amount.h"
#include "record/event_parts.h"
#include "record/parts.h"

struct event_reader {
    struct vg_part_reader parts;
    struct vg_stack_names *names;
    struct vg_region *region;
};

static struct event_reader read_event(const struct vg_reader_payload *payload,
                                      struct vg_stack_names *names)
{
    return (struct event_reader){
        .parts = vg_part_read(payload->bytes, payload->size_bytes, VG_PART_TEXTS),
        .names = names,
        .region = names->region,
    };
}

static const char *read_text(struct event_reader *r, uint32_t offset)
{
    return vg_region_string(r->region, vg_part_text_at(&r->parts, offset));
}

static uint64_t amount_of(uint64_t bytes)
{
    return vg_amount_known(bytes) ? bytes : VG_BYTES_UNKNOWN;
}

/* As many entries as there is memory for. */
static void *make_array(struct event_reader *r, uint16_t tag, size_t size_bytes,
                        uint32_t *out_count)
{
    const uint32_t count = vg_part_count(&r->parts, tag);
    void *const array = vg_region_array(r->region, count, size_bytes);
    *out_count = array ? count : 0;
    return array;
}

/* ---- the call ---- */

static bool read_call(struct event_reader *r, struct vg_run_failure *out)
{
    struct vg_part_call part;
    if (!vg_part_get(&r->parts, VG_PART_CALL, &part, sizeof part))
        return false;
    out->number = part.number;
    out->error = part.error;
    out->realtime_ns = part.realtime_ns;
    out->asked_bytes = amount_of(part.asked_bytes);
    out->refused_by = part.refused_by;
    out->thread_id = part.thread_id;
    out->survived = part.flags & VG_CALL_SURVIVED;
    out->injected_number = part.injected_number;
    out->alloc_count = part.alloc_count;
    out->free_count = part.free_count;
    out->stack.id = part.stack_id;
    out->stack.truncated = part.flags & VG_CALL_TRUNCATED;
    out->api = read_text(r, part.api_text);
    out->thread_name = read_text(r, part.thread_name_text);
    out->injected_rule = read_text(r, part.injected_rule_text);
    out->driver_version = read_text(r, part.driver_version_text);
    out->cuda_version = part.cuda_version;
    out->cause = part.cause;
    return true;
}

/* The frames as the process could name them. */
static void read_frames(struct event_reader *r, struct vg_run_stack *out)
{
    struct vg_run_frame *const frames =
        make_array(r, VG_PART_FRAMES, sizeof *frames, &out->frame_count);
    out->frames = frames;
    for (uint32_t i = 0; i < out->frame_count; i++) {
        struct vg_part_frame part;
        vg_part_get_entry(&r->parts, VG_PART_FRAMES, i, &part, sizeof part);
        frames[i] = (struct vg_run_frame){ .address = part.address,
                                           .module_offset = part.module_offset,
                                           .module = read_text(r, part.module_text),
                                           .function = read_text(r, part.function_text),
                                           .file = read_text(r, part.file_text),
                                           .line = part.line,
                                           .flags = part.flags };
    }
}

/* ---- the device ---- */

static void read_kinds(struct event_reader *r, struct vg_run_device *out)
{
    struct vg_run_kind *const kinds = make_array(r, VG_PART_KINDS, sizeof *kinds, &out->kind_count);
    out->kinds = kinds;
    for (uint32_t i = 0; i < out->kind_count; i++) {
        struct vg_part_kind part;
        vg_part_get_entry(&r->parts, VG_PART_KINDS, i, &part, sizeof part);
        kinds[i] = (struct vg_run_kind){ .kind = part.kind,
                                         .bytes = amount_of(part.bytes),
                                         .count = part.count };
    }
    const uint32_t classes = vg_part_count(&r->parts, VG_PART_SIZES);
    for (uint32_t i = 0; i < classes && i < VG_RUN_SIZE_CLASSES; i++)
        vg_part_get_entry(&r->parts, VG_PART_SIZES, i, &out->size_class_count[i],
                          sizeof out->size_class_count[i]);
}

static void read_device(struct event_reader *r, struct vg_run_device *out)
{
    struct vg_part_device part;
    vg_part_get(&r->parts, VG_PART_DEVICE, &part, sizeof part);
    *out = (struct vg_run_device){
        .gpu = { .ordinal = part.ordinal,
                 .total_bytes = amount_of(part.total_bytes),
                 .free_bytes = amount_of(part.free_bytes),
                 .name = read_text(r, part.name_text),
                 .uuid = read_text(r, part.uuid_text),
                 .pci_bus_id = read_text(r, part.pci_bus_id_text) },
        .live_bytes = amount_of(part.live_bytes),
        .live_count = part.live_count,
        .peak_bytes = amount_of(part.peak_bytes),
        .peak_realtime_ns = part.peak_realtime_ns,
        .failed_count = part.failed_count,
        .untracked_bytes = amount_of(part.untracked_bytes),
        .pool_reserved_bytes = amount_of(part.pool_reserved_bytes),
        .pool_used_bytes = amount_of(part.pool_used_bytes),
        .graph_reserved_bytes = amount_of(part.graph_reserved_bytes),
        .graph_used_bytes = amount_of(part.graph_used_bytes),
        .limit_bytes = amount_of(part.limit_bytes),
        .limit_left_bytes = amount_of(part.limit_left_bytes),
        .limit_shared = part.limit_shared != 0,
        .self_bytes = amount_of(part.self_bytes),
        .others_bytes = amount_of(part.others_bytes),
        .others_known = part.others_known != 0,
        .rest_process_count = part.rest_process_count,
    };
    read_kinds(r, out);
}

static void read_processes(struct event_reader *r, struct vg_run_device *out)
{
    struct vg_run_other *const others =
        make_array(r, VG_PART_PROCESSES, sizeof *others, &out->process_count);
    out->processes = others;
    for (uint32_t i = 0; i < out->process_count; i++) {
        struct vg_part_process part;
        vg_part_get_entry(&r->parts, VG_PART_PROCESSES, i, &part, sizeof part);
        others[i] = (struct vg_run_other){ .pid = part.pid,
                                           .uid = part.uid,
                                           .flags = part.flags,
                                           .bytes = amount_of(part.bytes),
                                           .start_ns = part.start_ns,
                                           .unchanged_ns = part.unchanged_ns,
                                           .rank = part.rank_plus_one - 1,
                                           .idle_bytes = amount_of(part.idle_bytes),
                                           .command = read_text(r, part.command_text),
                                           .user = read_text(r, part.user_text),
                                           .job = read_text(r, part.job_text),
                                           .container = read_text(r, part.container_text) };
    }
}

static void read_gpus(struct event_reader *r, struct vg_run_failure *out)
{
    struct vg_run_gpu *const gpus =
        make_array(r, VG_PART_GPUS, sizeof *gpus, &out->other_gpu_count);
    out->other_gpus = gpus;
    for (uint32_t i = 0; i < out->other_gpu_count; i++) {
        struct vg_part_gpu part;
        vg_part_get_entry(&r->parts, VG_PART_GPUS, i, &part, sizeof part);
        gpus[i] = (struct vg_run_gpu){ .ordinal = part.ordinal,
                                       .total_bytes = amount_of(part.total_bytes),
                                       .free_bytes = amount_of(part.free_bytes),
                                       .name = read_text(r, part.name_text),
                                       .uuid = read_text(r, part.uuid_text),
                                       .pci_bus_id = read_text(r, part.pci_bus_id_text) };
    }
}

/* ---- its sites ---- */

static struct vg_stack_sum sum_of_part(const struct vg_part_stack *part)
{
    struct vg_stack_sum sum = { .bytes = vg_amount_known(part->bytes) ? part->bytes : 0,
                                .count = part->count,
                                .oldest_ns = part->oldest_ns,
                                .newest_ns = part->newest_ns,
                                .allocation_count = part->allocation_count,
                                .free_count = part->free_count,
                                .peak_bytes = part->peak_bytes,
                                .peak_count = part->peak_count,
                                .stack_id = part->stack_id,
                                .owner = part->owner };
    memcpy(sum.made, part->made, sizeof sum.made);
    return sum;
}

static void read_level(struct event_reader *r, uint32_t level, struct vg_run_sites *out)
{
    uint32_t cap, count = 0;
    struct vg_stack_sum *const sums = make_array(r, VG_PART_STACKS, sizeof *sums, &cap);
    struct vg_part_stack_rest rest = { 0 };
    if (level < vg_part_count(&r->parts, VG_PART_STACK_RESTS))
        vg_part_get_entry(&r->parts, VG_PART_STACK_RESTS, level, &rest, sizeof rest);
    for (uint32_t i = 0; i < cap; i++) {
        struct vg_part_stack part;
        vg_part_get_entry(&r->parts, VG_PART_STACKS, i, &part, sizeof part);
        if (part.level == level)
            sums[count++] = sum_of_part(&part);
    }
    vg_sites_group(r->names, (enum vg_run_level)level, sums, count, out);
    out->is_known = rest.is_known;
    out->rest_stack_count += rest.stack_count;
    out->rest_bytes += vg_amount_known(rest.bytes) ? rest.bytes : 0;
    out->rest_count += rest.count;
    vg_sites_order(r->names, out);
    vg_sites_label(r->names, out, VG_RUN_LABELLED);
}

/* ---- what else there was ---- */

static void read_torch(struct event_reader *r, struct vg_run_torch *out)
{
    struct vg_part_torch part;
    vg_part_get(&r->parts, VG_PART_TORCH, &part, sizeof part);
    *out = (struct vg_run_torch){ .loaded = part.loaded != 0,
                                  .unjudged = part.unjudged != 0,
                                  .settings = read_text(r, part.settings_text),
                                  .tells_blocks = part.tells_blocks != 0,
                                  .allocated_bytes = amount_of(part.allocated_bytes),
                                  .reserved_bytes = amount_of(part.reserved_bytes),
                                  .block_count = part.block_count,
                                  .allocation_count = part.allocation_count,
                                  .free_count = part.free_count,
                                  .unused_bytes = amount_of(part.unused_bytes),
                                  .hole_count = part.hole_count,
                                  .largest_hole_bytes = amount_of(part.largest_hole_bytes),
                                  .empty_bytes = amount_of(part.empty_bytes),
                                  .empty_count = part.empty_count,
                                  .fraction_bytes = amount_of(part.fraction_bytes) };
    for (int i = 0; i < VG_TORCH_BACKENDS; i++) {
        out->bytes[i] = amount_of(part.bytes[i]);
        out->count[i] = part.count[i];
    }
}

static void read_host(struct event_reader *r, struct vg_run_failure *out)
{
    struct vg_part_host host;
    struct vg_part_checkpoint checkpoint;
    const bool known = vg_part_get(&r->parts, VG_PART_HOST, &host, sizeof host);
    out->host = (struct vg_run_host){
        .total_bytes = known ? amount_of(host.total_bytes) : VG_BYTES_UNKNOWN,
        .available_bytes = known ? amount_of(host.available_bytes) : VG_BYTES_UNKNOWN,
        .cgroup_limit_bytes = known ? amount_of(host.cgroup_limit_bytes) : VG_BYTES_UNKNOWN,
        .cgroup_used_bytes = known ? amount_of(host.cgroup_used_bytes) : VG_BYTES_UNKNOWN,
        .pinned_bytes = amount_of(host.pinned_bytes),
        .pinned_count = host.pinned_count,
        .spilled_bytes = amount_of(host.spilled_bytes),
        .spilled_count = host.spilled_count,
        .spill_cap_bytes = amount_of(host.spill_cap_bytes),
    };
    vg_part_get(&r->parts, VG_PART_CHECKPOINT, &checkpoint, sizeof checkpoint);
    out->checkpoint = (struct vg_run_checkpoint){ .f32_bytes = amount_of(checkpoint.f32_bytes),
                                                  .half_bytes = amount_of(checkpoint.half_bytes),
                                                  .other_bytes = amount_of(checkpoint.other_bytes),
                                                  .file_count = checkpoint.file_count,
                                                  .unread = checkpoint.unread,
                                                  .name = read_text(r, checkpoint.name_text) };
}

#define REPAIR_TEXT(field) vg_text_repair(field, sizeof(field))

static void read_outer(struct event_reader *r, struct vg_outer_limits *out)
{
    const bool known = vg_part_get(&r->parts, VG_PART_OUTER, out, sizeof *out);
    uint64_t *const amounts[] = {
        &out->host.locked_limit_bytes, &out->host.locked_bytes, &out->host.address_limit_bytes,
        &out->host.address_bytes,      &out->host.total_bytes,  &out->host.available_bytes,
        &out->host.cgroup_room_bytes,  &out->mps_bytes,
    };
    for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++)
        *amounts[i] = known ? amount_of(*amounts[i]) : VG_BYTES_UNKNOWN;
    REPAIR_TEXT(out->mps_text);
    REPAIR_TEXT(out->visible);
    REPAIR_TEXT(out->interposer);
    REPAIR_TEXT(out->bypass);
    if (out->host_shortage >= VG_HOST_SHORTAGE_COUNT)
        out->host_shortage = VG_HOST_SHORTAGE_NONE;
}

static const struct vg_oom_action *read_actions(struct event_reader *r, uint32_t *out_count)
{
    struct vg_oom_action *const actions =
        make_array(r, VG_PART_ACTIONS, sizeof *actions, out_count);
    for (uint32_t i = 0; i < *out_count; i++) {
        vg_part_get_entry(&r->parts, VG_PART_ACTIONS, i, &actions[i], sizeof actions[i]);
        vg_text_repair(actions[i].name, sizeof actions[i].name);
        vg_outcome_repair(&actions[i]);
        actions[i].recovered_bytes = amount_of(actions[i].recovered_bytes);
    }
    return actions;
}

/* Its bytes are those of the file: who understands the format checks them. */
static void read_census(struct event_reader *r, struct vg_run_failure *out)
{
    struct vg_part_census head;
    const uint32_t count = vg_part_count(&r->parts, VG_PART_CENSUS);
    size_t there;
    const char *const array = vg_part_find(&r->parts, VG_PART_CENSUS, &there);
    if (count < sizeof head)
        return;
    const char *const bytes = array + sizeof(struct vg_part_array);
    memcpy(&head, bytes, sizeof head);
    char *const copy = vg_region_alloc(r->region, count - sizeof head);
    if (!copy)
        return;
    memcpy(copy, bytes + sizeof head, count - sizeof head);
    out->census_format = head.format;
    out->census_bytes = count - (uint32_t)sizeof head;
    out->census = copy;
}

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
    if (own.key)
        failure->own = vg_stack_names_line(names, stack, own.index);
}

/* ---- records ---- */

static bool read_failure(struct event_reader *r, struct vg_run_failure *out)
{
    if (!read_call(r, out))
        return false;
    read_frames(r, &out->stack);
    read_device(r, &out->device);
    read_processes(r, &out->device);
    read_gpus(r, out);
    for (uint32_t level = 0; level < VG_LEVELS; level++)
        read_level(r, level, &out->device.sites[level]);
    read_torch(r, &out->torch);
    read_host(r, out);
    read_outer(r, &out->outer);
    out->actions = read_actions(r, &out->action_count);
    read_census(r, out);
    return true;
}

static bool read_rescue(struct event_reader *r, struct vg_run_rescue *out)
{
    struct vg_part_rescue part;
    if (!vg_part_get(&r->parts, VG_PART_RESCUE, &part, sizeof part))
        return false;
    *out = (struct vg_run_rescue){ .device = part.device,
                                   .realtime_ns = part.realtime_ns,
                                   .asked_bytes = amount_of(part.asked_bytes),
                                   .duration_ns = part.duration_ns,
                                   .stack_id = part.stack_id,
                                   .api = read_text(r, part.api_text),
                                   .where = "" };
    out->actions = read_actions(r, &out->action_count);
    return true;
}

static bool read_mark(struct event_reader *r, struct vg_run_mark *out)
{
    struct vg_part_mark part;
    if (!vg_part_get(&r->parts, VG_PART_MARK, &part, sizeof part))
        return false;
    *out = (struct vg_run_mark){ .realtime_ns = part.realtime_ns,
                                 .monotonic_ns = part.monotonic_ns,
                                 .thread_id = part.thread_id,
                                 .text = read_text(r, part.text) };
    struct vg_run_mark_device *const devices =
        make_array(r, VG_PART_MARK_DEVICES, sizeof *devices, &out->device_count);
    out->devices = devices;
    for (uint32_t i = 0; i < out->device_count; i++) {
        vg_part_get_entry(&r->parts, VG_PART_MARK_DEVICES, i, &devices[i], sizeof devices[i]);
        devices[i].live_bytes = amount_of(devices[i].live_bytes);
        devices[i].peak_bytes = amount_of(devices[i].peak_bytes);
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
        struct event_reader r = read_event(payload, names);
        *failure = (struct vg_run_failure){
            .process = &run->process, .api = "", .where = "", .own = vg_run_line_none()
        };
        if (payload->is_version3 ? vg_version3_failure(payload, names, failure) != 0
                                 : !read_failure(&r, failure)) {
            const bool continues = !payload->is_version3 && run->failure_count > 0 &&
                                   vg_part_count(&r.parts, VG_PART_CENSUS) > 0;
            if (continues)
                read_census(&r, failure - 1);
            reader->damage.records += !continues;
            continue;
        }
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
        struct event_reader r = read_event(payload, names);
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
        struct event_reader r = read_event(payload, names);
        if (payload->is_version3
                ? vg_version3_mark(payload, names->region, &run->marks[run->mark_count]) != 0
                : !read_mark(&r, &run->marks[run->mark_count]))
            reader->damage.records++;
        else
            run->mark_count++;
    }
}
