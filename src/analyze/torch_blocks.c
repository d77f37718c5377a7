#include "analyze/torch_blocks.h"

#include "analyze/holes.h"
#include "analyze/sites.h"

/* Ranges as they are gathered; what comes meanwhile finds no room. */
struct range_list {
    struct vg_memory_range *ranges;
    uint32_t count, cap;
    const struct vg_run_sites *owners; /* of segments: by whose stack they are; NULL for blocks */
    uint16_t device;
};

static bool is_pytorch(const struct range_list *list, uint32_t stack_id)
{
    return stack_id < list->owners->stack_count &&
           list->owners->stacks[stack_id].owner == VG_OWNER_PYTORCH;
}

static void add_range(const struct vg_run_live *live, void *argument)
{
    struct range_list *const list = argument;
    if (live->device != list->device || live->bytes == 0 || list->count == list->cap)
        return;
    if (list->owners && (live->kind != VG_KIND_DEVICE || !is_pytorch(list, live->stack_id)))
        return;
    list->ranges[list->count++] =
        (struct vg_memory_range){ .address = live->address, .bytes = live->bytes };
}

static bool gather_ranges(const struct vg_run_source *source, struct vg_region *region,
                          enum vg_run_level level, uint64_t cap, struct range_list *list)
{
    list->cap = cap < UINT32_MAX ? (uint32_t)cap : UINT32_MAX;
    list->ranges = vg_region_array(region, list->cap, sizeof *list->ranges);
    return list->ranges && source->each_live(source->context, level, add_range, list) == 0;
}

static void measure_holes(const struct vg_run_source *source, struct vg_region *region,
                          uint32_t index, const struct vg_run_device *device,
                          struct vg_run_torch *torch)
{
    struct range_list segments = { .owners = &device->sites[VG_LEVEL_ALLOCATIONS],
                                   .device = (uint16_t)index };
    struct range_list blocks = { .device = (uint16_t)index };
    struct vg_holes holes = { .known = false };
    if (gather_ranges(source, region, VG_LEVEL_ALLOCATIONS, device->live_count, &segments) &&
        gather_ranges(source, region, VG_LEVEL_BLOCKS, torch->block_count, &blocks))
        vg_holes_find(segments.ranges, segments.count, blocks.ranges, blocks.count, &holes);
    torch->hole_count = holes.known ? holes.hole_count : VG_COUNT_UNKNOWN;
    torch->largest_hole_bytes = holes.known ? holes.largest_bytes : VG_BYTES_UNKNOWN;
    torch->empty_count = holes.known ? holes.empty_count : VG_COUNT_UNKNOWN;
    torch->empty_bytes = holes.known ? holes.empty_bytes : VG_BYTES_UNKNOWN;
}

void vg_torch_blocks_measure(const struct vg_run_source *source, struct vg_region *region,
                             uint32_t index, const struct vg_run_device *device,
                             struct vg_run_torch *torch)
{
    const struct vg_run_sites *const sites = &device->sites[VG_LEVEL_BLOCKS];
    const struct vg_file_blocks *const totals = &source->header->blocks[index];
    if (!sites->is_known)
        return;
    torch->tells_blocks = true;
    for (uint32_t i = 0; i < sites->count; i++) {
        torch->allocated_bytes += sites->entries[i].live_bytes;
        torch->block_count += sites->entries[i].live_count;
    }
    torch->reserved_bytes = __atomic_load_n(&totals->told_reserved_bytes, __ATOMIC_RELAXED);
    torch->unused_bytes = torch->reserved_bytes >= torch->allocated_bytes
                              ? torch->reserved_bytes - torch->allocated_bytes
                              : VG_BYTES_UNKNOWN;
    measure_holes(source, region, index, device, torch);
}
