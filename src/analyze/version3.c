#include "analyze/version3.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/outcome.h"
#include "analyze/run_build.h"
#include "analyze/sites.h"
#include "base/amount.h"
#include "base/text.h"
#include "record/version3.h"

#define READ_TEXT(region, field) read_text(region, field, sizeof(field))

static const char *read_text(struct vg_region *region, const char *text, size_t cap)
{
    return vg_region_text(region, text, strnlen(text, cap));
}

static uint64_t amount_of(uint64_t bytes)
{
    return vg_amount_known(bytes) ? bytes : VG_BYTES_UNKNOWN;
}

static uint32_t count_of(uint32_t count, uint32_t limit)
{
    return count < limit ? count : limit;
}

/* ---- the failing call ---- */

/* "train.py:12" as a file and a line. */
static void read_location(struct vg_region *region, const char *location,
                          struct vg_run_frame *frame)
{
    const char *const colon = strrchr(location, ':');
    frame->line = colon ? (uint32_t)strtoul(colon + 1, NULL, 10) : 0;
    frame->file = frame->line > 0 ? vg_region_text(region, location, (size_t)(colon - location))
                                  : vg_region_string(region, location);
}

static void read_frames(struct vg_region *region, const struct vg_version3_snapshot *s,
                        struct vg_run_stack *out)
{
    const uint32_t count = count_of(s->frame_count, VG_VERSION3_FRAMES);
    struct vg_run_frame *const frames = vg_region_array(region, count, sizeof *frames);
    *out = (struct vg_run_stack){ .id = s->stack_id,
                                  .frame_count = frames ? count : 0,
                                  .frames = frames,
                                  .truncated = s->stack_truncated != 0 };
    for (uint32_t i = 0; i < out->frame_count; i++) {
        const struct vg_version3_frame *const from = &s->frames[i];
        frames[i] = (struct vg_run_frame){
            .address = from->address,
            .module_offset = from->module_offset,
            .module = READ_TEXT(region, from->module),
            .function = READ_TEXT(region, from->function),
            .flags = (from->is_python ? VG_FRAME_PYTHON : 0u) |
                     (from->is_library ? VG_FRAME_LIBRARY : 0u),
        };
        read_location(region, READ_TEXT(region, from->location), &frames[i]);
    }
}

static void read_call(struct vg_region *region, const struct vg_version3_snapshot *s,
                      struct vg_run_failure *out)
{
    out->number = s->failure_number;
    out->error = s->error;
    out->realtime_ns = s->realtime_ns;
    out->api = READ_TEXT(region, s->api);
    out->asked_bytes = amount_of(s->asked_bytes);
    out->refused_by = count_of(s->refused_by, VG_REFUSED_BY_INJECT);
    out->thread_id = s->thread_id;
    out->thread_name = READ_TEXT(region, s->thread_name);
    out->injected_number = s->injected_number;
    out->injected_rule = READ_TEXT(region, s->injected_rule);
    out->where = READ_TEXT(region, s->where);
    out->alloc_count = s->alloc_count;
    out->free_count = s->free_count;
    out->driver_version = READ_TEXT(region, s->driver_version);
    out->cuda_version = s->cuda_version;
    read_frames(region, s, &out->stack);
}

/* ---- the device ---- */

static struct vg_run_gpu read_gpu(struct vg_region *region, const struct vg_version3_device *d)
{
    return (struct vg_run_gpu){ .ordinal = d->ordinal,
                                .total_bytes = amount_of(d->total_bytes),
                                .free_bytes = amount_of(d->free_bytes),
                                .name = READ_TEXT(region, d->name),
                                .uuid = READ_TEXT(region, d->uuid),
                                .pci_bus_id = READ_TEXT(region, d->pci_bus_id) };
}

