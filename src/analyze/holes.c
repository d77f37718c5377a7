#include "analyze/holes.h"

#include "base/sort.h"

static int by_address(const void *a, const void *b)
{
    const struct vg_memory_range *const x = a, *const y = b;
    return (x->address > y->address) - (x->address < y->address);
}

static void add_hole(struct vg_holes *out, uint64_t bytes)
{
    if (bytes == 0)
        return;
    out->hole_count++;
    out->hole_bytes += bytes;
    if (bytes > out->largest_bytes)
        out->largest_bytes = bytes;
}

/* Adds the gaps of one segment. `blocks`: from the first that does not end before it on. Returns
 * how many of them begin in it. */
static uint32_t look_into_segment(const struct vg_memory_range *segment,
                                  const struct vg_memory_range *blocks, uint32_t count,
                                  struct vg_holes *out)
{
    const uint64_t end = segment->address + segment->bytes;
    uint64_t at = segment->address;
    uint32_t used = 0;
    for (; used < count && blocks[used].address < end; used++) {
        if (blocks[used].address > at)
            add_hole(out, blocks[used].address - at);
        const uint64_t block_end = blocks[used].address + blocks[used].bytes;
        at = block_end > at ? block_end : at;
    }
    if (used == 0) {
        out->empty_count++;
        out->empty_bytes += segment->bytes;
    } else if (at < end) {
        add_hole(out, end - at);
    }
    return used;
}

void vg_holes_find(struct vg_memory_range *segments, uint32_t segment_count,
                   struct vg_memory_range *blocks, uint32_t block_count, struct vg_holes *out)
{
    uint32_t next = 0;
    *out = (struct vg_holes){ .known = true };
    vg_sort(segments, segment_count, sizeof *segments, by_address);
    vg_sort(blocks, block_count, sizeof *blocks, by_address);
    for (uint32_t i = 0; i < segment_count; i++) {
        if (next < block_count && blocks[next].address < segments[i].address)
            break; /* a block before this segment and in none */
        next += look_into_segment(&segments[i], &blocks[next], block_count - next, out);
    }
    if (next < block_count)
        *out = (struct vg_holes){ .known = false };
}
