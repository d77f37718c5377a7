#include "analyze/torch_build.h"

#include "analyze/torch_memory.h"

enum { UNJUDGED, IS_TORCH, IS_OTHER };

struct gathering {
    const struct vg_run_source *source;
    uint16_t device;
    struct vg_torch_segment *segments;
    struct vg_torch_block *blocks;
    size_t segment_count, block_count; /* found, and */
    size_t segment_cap, block_cap;     /* what there is room for */
    uint8_t *judged;                   /* [stack id]; NULL: allocations are not judged */
};

static bool is_segment(const struct gathering *g, const struct vg_run_live *live)
{
    return live->device == g->device && (live->kind == VG_KIND_DEVICE ||
                                         (live->kind == VG_KIND_VIRTUAL && live->mapped_address));
}

static bool is_torchs(struct gathering *g, uint32_t stack_id)
{
    const struct vg_run_source *const source = g->source;
    if (!g->judged || stack_id > source->stack_count)
        return false;
    if (g->judged[stack_id] == UNJUDGED)
        g->judged[stack_id] =
            source->judge_stack(source->context, source->stack(source->context, stack_id)) ==
                    VG_OWNER_PYTORCH
                ? IS_TORCH
                : IS_OTHER;
    return g->judged[stack_id] == IS_TORCH;
}

static void count_segment(const struct vg_run_live *live, void *argument)
{
    struct gathering *const g = argument;
    g->segment_cap += is_segment(g, live);
}

static void count_block(const struct vg_run_live *live, void *argument)
{
    struct gathering *const g = argument;
    g->block_cap += live->device == g->device;
}

/* What has come since it was counted has no room. */
static void take_segment(const struct vg_run_live *live, void *argument)
{
    struct gathering *const g = argument;
    const bool is_piece = live->kind == VG_KIND_VIRTUAL;
    if (!is_segment(g, live) || g->segment_count == g->segment_cap)
        return;
    g->segments[g->segment_count++] =
        (struct vg_torch_segment){ .address = is_piece ? live->mapped_address : live->address,
                                   .bytes = live->bytes,
                                   .is_piece = is_piece,
                                   .is_judged = is_torchs(g, live->stack_id) };
}

static void take_block(const struct vg_run_live *live, void *argument)
{
    struct gathering *const g = argument;
    if (live->device != g->device || g->block_count == g->block_cap)
        return;
    g->blocks[g->block_count++] =
        (struct vg_torch_block){ .address = live->address, .bytes = live->bytes };
}

/* Returns false when there was no memory for it. */
static bool gather_pieces(struct gathering *g, struct vg_region *region)
{
    const struct vg_run_source *const source = g->source;
    source->each_live(source->context, VG_LEVEL_ALLOCATIONS, count_segment, g);
    source->each_live(source->context, VG_LEVEL_BLOCKS, count_block, g);
    g->segments = vg_region_array(region, g->segment_cap + 1, sizeof *g->segments);
    g->blocks = vg_region_array(region, g->block_cap + 1, sizeof *g->blocks);
    if (source->judge_stack)
        g->judged = vg_region_array(region, (size_t)source->stack_count + 1, sizeof *g->judged);
    if (!g->segments || !g->blocks)
        return false;
    source->each_live(source->context, VG_LEVEL_ALLOCATIONS, take_segment, g);
    source->each_live(source->context, VG_LEVEL_BLOCKS, take_block, g);
    return true;
}

static uint64_t remainder_of(uint64_t whole, uint64_t part)
{
    return whole > part ? whole - part : 0;
}

void vg_torch_build(const struct vg_run_source *source, struct vg_region *region, uint32_t index,
                    struct vg_run_torch *out)
{
    struct gathering g = { .source = source, .device = (uint16_t)index };
    const struct vg_file_blocks *const told = &source->header->blocks[index];
    struct vg_torch_memory memory = { .reserved_bytes = 0 };
    if (told->allocations == 0)
        return;
    out->tells_blocks = true;
    out->allocated_bytes = told->allocated_bytes;
    out->reserved_bytes = told->told_reserved_bytes;
    out->block_count = remainder_of(told->allocations, told->frees);
    out->allocation_count = told->allocations;
    out->free_count = told->frees;
    out->hole_count = out->empty_count = VG_COUNT_UNKNOWN;
    out->largest_hole_bytes = out->empty_bytes = VG_BYTES_UNKNOWN;
    if (gather_pieces(&g, region)) {
        vg_torch_memory_measure(g.segments, g.segment_count, g.blocks, g.block_count, 0, &memory);
        if (g.judged)
            out->reserved_bytes = memory.reserved_bytes;
        out->hole_count = memory.hole_count;
        out->largest_hole_bytes = memory.largest_hole_bytes;
        out->empty_count = memory.empty_count;
        /* Every byte of a segment with blocks is in a block or in a hole. */
        out->empty_bytes =
            remainder_of(out->reserved_bytes, out->allocated_bytes + memory.hole_bytes);
    }
    out->unused_bytes = remainder_of(out->reserved_bytes, out->allocated_bytes);
}
