#include "analyze/file_source.h"

#include <errno.h>

#include "analyze/counter_visit.h"
#include "analyze/event_records.h"
#include "analyze/frame.h"
#include "analyze/run_build.h"
#include "base/amount.h"
#include "base/clock.h"
#include "base/text.h"

/* ---- the source ---- */

struct live_visit {
    vg_run_live_visit *visit;
    void *argument;
};

static int visit_slot(const struct vg_live_slot *slot, void *argument)
{
    const struct live_visit *const visit = argument;
    const struct vg_run_live live = { .address = slot->address,
                                      .mapped_address = slot->mapped_address,
                                      .bytes = slot->bytes,
                                      .monotonic_ns = slot->monotonic_ns,
                                      .stack_id = slot->stack_id,
                                      .device = slot->device,
                                      .kind = slot->kind };
    visit->visit(&live, visit->argument);
    return 0;
}

static int visit_block_slot(const struct vg_block_slot *slot, void *argument)
{
    const struct live_visit *const visit = argument;
    const struct vg_run_live live = { .address = slot->address,
                                      .bytes = slot->bytes,
                                      .monotonic_ns = slot->monotonic_ns,
                                      .number = slot->number,
                                      .device_number = slot->device_number,
                                      .stack_id = slot->stack_id,
                                      .device = slot->device,
                                      .kind = VG_KIND_NONE };
    visit->visit(&live, visit->argument);
    return 0;
}

static int visit_live(void *context, enum vg_run_level level, vg_run_live_visit *visit,
                      void *argument)
{
    const struct vg_file_source *const s = context;
    struct live_visit each = { .visit = visit, .argument = argument };
    if (level == VG_LEVEL_ALLOCATIONS)
        return vg_reader_each_live(s->reader, visit_slot, &each);
    if (s->reader->header->block_slots == 0)
        return -ENOTSUP;
    return vg_reader_each_block(s->reader, visit_block_slot, &each);
}

struct file_counter_visit {
    struct vg_counter_visit counters;
    const struct vg_file_header *header;
};

static int visit_site_slot(const struct vg_site_slot *slot, void *argument)
{
    struct file_counter_visit *const visit = argument;
    vg_counter_visit_slot(&visit->counters, slot, vg_site_epoch(visit->header, slot));
    return 0;
}

static int visit_counters(void *context, enum vg_run_level level, vg_run_counter_visit *visit,
                          void *argument)
{
    const struct vg_file_source *const s = context;
    struct file_counter_visit each = {
        .counters = { .visit = visit, .argument = argument, .level = level },
        .header = s->reader->header,
    };
    if (s->reader->header->site_slots == 0)
        return -ENOTSUP;
    const int error = vg_reader_each_site(s->reader, visit_site_slot, &each);
    return error ? error : each.counters.visited > 0 ? 0 : -ENOTSUP;
}

static const struct vg_journal_stack *find_stack(void *context, uint32_t id)
{
    const struct vg_file_source *const s = context;
    return vg_reader_stack(s->reader, id);
}

static const struct vg_journal_code *find_code(void *context, uint32_t id)
{
    const struct vg_file_source *const s = context;
    return vg_reader_code(s->reader, id);
}

static void note_address(void *context, uint64_t address)
{
    (void)context, (void)address; /* one at a time is as good here */
}

void vg_file_source_module(const struct vg_reader *reader, struct vg_region *region,
                           uint64_t address, struct vg_run_frame *out)
{
    *out = vg_frame_of_address(address);
    const size_t index = vg_reader_module_index(reader, address - 1);
    if (index == reader->module_count)
        return;
    const struct vg_journal_module *const module = reader->modules[index];
    out->module_offset = address - module->bias;
    out->module = vg_region_safe_text(region, vg_text_base_name(module->path));
}

static uint32_t name_address(void *context, uint64_t address, struct vg_region *region,
                             struct vg_run_frame *out, uint32_t cap)
{
    const struct vg_file_source *const s = context;
    if (s->names.name)
        return s->names.name(s->names.context, address, region, out, cap);
    vg_file_source_module(s->reader, region, address, out);
    return 1;
}

