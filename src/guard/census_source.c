#include "guard/census_source.h"

#include "driver/captures.h"
#include "guard/process_state.h"
#include "guard/torch_blocks.h"

/* `argument` is the number of the device. */
static uint16_t device_of(const void *argument)
{
    return (uint16_t)(uintptr_t)argument;
}

static struct vg_blocks *current_blocks(void)
{
    struct vg_process_state *const state = vg_process_start();
    return state && state->wants_blocks ? &state->blocks : NULL;
}

static bool find_block(void *argument, uintptr_t address, struct vg_census_block *out)
{
    struct vg_blocks *const blocks = current_blocks();
    return blocks && vg_torch_blocks_find(blocks, device_of(argument), address, out);
}

static void total_blocks(void *argument, struct vg_census_amount *out)
{
    struct vg_blocks *const blocks = current_blocks();
    *out = (struct vg_census_amount){ 0 };
    if (!blocks)
        return;
    const struct vg_file_blocks totals = vg_blocks_totals(blocks, device_of(argument));
    *out = (struct vg_census_amount){ .bytes = totals.allocated_bytes,
                                      .blocks = totals.allocations - totals.frees };
}

struct visit {
    uint16_t device;
    void (*visit)(uintptr_t address, uint64_t bytes, void *argument);
    void *argument;
};

static void visit_block(const struct vg_block *block, void *argument)
{
    const struct visit *const visit = argument;
    if (block->device == visit->device)
        visit->visit((uintptr_t)block->address, block->bytes, visit->argument);
}

static void each_block(void *argument,
                       void (*visit)(uintptr_t address, uint64_t bytes, void *visit_argument),
                       void *visit_argument)
{
    struct visit wanted = { device_of(argument), visit, visit_argument };
    struct vg_blocks *const blocks = current_blocks();
    if (blocks)
        vg_blocks_each(blocks, visit_block, &wanted);
}

static uint64_t count_given(void *argument)
{
    struct vg_blocks *const blocks = current_blocks();
    return blocks ? vg_blocks_totals(blocks, device_of(argument)).allocations : 0;
}

static bool is_not_capturing(void *argument)
{
    (void)argument;
    return !vg_captures_live();
}

static struct vg_recorder *current_recorder(void *argument)
{
    struct vg_blocks *const blocks = current_blocks();
    (void)argument;
    return blocks ? blocks->recorder : NULL;
}

void vg_census_source_init(struct vg_census_source *out, int32_t device)
{
    *out = (struct vg_census_source){ .find_block = find_block,
                                      .total = total_blocks,
                                      .each_block = each_block,
                                      .given = count_given,
                                      .may_begin = is_not_capturing,
                                      .recorder = current_recorder,
                                      .argument = (void *)(uintptr_t)device,
                                      .device = device,
                                      .jax_platform = "gpu" };
}
