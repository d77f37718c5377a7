/* A failure from the parts of its record. Files may hold anything: amounts that cannot be become
 * unknown, texts safe to print, counts what there is. */
#include <string.h>

#include "analyze/census_read.h"
#include "analyze/event_reader.h"
#include "analyze/run_build.h"
#include "analyze/sites.h"
#include "base/amount.h"
#include "base/text.h"

enum { ENTRIES_MAX = 65536 };

/* ---- what all events have ---- */

struct vg_event_reader vg_event_reader_of(const struct vg_reader_payload *payload,
                                          struct vg_stack_names *names)
{
    return (struct vg_event_reader){
        .parts = vg_part_read(payload->bytes, payload->size_bytes, VG_PART_TEXTS),
        .names = names,
        .region = names->region,
        .rank = -1,
        .world_size = -1,
    };
}

const char *vg_event_text(struct vg_event_reader *r, uint32_t offset)
{
    return vg_region_string(r->region, vg_part_text_at(&r->parts, offset));
}

uint64_t vg_event_amount(uint64_t bytes)
{
    return vg_amount_known(bytes) ? bytes : VG_BYTES_UNKNOWN;
}

void *vg_event_array(struct vg_event_reader *r, uint16_t tag, size_t size_bytes,
                     uint32_t *out_count)
{
    uint32_t count = vg_part_count(&r->parts, tag);
    if (count > ENTRIES_MAX) /* no record of ours has as many */
        count = ENTRIES_MAX;
    void *const array = vg_region_array(r->region, count, size_bytes);
    *out_count = array ? count : 0;
    return array;
}

/* ---- the call ---- */

static bool read_call(struct vg_event_reader *r, struct vg_run_failure *out)
{
    struct vg_part_call part;
    if (!vg_part_get(&r->parts, VG_PART_CALL, &part, sizeof part))
        return false;
    out->number = part.number;
    out->error = part.error;
    out->realtime_ns = part.realtime_ns;
    out->asked_bytes = vg_event_amount(part.asked_bytes);
    out->refused_by = part.refused_by;
    out->thread_id = part.thread_id;
    out->survived = part.flags & VG_CALL_SURVIVED;
    out->injected_number = part.injected_number;
    out->alloc_count = part.alloc_count;
    out->free_count = part.free_count;
    out->stack.id = part.stack_id;
    out->stack.truncated = part.flags & VG_CALL_TRUNCATED;
    out->api = vg_event_text(r, part.api_text);
    out->thread_name = vg_event_text(r, part.thread_name_text);
    out->injected_rule = vg_event_text(r, part.injected_rule_text);
    out->driver_version = vg_event_text(r, part.driver_version_text);
    out->settings = vg_event_text(r, part.settings_text);
    out->main_line = vg_run_line_none();
    out->main_line.path = vg_event_text(r, part.main_path_text);
    out->main_line.file = vg_text_base_name(out->main_line.path);
    out->main_line.function = vg_event_text(r, part.main_function_text);
    out->main_line.line = part.main_line;
    out->cuda_version = part.cuda_version;
    r->rank = part.rank_plus_one - 1;
    r->world_size = part.world_size_plus_one - 1;
    return true;
}

/* The frames as the process could name them. */
static void read_frames(struct vg_event_reader *r, struct vg_run_stack *out)
{
    struct vg_run_frame *const frames =
        vg_event_array(r, VG_PART_FRAMES, sizeof *frames, &out->frame_count);
    out->frames = frames;
    for (uint32_t i = 0; i < out->frame_count; i++) {
        struct vg_part_frame part;
        vg_part_get_entry(&r->parts, VG_PART_FRAMES, i, &part, sizeof part);
        frames[i] = (struct vg_run_frame){ .address = part.address,
                                           .module_offset = part.module_offset,
                                           .module = vg_event_text(r, part.module_text),
                                           .function = vg_event_text(r, part.function_text),
                                           .file = vg_event_text(r, part.file_text),
                                           .line = part.line,
                                           .flags = part.flags };
    }
}

/* ---- the device ---- */

