/* Memory that is given back all at once: for what is built, shown and forgotten. Pages come
 * straight from the kernel, so that the program's malloc is never entered. One thread at a time. */
#ifndef VRAMGUARD_BASE_REGION_H
#define VRAMGUARD_BASE_REGION_H

#include <stdbool.h>
#include <stddef.h>

struct vg_region_chunk;

struct vg_region {
    char *next, *end;               /* what is left of the present piece of memory */
    struct vg_region_chunk *chunks; /* mapped ones, the latest first */
    char *first;                    /* the caller's memory, which comes first; may be NULL */
    size_t first_bytes;
    bool exhausted; /* something could not be had */
};

/* A region that begins with `first_bytes` of the caller's memory, 16-byte aligned, which outlives
 * it; NULL and 0: it has none. So much of it works when the kernel has no memory to give. */
struct vg_region vg_region_over(void *first, size_t first_bytes);

/* `size_bytes` of zeroed memory, 16-byte aligned, valid until the region is released. NULL when
 * there is none; then `exhausted` is set. errno is preserved. */
void *vg_region_alloc(struct vg_region *region, size_t size_bytes);

/* The same for an array; NULL also when its size does not fit a size_t. NULL for a count of 0. */
void *vg_region_array(struct vg_region *region, size_t count, size_t size_bytes);

/* A copy of `length` bytes at `text` with a NUL behind them, safe to print (vg_text_repair). ""
 * when there is no memory. Never NULL. */
const char *vg_region_text(struct vg_region *region, const char *text, size_t length);

/* The same of a NUL-terminated text; "" for NULL. */
const char *vg_region_string(struct vg_region *region, const char *text);

/* `text` itself (NUL terminated, not NULL) when it is safe to print, else a copy that is. */
const char *vg_region_safe_text(struct vg_region *region, const char *text);

/* Gives all of it back; the region is as new. errno is preserved. */
void vg_region_release(struct vg_region *region);

#endif