static void read_kinds(struct vg_region *region, const struct vg_version3_snapshot *s,
                       struct vg_run_device *out)
{
    struct vg_run_kind *const kinds = vg_region_array(region, VG_VERSION3_KINDS, sizeof *kinds);
    out->kinds = kinds;
    for (uint32_t i = 0; kinds && i < VG_VERSION3_KINDS; i++)
        if (s->kind_count[i] > 0)
            kinds[out->kind_count++] = (struct vg_run_kind){ .kind = i,
                                                             .bytes = amount_of(s->kind_bytes[i]),
                                                             .count = s->kind_count[i] };
    _Static_assert(VG_VERSION3_SIZE_CLASSES == (int)VG_RUN_SIZE_CLASSES, "as many");
    memcpy(out->size_class_count, s->size_class_count, sizeof out->size_class_count);
}

static void read_processes(struct vg_region *region, const struct vg_version3_snapshot *s,
                           struct vg_run_device *out)
{
    const uint32_t count = count_of(s->process_count, VG_VERSION3_PROCESSES);
    struct vg_run_other *const others = vg_region_array(region, count, sizeof *others);
    out->processes = others;
    out->process_count = others ? count : 0;
    out->rest_process_count = s->other_process_count;
    for (uint32_t i = 0; i < out->process_count; i++)
        others[i] = (struct vg_run_other){ .pid = s->processes[i].pid,
                                           .uid = s->processes[i].uid,
                                           .flags = s->processes[i].flags,
                                           .bytes = amount_of(s->processes[i].bytes),
                                           .rank = -1,
                                           .command = READ_TEXT(region, s->processes[i].command),
                                           .user = "",
                                           .job = "",
                                           .container = "" };
}

static void read_device(struct vg_region *region, const struct vg_version3_snapshot *s,
                        struct vg_run_device *out)
{
    *out = (struct vg_run_device){
        .gpu = read_gpu(region, &s->device),
        .live_bytes = amount_of(s->live_bytes),
        .live_count = s->live_count,
        .peak_bytes = amount_of(s->peak_bytes),
        .failed_count = s->failed_count,
        .untracked_bytes = amount_of(s->untracked_bytes),
        .pool_reserved_bytes = amount_of(s->pool_reserved_bytes),
        .pool_used_bytes = amount_of(s->pool_used_bytes),
        .graph_reserved_bytes = amount_of(s->graph_reserved_bytes),
        .graph_used_bytes = amount_of(s->graph_used_bytes),
        .limit_bytes = amount_of(s->limit_bytes),
        .limit_left_bytes = amount_of(s->limit_left_bytes),
        .limit_shared = s->limit_shared != 0,
        .others_known = s->nvml_available != 0,
        .self_bytes = amount_of(s->self_bytes),
        .others_bytes = amount_of(s->others_bytes),
    };
    read_kinds(region, s, out);
    read_processes(region, s, out);
}

/* ---- its sites ---- */

static struct vg_stack_sum sum_of_site(const struct vg_version3_site *from)
{
    return (struct vg_stack_sum){ .bytes = vg_amount_known(from->bytes) ? from->bytes : 0,
                                  .count = from->count,
                                  .oldest_ns = from->span_ns,
                                  .allocation_count = VG_COUNT_UNKNOWN,
                                  .free_count = VG_COUNT_UNKNOWN,
                                  .peak_bytes = VG_BYTES_UNKNOWN,
                                  .peak_count = VG_COUNT_UNKNOWN,
                                  .stack_id = from->stack_id };
}

/* What the record says of the stack that stands for a site. */
static void use_recorded_site(struct vg_region *region, const struct vg_version3_snapshot *s,
                              uint32_t count, struct vg_run_site *site)
{
    for (uint32_t i = 0; i < count; i++) {
        if (s->sites[i].stack_id != site->stack_id)
            continue;
        site->label = READ_TEXT(region, s->sites[i].label);
        if (s->sites[i].steady && site->live_count > 0)
            site->growth = (struct vg_run_growth){
                .kind = VG_GROWTH_STEADY,
                .kept_count = site->live_count,
                .kept_bytes = site->live_bytes,
                .each_bytes = site->live_bytes / site->live_count,
                .since_ns = site->oldest_ns,
            };
        return;
    }
}