static void read_kinds(struct vg_event_reader *r, struct vg_run_device *out)
{
    struct vg_run_kind *const kinds =
        vg_event_array(r, VG_PART_KINDS, sizeof *kinds, &out->kind_count);
    out->kinds = kinds;
    for (uint32_t i = 0; i < out->kind_count; i++) {
        struct vg_part_kind part;
        vg_part_get_entry(&r->parts, VG_PART_KINDS, i, &part, sizeof part);
        kinds[i] = (struct vg_run_kind){ .kind = part.kind,
                                         .bytes = vg_event_amount(part.bytes),
                                         .count = part.count };
    }
    const uint32_t classes = vg_part_count(&r->parts, VG_PART_SIZES);
    for (uint32_t i = 0; i < classes && i < VG_RUN_SIZE_CLASSES; i++)
        vg_part_get_entry(&r->parts, VG_PART_SIZES, i, &out->size_class_count[i],
                          sizeof out->size_class_count[i]);
}

static void read_device(struct vg_event_reader *r, struct vg_run_device *out)
{
    struct vg_part_device part;
    vg_part_get(&r->parts, VG_PART_DEVICE, &part, sizeof part);
    *out = (struct vg_run_device){
        .gpu = { .ordinal = part.ordinal,
                 .total_bytes = vg_event_amount(part.total_bytes),
                 .free_bytes = vg_event_amount(part.free_bytes),
                 .name = vg_event_text(r, part.name_text),
                 .uuid = vg_event_text(r, part.uuid_text),
                 .pci_bus_id = vg_event_text(r, part.pci_bus_id_text) },
        .live_bytes = vg_event_amount(part.live_bytes),
        .live_count = part.live_count,
        .peak_bytes = vg_event_amount(part.peak_bytes),
        .peak_realtime_ns = part.peak_realtime_ns,
        .failed_count = part.failed_count,
        .untracked_bytes = vg_event_amount(part.untracked_bytes),
        .pool_reserved_bytes = vg_event_amount(part.pool_reserved_bytes),
        .pool_used_bytes = vg_event_amount(part.pool_used_bytes),
        .graph_reserved_bytes = vg_event_amount(part.graph_reserved_bytes),
        .graph_used_bytes = vg_event_amount(part.graph_used_bytes),
        .limit_bytes = vg_event_amount(part.limit_bytes),
        .limit_left_bytes = vg_event_amount(part.limit_left_bytes),
        .limit_shared = part.limit_shared != 0,
        .self_bytes = vg_event_amount(part.self_bytes),
        .others_bytes = vg_event_amount(part.others_bytes),
        .others_known = part.others_known != 0,
        .rest_process_count = part.rest_process_count,
    };
    read_kinds(r, out);
}

static void read_processes(struct vg_event_reader *r, struct vg_run_device *out)
{
    struct vg_run_other *const others =
        vg_event_array(r, VG_PART_PROCESSES, sizeof *others, &out->process_count);
    out->processes = others;
    for (uint32_t i = 0; i < out->process_count; i++) {
        struct vg_part_process part;
        vg_part_get_entry(&r->parts, VG_PART_PROCESSES, i, &part, sizeof part);
        others[i] = (struct vg_run_other){ .pid = part.pid,
                                           .uid = part.uid,
                                           .flags = part.flags,
                                           .bytes = vg_event_amount(part.bytes),
                                           .start_ns = part.start_ns,
                                           .unchanged_ns = part.unchanged_ns,
                                           .rank = part.rank_plus_one - 1,
                                           .idle_bytes = vg_event_amount(part.idle_bytes),
                                           .command = vg_event_text(r, part.command_text),
                                           .user = vg_event_text(r, part.user_text),
                                           .job = vg_event_text(r, part.job_text),
                                           .container = vg_event_text(r, part.container_text) };
    }
}

