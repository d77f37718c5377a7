/* Memory for the library's own tables: straight from the kernel, so that the program's malloc
 * (which may be what called us) is never entered. Not thread-safe: its owner's lock guards it. */
#ifndef VRAMGUARD_BASE_ARENA_H
#define VRAMGUARD_BASE_ARENA_H

#include <stddef.h>

struct vg_arena {
    char *next, *end; /* of the current chunk */
};

/* `size_bytes` of zeroed memory, 16-byte aligned, or NULL. Large pieces are mappings of their own.
 */
void *vg_arena_alloc(struct vg_arena *arena, size_t size_bytes);

/* Gives back a piece of exactly `size_bytes`. Small ones are forgotten: tables that double waste at
 * most as much as they use. */
void vg_arena_free(struct vg_arena *arena, void *piece, size_t size_bytes);

#endif
