/* Failures, rescues and marks as parts of a record (record/event_parts.h). */
#include <errno.h>
#include <string.h>

#include "analyze/event_records.h"
#include "analyze/outcome.h"
#include "analyze/sites.h"
#include "base/clock.h"
#include "base/text.h"
#include "record/event_parts.h"
#include "record/parts.h"

/* What a record has room for; a census beside them. */
enum { STACKS_MAX = 96, PROCESSES_MAX = 48, GPUS_MAX = 64, FRAMES_MAX = 136, SMALL_CAP = 4096 };

/* ---- the call ---- */

static void write_call(struct vg_part_writer *w, const struct vg_run_failure *f)
{
    const struct vg_part_call part = {
        .realtime_ns = f->realtime_ns,
        .asked_bytes = f->asked_bytes,
        .injected_number = f->injected_number,
        .alloc_count = f->alloc_count,
        .free_count = f->free_count,
        .number = f->number,
        .error = f->error,
        .refused_by = f->refused_by,
        .thread_id = f->thread_id,
        .stack_id = f->stack.id,
        .flags =
            (f->stack.truncated ? VG_CALL_TRUNCATED : 0u) | (f->survived ? VG_CALL_SURVIVED : 0u),
        .api_text = vg_part_text(w, f->api),
        .thread_name_text = vg_part_text(w, f->thread_name),
        .injected_rule_text = vg_part_text(w, f->injected_rule),
        .driver_version_text = vg_part_text(w, f->driver_version),
        .cuda_version = f->cuda_version,
        .main_path_text = f->main_line.line ? vg_part_text(w, f->main_line.path) : 0,
        .main_function_text = f->main_line.line ? vg_part_text(w, f->main_line.function) : 0,
        .main_line = f->main_line.line,
        .settings_text = vg_part_text(w, f->settings ? f->settings : ""),
        .rank_plus_one = f->process->rank + 1,
        .world_size_plus_one = f->process->world_size + 1,
    };
    vg_part_add(w, VG_PART_CALL, &part, sizeof part);
}

static void write_frames(struct vg_part_writer *w, const struct vg_run_stack *stack)
{
    const uint32_t count = stack->frame_count < FRAMES_MAX ? stack->frame_count : FRAMES_MAX;
    struct vg_part_frame *const parts = vg_part_add_array(w, VG_PART_FRAMES, sizeof *parts, count);
    const char *last_module = "";
    uint32_t module_text = 0;
    for (uint32_t i = 0; parts && i < count; i++) {
        const struct vg_run_frame *const frame = &stack->frames[i];
        if (strcmp(frame->module, last_module) != 0) { /* neighbours have it in common */
            last_module = frame->module;
            module_text = vg_part_text(w, last_module);
        }
        parts[i] = (struct vg_part_frame){ .address = frame->address,
                                           .module_offset = frame->module_offset,
                                           .module_text = module_text,
                                           .function_text = vg_part_text(w, frame->function),
                                           .file_text = vg_part_text(w, frame->file),
                                           .line = frame->line,
                                           .flags = frame->flags };
    }
}

/* ---- the device ---- */

static void write_kinds(struct vg_part_writer *w, const struct vg_run_device *d)
{
    struct vg_part_kind *const kinds =
        vg_part_add_array(w, VG_PART_KINDS, sizeof *kinds, d->kind_count);
    for (uint32_t i = 0; kinds && i < d->kind_count; i++)
        kinds[i] = (struct vg_part_kind){ .kind = d->kinds[i].kind,
                                          .bytes = d->kinds[i].bytes,
                                          .count = d->kinds[i].count };
    uint64_t *const sizes = vg_part_add_array(w, VG_PART_SIZES, sizeof *sizes, VG_RUN_SIZE_CLASSES);
    if (sizes)
        memcpy(sizes, d->size_class_count, sizeof d->size_class_count);
}

/* Called before its processes are: which of them there is room for decides what is left. */
static void write_device(struct vg_part_writer *w, const struct vg_run_device *d,
                         uint32_t processes)
{
    const struct vg_part_device part = {
        .total_bytes = d->gpu.total_bytes,
        .free_bytes = d->gpu.free_bytes,
        .ordinal = d->gpu.ordinal,
        .name_text = vg_part_text(w, d->gpu.name),
        .uuid_text = vg_part_text(w, d->gpu.uuid),
        .pci_bus_id_text = vg_part_text(w, d->gpu.pci_bus_id),
        .live_bytes = d->live_bytes,
        .live_count = d->live_count,
        .peak_bytes = d->peak_bytes,
        .peak_realtime_ns = d->peak_realtime_ns,
        .failed_count = d->failed_count,
        .untracked_bytes = d->untracked_bytes,
        .pool_reserved_bytes = d->pool_reserved_bytes,
        .pool_used_bytes = d->pool_used_bytes,
        .graph_reserved_bytes = d->graph_reserved_bytes,
        .graph_used_bytes = d->graph_used_bytes,
        .limit_bytes = d->limit_bytes,
        .limit_left_bytes = d->limit_left_bytes,
        .self_bytes = d->self_bytes,
        .others_bytes = d->others_bytes,
        .limit_shared = d->limit_shared,
        .others_known = d->others_known,
        .rest_process_count = d->rest_process_count + d->process_count - processes,
    };
    vg_part_add(w, VG_PART_DEVICE, &part, sizeof part);
    write_kinds(w, d);
}

