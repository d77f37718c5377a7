#include "record/stack_table.h"

#include <string.h>

#define VG_HASH_ARENA (&table->arena)
#include "base/hashing.h"

struct vg_stack_node {
    uint64_t hash;
    uint32_t id;
    UT_hash_handle hh;
};

uint32_t vg_stack_table_find(const struct vg_stack_table *table, uint64_t hash)
{
    struct vg_stack_node *node = NULL;
    HASH_FIND(hh, table->by_hash, &hash, sizeof hash, node);
    return node ? node->id : 0;
}

static int make_room(struct vg_stack_table *table)
{
    if (table->count < table->cap)
        return 0;
    const uint32_t cap = table->cap ? table->cap * 2 : 1024;
    uint64_t *const offsets = vg_arena_alloc(&table->arena, cap * sizeof *offsets);
    if (!offsets)
        return -1;
    if (table->cap) {
        memcpy(offsets, table->offsets, table->cap * sizeof *offsets);
        vg_arena_free(&table->arena, table->offsets, table->cap * sizeof *offsets);
    }
    table->offsets = offsets;
    table->cap = cap;
    return 0;
}

uint32_t vg_stack_table_add(struct vg_stack_table *table, uint64_t hash, uint64_t offset_bytes)
{
    if (make_room(table) != 0)
        return 0;
    struct vg_stack_node *const node = vg_arena_alloc(&table->arena, sizeof *node);
    if (!node)
        return 0;
    node->hash = hash;
    node->id = table->count + 1;
    HASH_ADD(hh, table->by_hash, hash, sizeof node->hash, node);
    if (!node->hh.tbl)
        return 0;
    table->offsets[table->count++] = offset_bytes;
    return node->id;
}