static void read_gpus(struct vg_event_reader *r, struct vg_run_failure *out)
{
    struct vg_run_gpu *const gpus =
        vg_event_array(r, VG_PART_GPUS, sizeof *gpus, &out->other_gpu_count);
    out->other_gpus = gpus;
    for (uint32_t i = 0; i < out->other_gpu_count; i++) {
        struct vg_part_gpu part;
        vg_part_get_entry(&r->parts, VG_PART_GPUS, i, &part, sizeof part);
        gpus[i] = (struct vg_run_gpu){ .ordinal = part.ordinal,
                                       .total_bytes = vg_event_amount(part.total_bytes),
                                       .free_bytes = vg_event_amount(part.free_bytes),
                                       .name = vg_event_text(r, part.name_text),
                                       .uuid = vg_event_text(r, part.uuid_text),
                                       .pci_bus_id = vg_event_text(r, part.pci_bus_id_text) };
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
                                .owner = part->owner,
                                .oldest_count = VG_COUNT_UNKNOWN,
                                .newest_count = VG_COUNT_UNKNOWN };
    if (part->oldest_count > 0 || part->newest_count > 0) {
        sum.oldest_count = part->oldest_count;
        sum.newest_count = part->newest_count;
    }
    memcpy(sum.made, part->made, sizeof sum.made);
    return sum;
}

static void read_level(struct vg_event_reader *r, uint32_t level, struct vg_run_sites *out)
{
    uint32_t cap, count = 0;
    struct vg_stack_sum *const sums = vg_event_array(r, VG_PART_STACKS, sizeof *sums, &cap);
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

static void read_torch(struct vg_event_reader *r, struct vg_run_torch *out)
{
    struct vg_part_torch part;
    vg_part_get(&r->parts, VG_PART_TORCH, &part, sizeof part);
    *out = (struct vg_run_torch){ .loaded = part.loaded != 0,
                                  .unjudged = part.unjudged != 0,
                                  .settings = vg_event_text(r, part.settings_text),
                                  .tells_blocks = part.tells_blocks != 0,
                                  .silence = part.silence,
                                  .allocated_bytes = vg_event_amount(part.allocated_bytes),
                                  .reserved_bytes = vg_event_amount(part.reserved_bytes),
                                  .block_count = part.block_count,
                                  .allocation_count = part.allocation_count,
                                  .free_count = part.free_count,
                                  .unused_bytes = vg_event_amount(part.unused_bytes),
                                  .hole_count = part.hole_count,
                                  .largest_hole_bytes = vg_event_amount(part.largest_hole_bytes),
                                  .empty_bytes = vg_event_amount(part.empty_bytes),
                                  .empty_count = part.empty_count,
                                  .fraction_bytes = vg_event_amount(part.fraction_bytes),
                                  .is_caller = part.is_caller != 0,
                                  .graph_bytes = vg_event_amount(part.graph_bytes),
                                  .graph_count = part.graph_count,
                                  .graph_reuser_count = part.graph_reuser_count };
    for (int i = 0; i < VG_TORCH_BACKENDS; i++) {
        out->bytes[i] = vg_event_amount(part.bytes[i]);
        out->count[i] = part.count[i];
    }
}

static void read_host(struct vg_event_reader *r, struct vg_run_failure *out)
{
    struct vg_part_host host;
    struct vg_part_checkpoint checkpoint;
    const bool known = vg_part_get(&r->parts, VG_PART_HOST, &host, sizeof host);
    out->host = (struct vg_run_host){
        .total_bytes = known ? vg_event_amount(host.total_bytes) : VG_BYTES_UNKNOWN,
        .available_bytes = known ? vg_event_amount(host.available_bytes) : VG_BYTES_UNKNOWN,
        .cgroup_limit_bytes = known ? vg_event_amount(host.cgroup_limit_bytes) : VG_BYTES_UNKNOWN,
        .cgroup_used_bytes = known ? vg_event_amount(host.cgroup_used_bytes) : VG_BYTES_UNKNOWN,
        .pinned_bytes = vg_event_amount(host.pinned_bytes),
        .pinned_count = host.pinned_count,
        .spilled_bytes = vg_event_amount(host.spilled_bytes),
        .spilled_count = host.spilled_count,
        .spill_cap_bytes = vg_event_amount(host.spill_cap_bytes),
    };
    vg_part_get(&r->parts, VG_PART_CHECKPOINT, &checkpoint, sizeof checkpoint);
    out->checkpoint =
        (struct vg_run_checkpoint){ .f32_bytes = vg_event_amount(checkpoint.f32_bytes),
                                    .half_bytes = vg_event_amount(checkpoint.half_bytes),
                                    .other_bytes = vg_event_amount(checkpoint.other_bytes),
                                    .file_count = checkpoint.file_count,
                                    .unread = checkpoint.unread,
                                    .name = vg_event_text(r, checkpoint.name_text) };
}

#define REPAIR_TEXT(field) vg_text_repair(field, sizeof(field))

static void read_outer(struct vg_event_reader *r, struct vg_outer_limits *out)
{
    const bool known = vg_part_get(&r->parts, VG_PART_OUTER, out, sizeof *out);
    uint64_t *const amounts[] = {
        &out->host.locked_limit_bytes, &out->host.locked_bytes, &out->host.address_limit_bytes,
        &out->host.address_bytes,      &out->host.total_bytes,  &out->host.available_bytes,
        &out->host.cgroup_room_bytes,  &out->mps_bytes,
    };
    for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++)
        *amounts[i] = known ? vg_event_amount(*amounts[i]) : VG_BYTES_UNKNOWN;
    REPAIR_TEXT(out->mps_text);
    REPAIR_TEXT(out->visible);
    REPAIR_TEXT(out->interposer);
    REPAIR_TEXT(out->bypass);
    if (out->host_shortage >= VG_HOST_SHORTAGE_COUNT)
        out->host_shortage = VG_HOST_SHORTAGE_NONE;
}