static void write_processes(struct vg_part_writer *w, const struct vg_run_device *d, uint32_t count)
{
    struct vg_part_process *const parts =
        vg_part_add_array(w, VG_PART_PROCESSES, sizeof *parts, count);
    for (uint32_t i = 0; parts && i < count; i++) {
        const struct vg_run_other *const other = &d->processes[i];
        parts[i] = (struct vg_part_process){ .pid = other->pid,
                                             .uid = other->uid,
                                             .flags = other->flags,
                                             .command_text = vg_part_text(w, other->command),
                                             .user_text = vg_part_text(w, other->user),
                                             .job_text = vg_part_text(w, other->job),
                                             .container_text = vg_part_text(w, other->container),
                                             .bytes = other->bytes,
                                             .start_ns = other->start_ns,
                                             .unchanged_ns = other->unchanged_ns,
                                             .rank_plus_one = other->rank + 1,
                                             .idle_bytes = other->idle_bytes };
    }
}

static void write_gpus(struct vg_part_writer *w, const struct vg_run_failure *f)
{
    const uint32_t count = f->other_gpu_count < GPUS_MAX ? f->other_gpu_count : GPUS_MAX;
    struct vg_part_gpu *const parts = vg_part_add_array(w, VG_PART_GPUS, sizeof *parts, count);
    for (uint32_t i = 0; parts && i < count; i++) {
        const struct vg_run_gpu *const gpu = &f->other_gpus[i];
        parts[i] = (struct vg_part_gpu){ .total_bytes = gpu->total_bytes,
                                         .free_bytes = gpu->free_bytes,
                                         .ordinal = gpu->ordinal,
                                         .name_text = vg_part_text(w, gpu->name),
                                         .uuid_text = vg_part_text(w, gpu->uuid),
                                         .pci_bus_id_text = vg_part_text(w, gpu->pci_bus_id) };
    }
}

/* ---- its stacks ---- */

/* The largest stacks of a level, by repeated search: few are wanted of many. */
struct largest_stacks {
    const struct vg_stack_sum *chosen[STACKS_MAX];
    uint32_t count;
};

/* Keeps `sum` if it is among the largest, which are sorted. */
static void keep_largest(struct largest_stacks *largest, const struct vg_stack_sum *sum)
{
    uint32_t at = largest->count;
    while (at > 0 && largest->chosen[at - 1]->bytes < sum->bytes)
        at--;
    if (at == STACKS_MAX)
        return;
    if (largest->count < STACKS_MAX)
        largest->count++;
    memmove(&largest->chosen[at + 1], &largest->chosen[at],
            (largest->count - 1 - at) * sizeof largest->chosen[0]);
    largest->chosen[at] = sum;
}

static struct vg_part_stack part_of_stack(const struct vg_stack_sum *sum, uint32_t level)
{
    struct vg_part_stack part = { .level = level,
                                  .stack_id = sum->stack_id,
                                  .owner = sum->owner,
                                  .bytes = sum->bytes,
                                  .count = sum->count,
                                  .oldest_ns = sum->oldest_ns,
                                  .newest_ns = sum->newest_ns,
                                  .allocation_count = sum->allocation_count,
                                  .free_count = sum->free_count,
                                  .peak_bytes = sum->peak_bytes,
                                  .peak_count = sum->peak_count,
                                  .oldest_count = sum->oldest_count,
                                  .newest_count = sum->newest_count };
    memcpy(part.made, sum->made, sizeof part.made);
    return part;
}

static void choose_stacks(const struct vg_run_sites *sites, struct largest_stacks *out,
                          struct vg_part_stack_rest *rest)
{
    *rest = (struct vg_part_stack_rest){ .is_known = sites->is_known,
                                         .stack_count = sites->rest_stack_count,
                                         .bytes = sites->rest_bytes,
                                         .count = sites->rest_count };
    out->count = 0;
    for (uint32_t i = 0; i < sites->stack_count; i++) {
        const struct vg_stack_sum *const sum = &sites->stacks[i];
        if (sum->count == 0)
            continue;
        rest->stack_count++;
        rest->bytes += sum->bytes;
        rest->count += sum->count;
        keep_largest(out, sum);
    }
    for (uint32_t i = 0; i < out->count; i++) {
        rest->stack_count--;
        rest->bytes -= out->chosen[i]->bytes;
        rest->count -= out->chosen[i]->count;
    }
}