static void read_sites(struct vg_stack_names *names, const struct vg_version3_snapshot *s,
                       struct vg_run_sites *out)
{
    const uint32_t count = count_of(s->site_count, VG_VERSION3_SITES);
    struct vg_stack_sum *const sums =
        vg_region_array(names->region, VG_VERSION3_SITES, sizeof *sums);
    if (!sums)
        return;
    for (uint32_t i = 0; i < count; i++)
        sums[i] = sum_of_site(&s->sites[i]);
    vg_sites_group(names, VG_LEVEL_ALLOCATIONS, sums, count, out);
    out->rest_stack_count += s->other_site_count;
    out->rest_bytes += vg_amount_known(s->other_site_bytes) ? s->other_site_bytes : 0;
    out->rest_count += s->other_site_allocations;
    vg_sites_order(names, out);
    for (uint32_t i = 0; i < out->count; i++)
        use_recorded_site(names->region, s, count, &out->entries[i]);
    vg_sites_label(names, out, out->count);
}

/* ---- what else there was ---- */

static const struct vg_oom_action *read_actions(struct vg_region *region,
                                                const struct vg_version3_action *from,
                                                uint32_t count, uint32_t *out_count)
{
    count = count_of(count, VG_VERSION3_ACTIONS);
    struct vg_oom_action *const actions = vg_region_array(region, count, sizeof *actions);
    *out_count = actions ? count : 0;
    for (uint32_t i = 0; i < *out_count; i++) {
        actions[i] = (struct vg_oom_action){ .recovered_bytes = amount_of(from[i].recovered_bytes),
                                             .duration_ns = from[i].duration_ns };
        vg_text_sanitize(actions[i].name, sizeof actions[i].name, from[i].name,
                         strnlen(from[i].name, sizeof from[i].name));
        const char *const outcome = READ_TEXT(region, from[i].outcome);
        if (outcome[0])
            vg_outcome_add(&actions[i], (struct vg_outcome){ .code = VG_OUTCOME_TEXT }, outcome);
    }
    return actions;
}

static void read_torch(struct vg_region *region, const struct vg_version3_torch *from,
                       struct vg_run_torch *out)
{
    *out = (struct vg_run_torch){ .loaded = from->loaded != 0,
                                  .unjudged = from->unjudged != 0,
                                  .settings = READ_TEXT(region, from->settings) };
    for (int i = 0; i < VG_VERSION3_BACKENDS; i++) {
        out->bytes[i] = amount_of(from->bytes[i]);
        out->count[i] = from->count[i];
    }
}

static void read_host(struct vg_region *region, const struct vg_version3_snapshot *s,
                      struct vg_run_failure *out)
{
    out->host = (struct vg_run_host){
        .total_bytes = amount_of(s->host_total_bytes),
        .available_bytes = amount_of(s->host_available_bytes),
        .cgroup_limit_bytes = amount_of(s->cgroup_limit_bytes),
        .cgroup_used_bytes = amount_of(s->cgroup_used_bytes),
        .pinned_bytes = amount_of(s->pinned_bytes),
        .pinned_count = s->pinned_count,
        .spilled_bytes = amount_of(s->spilled_bytes),
        .spilled_count = s->spilled_count,
        .spill_cap_bytes = amount_of(s->spill_cap_bytes),
    };
    out->outer = (struct vg_outer_limits){
        .host = { .locked_limit_bytes = VG_BYTES_UNKNOWN,
                  .locked_bytes = VG_BYTES_UNKNOWN,
                  .address_limit_bytes = VG_BYTES_UNKNOWN,
                  .address_bytes = VG_BYTES_UNKNOWN,
                  .total_bytes = VG_BYTES_UNKNOWN,
                  .available_bytes = VG_BYTES_UNKNOWN,
                  .cgroup_room_bytes = VG_BYTES_UNKNOWN },
        .mps_bytes = VG_BYTES_UNKNOWN,
    };
    out->checkpoint = (struct vg_run_checkpoint){
        .f32_bytes = amount_of(s->checkpoint.f32_bytes),
        .half_bytes = amount_of(s->checkpoint.half_bytes),
        .other_bytes = amount_of(s->checkpoint.other_bytes),
        .file_count = s->checkpoint.file_count,
        .unread = s->checkpoint.unread,
        .name = READ_TEXT(region, s->checkpoint.name),
    };
}