/* The runtime, the driver, and we. */
static bool is_between(const char *module)
{
    static const char *const names[] = { "libcuda.so", "libcudart.so", "libvramguard.so" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (vg_text_starts_with(module, names[i]))
            return true;
    return false;
}

/* As vg_caller_is_pytorch judges in the process: by the first module of others. */
static enum vg_run_owner judge_stack(void *context, const struct vg_journal_stack *stack)
{
    const struct vg_file_source *const s = context;
    for (uint32_t i = 0; stack && i < stack->depth; i++) {
        const size_t index = vg_reader_module_index(s->reader, stack->frames[i] - 1);
        if (index == s->reader->module_count)
            return VG_OWNER_UNKNOWN;
        const char *const module = vg_text_base_name(s->reader->modules[index]->path);
        if (!is_between(module))
            return vg_text_starts_with(module, "libc10_cuda.so") ? VG_OWNER_PYTORCH
                                                                 : VG_OWNER_OTHER;
    }
    return VG_OWNER_UNKNOWN;
}

static int find_newest(const struct vg_live_slot *slot, void *argument)
{
    uint64_t *const newest_ns = argument;
    if (slot->monotonic_ns > *newest_ns)
        *newest_ns = slot->monotonic_ns;
    return 0;
}

/* CLOCK_MONOTONIC at the moment that the file tells: now, at its end, or as far as is known. */
static uint64_t moment_of(struct vg_reader *reader, const char *path)
{
    const struct vg_file_header *const header = reader->header;
    const enum vg_run_state state = vg_run_state_of(header, path);
    if (state == VG_RUN_ALIVE)
        return vg_clock_monotonic_ns();
    if (state == VG_RUN_EXITED && header->end_realtime_ns > header->start_realtime_ns)
        return header->start_monotonic_ns + (header->end_realtime_ns - header->start_realtime_ns);
    uint64_t newest_ns = header->start_monotonic_ns;
    vg_reader_each_live(reader, find_newest, &newest_ns);
    return newest_ns;
}

void vg_file_source_init(struct vg_file_source *out, struct vg_reader *reader, const char *path,
                         const struct vg_address_names *names)
{
    *out = (struct vg_file_source){
        .source = { .header = reader->header,
                    .path = path,
                    .now_ns = moment_of(reader, path),
                    .stack_count = reader->stack_cap > 0 ? (uint32_t)reader->stack_cap - 1 : 0,
                    .code_count = reader->code_cap > 0 ? (uint32_t)reader->code_cap - 1 : 0,
                    .context = out,
                    .each_live = visit_live,
                    .each_counter = visit_counters,
                    .stack = find_stack,
                    .code = find_code,
                    .note_address = note_address,
                    .name_address = name_address,
                    .judge_stack = judge_stack },
        .reader = reader,
    };
    if (names)
        out->names = *names;
}

/* ---- the run ---- */

static bool is_cut(const struct vg_reader *reader)
{
    return reader->header->memory_only || reader->damage.missing_bytes > 0;
}

/* An incomplete file has fewer allocations than the process had. */
static void add_missing(const struct vg_reader *reader, struct vg_run_device *out)
{
    if (!is_cut(reader) || !vg_amount_known(out->counted_bytes) ||
        out->counted_bytes <= out->live_bytes)
        return;
    out->untracked_bytes = out->counted_bytes - out->live_bytes;
    out->live_bytes = out->counted_bytes;
}

static void build_devices(struct vg_file_source *s, struct vg_stack_names *names,
                          struct vg_run *out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < VG_FILE_DEVICES; i++)
        count += vg_run_uses_device(&s->source, i);
    out->devices = vg_region_array(names->region, count, sizeof *out->devices);
    for (uint32_t i = 0; out->devices && i < VG_FILE_DEVICES; i++) {
        if (!vg_run_uses_device(&s->source, i))
            continue;
        struct vg_run_device *const device = &out->devices[out->device_count++];
        vg_run_build_device(names, i, device, NULL);
        add_missing(s->reader, device);
    }
}

void vg_file_source_build(struct vg_file_source *s, struct vg_region *region, struct vg_run *out)
{
    const struct vg_file_header *const header = s->reader->header;
    struct vg_stack_names names;
    *out = (struct vg_run){ .failure_total = header->failure_count,
                            .rescue_total = header->rescue_count,
                            .mark_total = header->mark_count,
                            .spill_peak_bytes = header->spill_peak_bytes,
                            .spill_cap_bytes = header->spill_cap_bytes };
    vg_stack_names_init(&names, &s->source, region);
    vg_run_describe_process(&s->source, region, &out->process);
    vg_event_records_read(s->reader, &names, out);
    build_devices(s, &names, out);
    const struct vg_reader_damage *const damage = &s->reader->damage;
    out->is_incomplete = is_cut(s->reader) || damage->extents || damage->records ||
                         damage->uncommitted || damage->slots;
}