static void write_stacks(struct vg_part_writer *w, const struct vg_run_device *d)
{
    struct largest_stacks largest[VG_LEVELS];
    struct vg_part_stack_rest rests[VG_LEVELS];
    uint32_t used = 0;
    for (int level = 0; level < VG_LEVELS; level++)
        choose_stacks(&d->sites[level], &largest[level], &rests[level]);
    struct vg_part_stack *const parts =
        vg_part_add_array(w, VG_PART_STACKS, sizeof *parts,
                          largest[VG_LEVEL_ALLOCATIONS].count + largest[VG_LEVEL_BLOCKS].count);
    for (uint32_t level = 0; parts && level < VG_LEVELS; level++)
        for (uint32_t i = 0; i < largest[level].count; i++)
            parts[used++] = part_of_stack(largest[level].chosen[i], level);
    struct vg_part_stack_rest *const room =
        vg_part_add_array(w, VG_PART_STACK_RESTS, sizeof *room, VG_LEVELS);
    if (room)
        memcpy(room, rests, sizeof rests);
}

/* ---- what else there was ---- */

static void write_torch(struct vg_part_writer *w, const struct vg_run_torch *t)
{
    struct vg_part_torch part = {
        .allocated_bytes = t->allocated_bytes,
        .reserved_bytes = t->reserved_bytes,
        .block_count = t->block_count,
        .allocation_count = t->allocation_count,
        .free_count = t->free_count,
        .unused_bytes = t->unused_bytes,
        .hole_count = t->hole_count,
        .largest_hole_bytes = t->largest_hole_bytes,
        .empty_bytes = t->empty_bytes,
        .empty_count = t->empty_count,
        .fraction_bytes = t->fraction_bytes,
        .loaded = t->loaded,
        .unjudged = t->unjudged,
        .tells_blocks = t->tells_blocks,
        .silence = t->silence,
        .is_caller = t->is_caller,
        .graph_bytes = t->graph_bytes,
        .graph_count = t->graph_count,
        .graph_reuser_count = t->graph_reuser_count,
        .settings_text = vg_part_text(w, t->settings),
    };
    _Static_assert(sizeof part.bytes == sizeof t->bytes, "one for each way to allocate");
    memcpy(part.bytes, t->bytes, sizeof part.bytes);
    memcpy(part.count, t->count, sizeof part.count);
    vg_part_add(w, VG_PART_TORCH, &part, sizeof part);
}

static void write_host(struct vg_part_writer *w, const struct vg_run_failure *f)
{
    const struct vg_run_host *const h = &f->host;
    const struct vg_part_host host = { .total_bytes = h->total_bytes,
                                       .available_bytes = h->available_bytes,
                                       .cgroup_limit_bytes = h->cgroup_limit_bytes,
                                       .cgroup_used_bytes = h->cgroup_used_bytes,
                                       .pinned_bytes = h->pinned_bytes,
                                       .pinned_count = h->pinned_count,
                                       .spilled_bytes = h->spilled_bytes,
                                       .spilled_count = h->spilled_count,
                                       .spill_cap_bytes = h->spill_cap_bytes };
    vg_part_add(w, VG_PART_HOST, &host, sizeof host);
    const struct vg_part_checkpoint checkpoint = { .f32_bytes = f->checkpoint.f32_bytes,
                                                   .half_bytes = f->checkpoint.half_bytes,
                                                   .other_bytes = f->checkpoint.other_bytes,
                                                   .file_count = f->checkpoint.file_count,
                                                   .unread = f->checkpoint.unread,
                                                   .name_text =
                                                       vg_part_text(w, f->checkpoint.name) };
    vg_part_add(w, VG_PART_CHECKPOINT, &checkpoint, sizeof checkpoint);
}

static void write_actions(struct vg_part_writer *w, const struct vg_oom_action *actions,
                          uint32_t count)
{
    void *const room = vg_part_add_array(w, VG_PART_ACTIONS, sizeof *actions, count);
    if (room)
        memcpy(room, actions, count * sizeof *actions);
}

/* Returns whether there was room. */
static bool write_census(struct vg_part_writer *w, const struct vg_run_failure *f)
{
    struct vg_part_census *const part =
        vg_part_add_array(w, VG_PART_CENSUS, 1, sizeof *part + f->census_bytes);
    if (!part)
        return false;
    *part = (struct vg_part_census){ .format = f->census_format };
    memcpy(part + 1, f->census, f->census_bytes);
    return true;
}