int vg_version3_failure(const struct vg_reader_payload *payload, struct vg_stack_names *names,
                        struct vg_run_failure *out)
{
    const struct vg_version3_snapshot *const s = payload->bytes;
    struct vg_region *const region = names->region;
    if (payload->size_bytes != sizeof *s || s->version != VG_VERSION3_SNAPSHOT ||
        s->size_bytes != sizeof *s)
        return -EBADMSG;
    read_call(region, s, out);
    read_device(region, s, &out->device);
    read_sites(names, s, &out->device.sites[VG_LEVEL_ALLOCATIONS]);
    read_torch(region, &s->torch, &out->torch);
    read_host(region, s, out);
    out->actions = read_actions(region, s->actions, s->action_count, &out->action_count);
    const uint32_t gpus = count_of(s->device_count, VG_VERSION3_DEVICES);
    struct vg_run_gpu *const others = vg_region_array(region, gpus, sizeof *others);
    out->other_gpus = others;
    out->other_gpu_count = others ? gpus : 0;
    for (uint32_t i = 0; i < out->other_gpu_count; i++)
        others[i] = read_gpu(region, &s->devices[i]);
    return 0;
}

int vg_version3_rescue(const struct vg_reader_payload *payload, struct vg_region *region,
                       struct vg_run_rescue *out)
{
    const struct vg_version3_rescue *const r = payload->bytes;
    if (payload->size_bytes != sizeof *r || r->version != 1)
        return -EBADMSG;
    *out = (struct vg_run_rescue){ .device = r->device,
                                   .realtime_ns = r->realtime_ns,
                                   .asked_bytes = amount_of(r->asked_bytes),
                                   .duration_ns = r->duration_ns,
                                   .stack_id = r->stack_id,
                                   .api = READ_TEXT(region, r->api),
                                   .where = "" };
    out->actions = read_actions(region, r->actions, r->action_count, &out->action_count);
    return 0;
}

int vg_version3_mark(const struct vg_reader_payload *payload, struct vg_region *region,
                     struct vg_run_mark *out)
{
    const struct vg_version3_mark *const m = payload->bytes;
    const size_t fixed = offsetof(struct vg_version3_mark, devices);
    if (payload->size_bytes < fixed || m->version != 1 ||
        m->device_count > VG_VERSION3_MARK_DEVICES ||
        payload->size_bytes != fixed + m->device_count * sizeof m->devices[0])
        return -EBADMSG;
    struct vg_run_mark_device *const devices =
        vg_region_array(region, m->device_count, sizeof *devices);
    *out = (struct vg_run_mark){ .realtime_ns = m->realtime_ns,
                                 .monotonic_ns = m->monotonic_ns,
                                 .thread_id = m->thread_id,
                                 .device_count = devices ? m->device_count : 0,
                                 .text = READ_TEXT(region, m->text),
                                 .devices = devices };
    for (uint32_t i = 0; i < out->device_count; i++)
        devices[i] =
            (struct vg_run_mark_device){ .device = m->devices[i].device,
                                         .live_bytes = amount_of(m->devices[i].live_bytes),
                                         .peak_bytes = amount_of(m->devices[i].peak_bytes) };
    return 0;
}
