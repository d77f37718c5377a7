#include "analyze/torch_memory.h"

#include "base/sort.h"

static int by_segment(const void *a, const void *b)
{
    const struct vg_torch_segment *const x = a, *const y = b;
    return (x->address > y->address) - (x->address < y->address);
}

static int by_block(const void *a, const void *b)
{
    const struct vg_torch_block *const x = a, *const y = b;
    return (x->address > y->address) - (x->address < y->address);
}

/* A walk through one segment, whose blocks come in order. */
struct walk {
    struct vg_torch_memory *out;
    uint64_t asked_bytes;
    uint64_t at;                           /* all before it has been told */
    const struct vg_torch_segment *pieces; /* that it is made of, of which those */
    size_t count, piece;                   /* before `piece` have been told */
};

/* Pieces that lie in a hole whole, up to `end`. */
static void tell_empty_pieces(struct walk *walk, uint64_t end)
{
    const struct vg_torch_segment *const pieces = walk->pieces;
    while (walk->piece < walk->count && pieces[walk->piece].address < walk->at)
        walk->piece++;
    for (; walk->piece < walk->count; walk->piece++) {
        const struct vg_torch_segment *const piece = &pieces[walk->piece];
        if (piece->address + piece->bytes > end)
            break;
        walk->out->empty_count++;
        walk->out->empty_bytes += piece->bytes;
    }
}

/* What lies between the end of the last block and `end`. */
static void tell_hole(struct walk *walk, uint64_t end)
{
    struct vg_torch_memory *const out = walk->out;
    if (end <= walk->at)
        return;
    const uint64_t bytes = end - walk->at;
    if (walk->pieces->is_piece)
        tell_empty_pieces(walk, end);
    out->hole_count++;
    out->hole_bytes += bytes;
    if (bytes > out->largest_hole_bytes)
        out->largest_hole_bytes = bytes;
    if (bytes >= walk->asked_bytes) {
        out->fitting_count++;
        out->fitting_bytes += bytes;
    }
}

/* How many neighbours from `first` on are one segment, and where it ends. */
static size_t join_pieces(const struct vg_torch_segment *first, size_t left, uint64_t *out_end)
{
    size_t count = 1;
    uint64_t end = first->address + first->bytes;
    while (count < left && first->is_piece && first[count].is_piece && first[count].address == end)
        end += first[count++].bytes;
    *out_end = end;
    return count;
}

static bool is_any_judged(const struct vg_torch_segment *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (pieces[i].is_judged)
            return true;
    return false;
}

/* The segment that `walk->pieces` make, up to `end`, with those of `blocks` that begin in it.
 * Returns how many these are. */
static size_t walk_segment(struct walk *walk, uint64_t end, const struct vg_torch_block *blocks,
                           size_t left)
{
    struct vg_torch_memory *const out = walk->out;
    const uint64_t bytes = end - walk->pieces->address;
    const bool used = left > 0 && blocks->address < end;
    size_t taken = 0;
    if (!used && !is_any_judged(walk->pieces, walk->count))
        return 0;
    out->reserved_bytes += bytes;
    if (!used) {
        out->empty_count += walk->count;
        out->empty_bytes += bytes;
        return 0;
    }
    walk->at = walk->pieces->address;
    walk->piece = 0;
    for (; taken < left && blocks[taken].address < end; taken++) {
        const struct vg_torch_block *const block = &blocks[taken];
        tell_hole(walk, block->address);
        out->block_count++;
        out->allocated_bytes += block->bytes;
        if (block->address + block->bytes > walk->at)
            walk->at = block->address + block->bytes;
    }
    tell_hole(walk, end);
    return taken;
}

void vg_torch_memory_measure(struct vg_torch_segment *segments, size_t segment_count,
                             struct vg_torch_block *blocks, size_t block_count,
                             uint64_t asked_bytes, struct vg_torch_memory *out)
{
    struct walk walk = { .out = out, .asked_bytes = asked_bytes };
    size_t at = 0, block = 0;
    *out = (struct vg_torch_memory){ 0 };
    vg_sort(segments, segment_count, sizeof *segments, by_segment);
    vg_sort(blocks, block_count, sizeof *blocks, by_block);
    while (at < segment_count || block < block_count) {
        if (block < block_count &&
            (at == segment_count || blocks[block].address < segments[at].address)) {
            out->stray_count++;
            out->stray_bytes += blocks[block].bytes;
            out->block_count++;
            out->allocated_bytes += blocks[block++].bytes;
            continue;
        }
        uint64_t end;
        walk.pieces = &segments[at];
        walk.count = join_pieces(&segments[at], segment_count - at, &end);
        block += walk_segment(&walk, end, blocks + block, block_count - block);
        at += walk.count;
    }
    const uint64_t inside = out->allocated_bytes - out->stray_bytes;
    out->unused_bytes = out->reserved_bytes > inside ? out->reserved_bytes - inside : 0;
}