const struct vg_oom_action *vg_event_actions(struct vg_event_reader *r, uint32_t *out_count)
{
    struct vg_oom_action *const actions =
        vg_event_array(r, VG_PART_ACTIONS, sizeof *actions, out_count);
    for (uint32_t i = 0; i < *out_count; i++) {
        vg_part_get_entry(&r->parts, VG_PART_ACTIONS, i, &actions[i], sizeof actions[i]);
        vg_text_repair(actions[i].name, sizeof actions[i].name);
        vg_outcome_repair(&actions[i]);
        actions[i].recovered_bytes = vg_event_amount(actions[i].recovered_bytes);
    }
    return actions;
}

/* One of another format stays as it is, for who understands it. */
static const void *copy_census(struct vg_event_reader *r, uint32_t format, const char *bytes,
                               uint32_t *count, const struct vg_run_line **out_lines)
{
    if (format == VG_CENSUS_FORMAT) {
        const struct vg_census *const census = vg_census_read(r->region, bytes, *count);
        *count = sizeof(struct vg_census);
        *out_lines = census ? vg_census_name_lines(r->names, census) : NULL;
        return census;
    }
    char *const copy = vg_region_alloc(r->region, *count);
    return copy ? memcpy(copy, bytes, *count) : NULL;
}

bool vg_failure_read_census(struct vg_event_reader *r, struct vg_run_failure *out)
{
    struct vg_part_census head;
    const uint32_t count = vg_part_count(&r->parts, VG_PART_CENSUS);
    size_t there;
    const char *const array = vg_part_find(&r->parts, VG_PART_CENSUS, &there);
    if (count < sizeof head)
        return false;
    const char *const bytes = array + sizeof(struct vg_part_array);
    memcpy(&head, bytes, sizeof head);
    uint32_t census_bytes = count - (uint32_t)sizeof head;
    const void *const census =
        copy_census(r, head.format, bytes + sizeof head, &census_bytes, &out->census_lines);
    if (!census)
        return true;
    out->census_format = head.format;
    out->census_bytes = census_bytes;
    out->census = census;
    return true;
}

bool vg_failure_read(struct vg_event_reader *r, struct vg_run_failure *out)
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
    out->actions = vg_event_actions(r, &out->action_count);
    vg_failure_read_census(r, out);
    return true;
}
