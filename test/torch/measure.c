/* measure RUN_FILE [ASKED_BYTES]: prints, for each device with blocks, what vg_torch_memory_measure
 * says of PyTorch's memory: "device reserved allocated unused largest-hole empty fitting stray". */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analyze/torch_memory.h"
#include "record/reader.h"

enum { MOST = 1 << 20 };

static struct vg_torch_segment segments[VG_FILE_DEVICES][MOST / VG_FILE_DEVICES];
static struct vg_torch_block blocks[VG_FILE_DEVICES][MOST / VG_FILE_DEVICES];
static size_t segment_count[VG_FILE_DEVICES], block_count[VG_FILE_DEVICES];
static struct vg_reader reader;

static bool is_pytorchs(uint32_t stack_id)
{
    const struct vg_journal_stack *const stack = vg_reader_stack(&reader, stack_id);
    for (uint32_t i = 0; stack && i < stack->depth; i++) {
        const size_t module = vg_reader_module_index(&reader, stack->frames[i]);
        if (module < reader.module_count && strstr(reader.modules[module]->path, "libc10_cuda"))
            return true;
    }
    return false;
}

static int add_segment(const struct vg_live_slot *slot, void *argument)
{
    (void)argument;
    const bool is_piece = slot->kind == VG_KIND_VIRTUAL;
    if (!is_piece && slot->kind != VG_KIND_DEVICE)
        return 0;
    segments[slot->device][segment_count[slot->device]++] =
        (struct vg_torch_segment){ .address = is_piece ? slot->mapped_address : slot->address,
                                   .bytes = slot->bytes,
                                   .is_piece = is_piece,
                                   .is_judged = is_pytorchs(slot->stack_id) };
    return 0;
}

static int add_block(const struct vg_block_slot *slot, void *argument)
{
    (void)argument;
    blocks[slot->device][block_count[slot->device]++] =
        (struct vg_torch_block){ .address = slot->address, .bytes = slot->bytes };
    return 0;
}

int main(int argc, char **argv)
{
    char why[256];
    const uint64_t asked_bytes = argc > 2 ? strtoull(argv[2], NULL, 0) : 0;
    if (argc < 2 || vg_reader_open(&reader, argv[1], why, sizeof why) != 0 ||
        vg_reader_load(&reader) != 0 || vg_reader_each_live(&reader, add_segment, NULL) != 0 ||
        vg_reader_each_block(&reader, add_block, NULL) != 0)
        return 1;
    for (int i = 0; i < VG_FILE_DEVICES; i++) {
        struct vg_torch_memory memory;
        vg_torch_memory_measure(segments[i], segment_count[i], blocks[i], block_count[i],
                                asked_bytes, &memory);
        if (memory.reserved_bytes > 0)
            printf("%d %llu %llu %llu %llu %llu %llu %llu\n", i,
                   (unsigned long long)memory.reserved_bytes,
                   (unsigned long long)memory.allocated_bytes,
                   (unsigned long long)memory.unused_bytes,
                   (unsigned long long)memory.largest_hole_bytes,
                   (unsigned long long)memory.empty_bytes, (unsigned long long)memory.fitting_bytes,
                   (unsigned long long)memory.stray_count);
    }
    vg_reader_close(&reader);
    return 0;
}
