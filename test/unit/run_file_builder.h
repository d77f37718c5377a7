/* Writes recorder files by hand, from the format alone: for tests of what reads them. */
#ifndef VRAMGUARD_TEST_RUN_FILE_BUILDER_H
#define VRAMGUARD_TEST_RUN_FILE_BUILDER_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hashing.h"
#include "record/format.h"

enum {
    BUILDER_JOURNAL_EXTENT = 8192,
    BUILDER_LIVE_EXTENT = 4096,
    BUILDER_CAP = VG_FILE_HEADER_BYTES + 2 * BUILDER_JOURNAL_EXTENT + 2 * BUILDER_LIVE_EXTENT,
};

/* A file in memory: header, journal extent, live extent, journal extent, live extent. */
struct builder {
    union {
        char bytes[BUILDER_CAP];
        struct vg_file_header header;
        uint64_t alignment;
    };
    uint64_t journal_used, slots_used;
};

static inline void builder_init(struct builder *b)
{
    memset(b, 0, sizeof *b);
    struct vg_file_header *const h = &b->header;
    memcpy(h->magic, VG_FILE_MAGIC, sizeof h->magic);
    h->version = VG_FILE_VERSION;
    h->byte_order = VG_FILE_BYTE_ORDER;
    h->header_bytes = VG_FILE_HEADER_BYTES;
    h->slot_bytes = sizeof(struct vg_live_slot);
    h->pid = 4712;
    h->start_ticks = 1;
    strcpy(h->host, "gpu-host");
    strcpy(h->command, "python3 run_model.py");
    strcpy(h->boot_id, "not-this-boot");
    uint64_t offset = VG_FILE_HEADER_BYTES;
    for (int i = 0; i < 4; i++) {
        const int is_live = i % 2;
        h->extents[i] = (struct vg_file_extent){
            .area = is_live ? VG_AREA_LIVE : VG_AREA_JOURNAL,
            .offset_bytes = offset,
            .size_bytes = is_live ? BUILDER_LIVE_EXTENT : BUILDER_JOURNAL_EXTENT,
        };
        offset += h->extents[i].size_bytes;
    }
}

static inline char *builder_journal_at(struct builder *b, uint64_t offset)
{
    const int extent = offset < BUILDER_JOURNAL_EXTENT ? 0 : 2;
    return b->bytes + b->header.extents[extent].offset_bytes + offset % BUILDER_JOURNAL_EXTENT;
}

/* Appends a record; returns it for the caller to damage. */
static inline struct vg_journal_record *builder_record(struct builder *b, uint32_t type,
                                                       const void *payload, uint32_t size)
{
    const uint64_t bytes = sizeof(struct vg_journal_record) + ((size + 7u) & ~7u);
    const uint64_t rest = BUILDER_JOURNAL_EXTENT - b->journal_used % BUILDER_JOURNAL_EXTENT;
    if (bytes > rest) {
        struct vg_journal_record *const padding = (void *)builder_journal_at(b, b->journal_used);
        padding->type = VG_JOURNAL_PADDING;
        padding->size_bytes = (uint32_t)(rest - sizeof *padding);
        b->journal_used += rest;
    }
    if (b->journal_used + bytes > 2 * BUILDER_JOURNAL_EXTENT)
        abort();
    struct vg_journal_record *const record = (void *)builder_journal_at(b, b->journal_used);
    record->type = type;
    record->size_bytes = size;
    record->checksum = vg_hash_fnv1a(payload, size);
    memcpy(record + 1, payload, size);
    b->journal_used += bytes;
    b->header.journal_bytes = b->journal_used;
    return record;
}

static inline struct vg_journal_record *builder_stack(struct builder *b, uint32_t id,
                                                      const uint64_t *frames, uint32_t depth)
{
    uint64_t payload[64] = { 0 };
    struct vg_journal_stack *const stack = (void *)payload;
    stack->id = id;
    stack->depth = depth;
    memcpy(stack->frames, frames, depth * sizeof *frames);
    return builder_record(b, VG_JOURNAL_STACK, payload,
                          (uint32_t)(sizeof *stack + depth * sizeof *frames));
}

static inline struct vg_journal_record *builder_module(struct builder *b, uint64_t start,
                                                       uint64_t end, const char *path)
{
    uint64_t payload[64] = { 0 };
    struct vg_journal_module *const module = (void *)payload;
    module->start = start;
    module->end = end;
    module->bias = start;
    strcpy(module->path, path);
    return builder_record(b, VG_JOURNAL_MODULE, payload,
                          (uint32_t)(offsetof(struct vg_journal_module, path) + strlen(path) + 1));
}

static inline struct vg_live_slot *builder_slot(struct builder *b, uint64_t bytes,
                                                uint32_t stack_id, uint16_t device)
{
    const uint64_t a_extent = BUILDER_LIVE_EXTENT / sizeof(struct vg_live_slot);
    const int extent = b->slots_used < a_extent ? 1 : 3;
    if (b->slots_used >= 2 * a_extent)
        abort();
    struct vg_live_slot *const slots = (void *)(b->bytes + b->header.extents[extent].offset_bytes);
    struct vg_live_slot *const slot = &slots[b->slots_used++ % a_extent];
    slot->address = 0x7f0000000000 + b->slots_used * 0x200000;
    slot->bytes = bytes;
    slot->stack_id = stack_id;
    slot->device = device;
    slot->kind = VG_KIND_DEVICE;
    b->header.live_slots = b->slots_used;
    return slot;
}

/* Writes the first `length` bytes of the file. */
static inline void builder_write(const struct builder *b, const char *path, size_t length)
{
    FILE *const file = fopen(path, "w");
    if (!file || fwrite(b->bytes, 1, length, file) != length || fclose(file) != 0)
        abort();
}

#endif
