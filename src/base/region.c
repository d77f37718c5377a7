#include "base/region.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "base/text.h"

enum { ALIGNMENT_BYTES = 16, CHUNK_BYTES = 128 * 1024, CHUNK_MAX_BYTES = 4 * 1024 * 1024 };

/* In front of each mapping. */
struct vg_region_chunk {
    struct vg_region_chunk *older;
    size_t size_bytes;
} __attribute__((aligned(ALIGNMENT_BYTES)));

struct vg_region vg_region_over(void *first, size_t first_bytes)
{
    return (struct vg_region){ .next = first,
                               .end = first ? (char *)first + first_bytes : NULL,
                               .first = first,
                               .first_bytes = first_bytes };
}

/* Chunks grow with what has been taken, so that a large region takes few of them. */
static size_t next_chunk_bytes(const struct vg_region *region, size_t needed_bytes)
{
    size_t bytes = region->chunks ? 2 * region->chunks->size_bytes : CHUNK_BYTES;
    if (bytes > CHUNK_MAX_BYTES)
        bytes = CHUNK_MAX_BYTES;
    return bytes > needed_bytes ? bytes : needed_bytes;
}

static bool map_chunk(struct vg_region *region, size_t needed_bytes)
{
    const int saved_errno = errno;
    const size_t bytes = next_chunk_bytes(region, needed_bytes + sizeof(struct vg_region_chunk));
    void *const memory =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    errno = saved_errno;
    if (memory == MAP_FAILED)
        return false;
    struct vg_region_chunk *const chunk = memory;
    *chunk = (struct vg_region_chunk){ .older = region->chunks, .size_bytes = bytes };
    region->chunks = chunk;
    region->next = (char *)(chunk + 1);
    region->end = (char *)memory + bytes;
    return true;
}

void *vg_region_alloc(struct vg_region *region, size_t size_bytes)
{
    if (size_bytes > SIZE_MAX / 2) {
        region->exhausted = true;
        return NULL;
    }
    size_bytes = (size_bytes + ALIGNMENT_BYTES - 1) & ~(size_t)(ALIGNMENT_BYTES - 1);
    if ((size_t)(region->end - region->next) < size_bytes && !map_chunk(region, size_bytes)) {
        region->exhausted = true;
        return NULL;
    }
    void *const piece = region->next;
    region->next += size_bytes;
    /* Mappings are zeroed; the caller's memory may have been used before. */
    if ((uintptr_t)piece - (uintptr_t)region->first < region->first_bytes)
        memset(piece, 0, size_bytes);
    return piece;
}

void *vg_region_array(struct vg_region *region, size_t count, size_t size_bytes)
{
    if (count == 0)
        return NULL;
    if (size_bytes > 0 && count > SIZE_MAX / size_bytes) {
        region->exhausted = true;
        return NULL;
    }
    return vg_region_alloc(region, count * size_bytes);
}

const char *vg_region_text(struct vg_region *region, const char *text, size_t length)
{
    char *const copy = length > 0 ? vg_region_alloc(region, length + 1) : NULL;
    if (!copy)
        return "";
    memcpy(copy, text, length);
    vg_text_repair(copy, length + 1);
    return copy;
}

const char *vg_region_safe_text(struct vg_region *region, const char *text)
{
    return vg_text_is_safe(text) ? text : vg_region_text(region, text, strlen(text));
}

const char *vg_region_string(struct vg_region *region, const char *text)
{
    return vg_region_text(region, text ? text : "", text ? strlen(text) : 0);
}

void vg_region_release(struct vg_region *region)
{
    const int saved_errno = errno;
    while (region->chunks) {
        struct vg_region_chunk *const chunk = region->chunks;
        region->chunks = chunk->older;
        munmap(chunk, chunk->size_bytes);
    }
    *region = vg_region_over(region->first, region->first_bytes);
    errno = saved_errno;
}