/* ---- records ---- */

static int append_record(struct vg_recorder *recorder, enum vg_journal_type type,
                         struct vg_part_writer *w)
{
    const uint32_t size_bytes = vg_part_finish(w, VG_PART_TEXTS);
    return vg_recorder_append(recorder, type, w->bytes, size_bytes, NULL);
}

int vg_failure_record_append(struct vg_recorder *recorder, const struct vg_run_failure *f,
                             void *buffer)
{
    struct vg_part_writer w = vg_part_write(buffer, VG_EVENT_RECORD_CAP);
    const uint32_t processes =
        f->device.process_count < PROCESSES_MAX ? f->device.process_count : PROCESSES_MAX;
    write_call(&w, f);
    write_device(&w, &f->device, processes);
    write_actions(&w, f->actions, f->action_count);
    write_torch(&w, &f->torch);
    write_host(&w, f);
    vg_part_add(&w, VG_PART_OUTER, &f->outer, sizeof f->outer);
    write_processes(&w, &f->device, processes);
    write_gpus(&w, f);
    write_frames(&w, &f->stack);
    write_stacks(&w, &f->device);
    const bool has_census = f->census_format != 0 && f->census_bytes > 0;
    const bool fits = !has_census || write_census(&w, f);
    const int error = append_record(recorder, VG_JOURNAL_FAILURE_PARTS, &w);
    if (error || fits)
        return error;
    w = vg_part_write(buffer, VG_EVENT_RECORD_CAP);
    return write_census(&w, f) ? append_record(recorder, VG_JOURNAL_FAILURE_PARTS, &w) : 0;
}

void vg_rescue_record_append(struct vg_recorder *recorder, const struct vg_run_rescue *rescue)
{
    char buffer[SMALL_CAP] __attribute__((aligned(8)));
    if (atomic_fetch_add(&recorder->header->rescue_count, 1) >= VG_RESCUE_RECORDS_MAX)
        return;
    struct vg_part_writer w = vg_part_write(buffer, sizeof buffer);
    const struct vg_part_rescue part = { .realtime_ns = rescue->realtime_ns,
                                         .asked_bytes = rescue->asked_bytes,
                                         .duration_ns = rescue->duration_ns,
                                         .device = rescue->device,
                                         .stack_id = rescue->stack_id,
                                         .api_text = vg_part_text(&w, rescue->api) };
    vg_part_add(&w, VG_PART_RESCUE, &part, sizeof part);
    write_actions(&w, rescue->actions, rescue->action_count);
    append_record(recorder, VG_JOURNAL_RESCUE_PARTS, &w);
}

static void write_mark_devices(struct vg_part_writer *w, const struct vg_file_header *header)
{
    uint32_t count = 0, used = 0;
    for (uint32_t i = 0; i < VG_FILE_DEVICES; i++)
        count += atomic_load(&header->devices[i].peak_bytes) > 0;
    struct vg_run_mark_device *const parts =
        vg_part_add_array(w, VG_PART_MARK_DEVICES, sizeof *parts, count);
    for (uint32_t i = 0; parts && i < VG_FILE_DEVICES && used < count; i++) {
        const struct vg_file_device *const device = &header->devices[i];
        const uint64_t peak_bytes = atomic_load(&device->peak_bytes);
        if (peak_bytes > 0)
            parts[used++] =
                (struct vg_run_mark_device){ .device = i,
                                             .live_bytes = atomic_load(&device->live_bytes),
                                             .peak_bytes = peak_bytes };
    }
}

int vg_mark_record_append(struct vg_recorder *recorder, uint32_t thread_id, const char *text)
{
    char buffer[SMALL_CAP] __attribute__((aligned(8))), safe[VG_MARK_TEXT_CAP];
    if (atomic_fetch_add(&recorder->header->mark_count, 1) >= VG_MARK_RECORDS_MAX)
        return -ENOSPC;
    vg_text_sanitize(safe, sizeof safe, text, strnlen(text, VG_MARK_TEXT_CAP));
    struct vg_part_writer w = vg_part_write(buffer, sizeof buffer);
    const struct vg_part_mark part = { .realtime_ns = vg_clock_ns(CLOCK_REALTIME),
                                       .monotonic_ns = vg_clock_monotonic_ns(),
                                       .thread_id = thread_id,
                                       .text = vg_part_text(&w, safe) };
    vg_part_add(&w, VG_PART_MARK, &part, sizeof part);
    write_mark_devices(&w, recorder->header);
    return append_record(recorder, VG_JOURNAL_MARK_PARTS, &w);
}
