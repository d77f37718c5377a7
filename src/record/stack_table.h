/* Which stacks are already in the journal: hash of the frames -> id, id -> place of the record. The
 * same for code objects, by their identity. */
#ifndef VRAMGUARD_RECORD_STACK_TABLE_H
#define VRAMGUARD_RECORD_STACK_TABLE_H

#include <stdint.h>

#include "base/arena.h"
#include "base/lock.h"

struct vg_stack_node;

struct vg_stack_table {
    struct vg_lock lock;           /* guards all of this; held while a new stack is appended */
    struct vg_stack_node *by_hash; /* uthash head */
    uint64_t *offsets;             /* [id - 1]: of the STACK payload in the journal area */
    uint32_t count, cap;
    struct vg_arena arena;
};

/* Two different stacks are told apart by 64 bits of hash alone: among a million stacks the chance
 * that any two share one is 3 in 10^8. */

/* Id of the stack with this hash, or 0. The table's lock is held by the caller. */
uint32_t vg_stack_table_find(const struct vg_stack_table *table, uint64_t hash);

/* Adds a stack whose record is at journal offset `offset_bytes`. The caller holds the lock and has
 * seen find return 0. Returns the new id, or 0 when memory is short. */
uint32_t vg_stack_table_add(struct vg_stack_table *table, uint64_t hash, uint64_t offset_bytes);

#endif
