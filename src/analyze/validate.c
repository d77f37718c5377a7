#include "analyze/validate.h"

#include <errno.h>
#include <string.h>

#include "base/amount.h"

enum { PROCESS_LIMIT = 1 << 22 }; /* Linux has no more pids (PID_MAX_LIMIT) */

#define REPAIR_TEXT(field) vg_text_repair(field, sizeof(field))

static int repair_amount(uint64_t *bytes)
{
    if (*bytes == VG_BYTES_UNKNOWN || vg_amount_known(*bytes))
        return 0;
    *bytes = VG_BYTES_UNKNOWN;
    return 1;
}

static int repair_count(uint32_t *count, uint32_t limit)
{
    if (*count <= limit)
        return 0;
    *count = limit;
    return 1;
}

static int repair_device(struct vg_oom_device *device)
{
    return REPAIR_TEXT(device->name) + REPAIR_TEXT(device->uuid) + REPAIR_TEXT(device->pci_bus_id) +
           repair_amount(&device->total_bytes) + repair_amount(&device->free_bytes);
}

static int repair_call(struct vg_oom_report *s)
{
    int repairs = REPAIR_TEXT(s->command) + REPAIR_TEXT(s->host) + REPAIR_TEXT(s->api) +
                  REPAIR_TEXT(s->thread_name) + REPAIR_TEXT(s->where) +
                  REPAIR_TEXT(s->driver_version) + REPAIR_TEXT(s->recorder_path) +
                  REPAIR_TEXT(s->injected_rule) +
                  repair_count(&s->refused_by, VG_REFUSED_COUNT - 1);
    repairs += repair_amount(&s->asked_bytes) + repair_count(&s->frame_count, VG_OOM_FRAMES);
    for (uint32_t i = 0; i < s->frame_count; i++)
        repairs += REPAIR_TEXT(s->frames[i].module) + REPAIR_TEXT(s->frames[i].function) +
                   REPAIR_TEXT(s->frames[i].location);
    return repairs;
}

static int repair_amounts(struct vg_oom_report *s)
{
    uint64_t *const amounts[] = {
        &s->self_bytes,         &s->others_bytes,         &s->live_bytes,
        &s->peak_bytes,         &s->untracked_bytes,      &s->pinned_bytes,
        &s->spilled_bytes,      &s->spill_cap_bytes,      &s->pool_reserved_bytes,
        &s->pool_used_bytes,    &s->graph_reserved_bytes, &s->graph_used_bytes,
        &s->other_site_bytes,   &s->host_total_bytes,     &s->host_available_bytes,
        &s->cgroup_limit_bytes, &s->cgroup_used_bytes,    &s->limit_bytes,
        &s->limit_left_bytes,
    };
    int repairs = 0;
    for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++)
        repairs += repair_amount(amounts[i]);
    return repairs;
}

static int repair_pytorch(struct vg_oom_report *s)
{
    int repairs = REPAIR_TEXT(s->torch.settings) + REPAIR_TEXT(s->checkpoint.name) +
                  repair_amount(&s->checkpoint.f32_bytes) +
                  repair_amount(&s->checkpoint.half_bytes) +
                  repair_amount(&s->checkpoint.other_bytes);
    for (uint32_t i = 0; i < VG_TORCH_BACKENDS; i++)
        repairs += repair_amount(&s->torch.bytes[i]);
    return repairs;
}

static int repair_outer(struct vg_outer_limits *outer)
{
    uint64_t *const amounts[] = {
        &outer->host.locked_limit_bytes,  &outer->host.locked_bytes,
        &outer->host.address_limit_bytes, &outer->host.address_bytes,
        &outer->host.total_bytes,         &outer->host.available_bytes,
        &outer->host.cgroup_room_bytes,   &outer->mps_bytes,
    };
    int repairs = REPAIR_TEXT(outer->mps_text) + REPAIR_TEXT(outer->visible) +
                  REPAIR_TEXT(outer->interposer) + REPAIR_TEXT(outer->bypass) +
                  repair_count(&outer->host_shortage, VG_HOST_SHORTAGE_COUNT - 1);
    for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++)
        repairs += repair_amount(amounts[i]);
    return repairs;
}

int vg_oom_report_validate(struct vg_oom_report *s)
{
    if (s->version != VG_OOM_VERSION || s->size_bytes != sizeof *s)
        return -EPROTO;
    int repairs = repair_call(s) + repair_amounts(s) + repair_device(&s->device) +
                  repair_pytorch(s) + repair_outer(&s->outer) +
                  repair_count(&s->site_count, VG_OOM_SITES) +
                  repair_count(&s->process_count, VG_OOM_PROCESSES) +
                  repair_count(&s->other_process_count, PROCESS_LIMIT) +
                  repair_count(&s->device_count, VG_OOM_DEVICES) +
                  repair_count(&s->action_count, VG_OOM_ACTIONS);
    for (uint32_t i = 0; i < s->site_count; i++)
        repairs += REPAIR_TEXT(s->sites[i].label) + REPAIR_TEXT(s->sites[i].line) +
                   repair_amount(&s->sites[i].bytes);
    for (uint32_t i = 0; i < s->process_count; i++)
        repairs += REPAIR_TEXT(s->processes[i].command) + repair_amount(&s->processes[i].bytes);
    for (uint32_t i = 0; i < s->device_count; i++)
        repairs += repair_device(&s->devices[i]);
    for (uint32_t i = 0; i < s->action_count; i++)
        repairs += REPAIR_TEXT(s->actions[i].name) + vg_outcome_repair(&s->actions[i]) +
                   repair_amount(&s->actions[i].recovered_bytes);
    return repairs;
}
