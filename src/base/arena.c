#include "base/arena.h"

#include <errno.h>
#include <sys/mman.h>

enum {
    CHUNK_BYTES = 64 * 1024,
    OWN_MAPPING_BYTES = 32 * 1024,
    HUGE_BYTES = 4 * 1024 * 1024, /* from here on huge pages are asked for */
};

static void *map_pages(size_t size_bytes)
{
    const int saved_errno = errno;
    void *const memory =
        mmap(NULL, size_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED && size_bytes >= HUGE_BYTES)
        madvise(memory, size_bytes, MADV_HUGEPAGE); /* random access: fewer TLB misses */
    errno = saved_errno;
    return memory == MAP_FAILED ? NULL : memory;
}

void *vg_arena_alloc(struct vg_arena *arena, size_t size_bytes)
{
    size_bytes = (size_bytes + 15) & ~(size_t)15;
    if (size_bytes >= OWN_MAPPING_BYTES)
        return map_pages(size_bytes);
    if ((size_t)(arena->end - arena->next) < size_bytes) {
        char *const chunk = map_pages(CHUNK_BYTES);
        if (!chunk)
            return NULL;
        arena->next = chunk;
        arena->end = chunk + CHUNK_BYTES;
    }
    void *const piece = arena->next;
    arena->next += size_bytes;
    return piece;
}

void vg_arena_free(struct vg_arena *arena, void *piece, size_t size_bytes)
{
    (void)arena;
    size_bytes = (size_bytes + 15) & ~(size_t)15;
    if (size_bytes >= OWN_MAPPING_BYTES) {
        const int saved_errno = errno;
        munmap(piece, size_bytes);
        errno = saved_errno;
    }
}
