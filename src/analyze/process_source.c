#include "analyze/process_source.h"

#include <errno.h>

#include "analyze/counter_visit.h"
#include "base/clock.h"

struct live_visit {
    vg_run_live_visit *visit;
    void *argument;
};

static void visit_allocation(const struct vg_allocation *allocation, void *argument)
{
    const struct live_visit *const visit = argument;
    const struct vg_run_live live = { .address = allocation->address,
                                      .mapped_address = allocation->mapped_address,
                                      .bytes = allocation->bytes,
                                      .monotonic_ns = allocation->monotonic_ns,
                                      .stack_id = allocation->stack_id,
                                      .device = allocation->device,
                                      .kind = allocation->kind };
    visit->visit(&live, visit->argument);
}

static void visit_block(const struct vg_block *block, void *argument)
{
    const struct live_visit *const visit = argument;
    const struct vg_run_live live = { .address = block->address,
                                      .bytes = block->bytes,
                                      .monotonic_ns = block->monotonic_ns,
                                      .number = block->number,
                                      .device_number = block->device_number,
                                      .stack_id = block->stack_id,
                                      .device = block->device,
                                      .kind = VG_KIND_NONE };
    visit->visit(&live, visit->argument);
}

static int visit_live(void *context, enum vg_run_level level, vg_run_live_visit *visit,
                      void *argument)
{
    const struct vg_process_source *const s = context;
    struct live_visit each = { .visit = visit, .argument = argument };
    if (level == VG_LEVEL_ALLOCATIONS)
        vg_live_index_each(s->track, visit_allocation, &each);
    else if (s->blocks && vg_blocks_seen(s->blocks))
        vg_blocks_each(s->blocks, visit_block, &each);
    else
        return -ENOTSUP;
    return 0;
}

static void visit_site(const struct vg_site_slot *slot, uint64_t epoch, void *argument)
{
    vg_counter_visit_slot(argument, slot, epoch);
}

static int visit_counters(void *context, enum vg_run_level level, vg_run_counter_visit *visit,
                          void *argument)
{
    const struct vg_process_source *const s = context;
    struct vg_counter_visit each = { .visit = visit, .argument = argument, .level = level };
    vg_site_counters_each(s->recorder, visit_site, &each);
    return each.visited > 0 ? 0 : -ENOTSUP;
}

static const struct vg_journal_stack *find_stack(void *context, uint32_t id)
{
    const struct vg_process_source *const s = context;
    return vg_recorder_stack_record(s->recorder, id);
}

static const struct vg_journal_code *find_code(void *context, uint32_t id)
{
    const struct vg_process_source *const s = context;
    return vg_recorder_code_record(s->recorder, id);
}

/* With the recorder alone as their context. */
static const struct vg_journal_stack *recorded_stack(void *context, uint32_t id)
{
    return vg_recorder_stack_record(context, id);
}

static const struct vg_journal_code *recorded_code(void *context, uint32_t id)
{
    return vg_recorder_code_record(context, id);
}

struct vg_run_source vg_process_source_of_stacks(struct vg_recorder *recorder)
{
    return (struct vg_run_source){
        .is_live = true,
        .header = recorder->header,
        .path = recorder->path,
        .stack_count = __atomic_load_n(&recorder->stacks.count, __ATOMIC_RELAXED),
        .code_count = __atomic_load_n(&recorder->codes.count, __ATOMIC_RELAXED),
        .context = recorder,
        .stack = recorded_stack,
        .code = recorded_code,
    };
}

static void note_address(void *context, uint64_t address)
{
    const struct vg_process_source *const s = context;
    vg_native_names_add(s->names, address);
}

/* The loader's symbols know of nothing inlined. */
static uint32_t name_address(void *context, uint64_t address, struct vg_region *region,
                             struct vg_run_frame *out, uint32_t cap)
{
    const struct vg_process_source *const s = context;
    (void)region, (void)cap;
    vg_native_names_get(s->names, address, out);
    return 1;
}

static enum vg_run_owner judge_stack(void *context, const struct vg_journal_stack *stack)
{
    const struct vg_process_source *const s = context;
    if (!s->callers.pytorch)
        return VG_OWNER_OTHER;
    if (!stack || stack->depth == 0)
        return VG_OWNER_UNKNOWN;
    return vg_caller_is_pytorch(&s->callers, stack->frames, stack->depth) ? VG_OWNER_PYTORCH
                                                                          : VG_OWNER_OTHER;
}

void vg_process_source_init(struct vg_process_source *out, struct vg_recorder *recorder,
                            const struct vg_live_index *track, const struct vg_blocks *blocks,
                            struct vg_native_names *names, struct vg_region *region)
{
    *out = (struct vg_process_source){
        .source = { .header = recorder->header,
                    .is_live = true,
                    .path = recorder->path,
                    .now_ns = vg_clock_monotonic_ns(),
                    .stack_count = __atomic_load_n(&recorder->stacks.count, __ATOMIC_RELAXED),
                    .code_count = __atomic_load_n(&recorder->codes.count, __ATOMIC_RELAXED),
                    .context = out,
                    .each_live = visit_live,
                    .each_counter = visit_counters,
                    .stack = find_stack,
                    .code = find_code,
                    .note_address = note_address,
                    .name_address = name_address,
                    .judge_stack = judge_stack },
        .recorder = recorder,
        .track = track,
        .blocks = blocks,
        .names = names,
    };
    vg_native_names_clear(names, region, recorder->header->start_realtime_ns);
    vg_caller_map_modules(&out->callers);
}
