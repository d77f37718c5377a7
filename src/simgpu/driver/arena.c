#include "arena.h"

#include <errno.h>
#include <sys/mman.h>

#include "ipc.h"
#include "options.h"
#include "shared.h"
#include "space.h"

#define ADDRESSES_PER_BYTE 16 /* reservation / simulated memory: room for any fragmentation */
#define MAX_RESERVATION    (64ull << 40)
#define LOW_FIRST          (256ull << 20) /* below live the binaries that are not PIE */
#define LOW_END            (4ull << 30)

static struct space free_space;
static uint64_t arena_base, arena_bytes;
static void **block_tags;

/* No huge pages: one touched byte shall not cost 2 MiB of host memory. Not inherited: device memory
 * is not there in a forked child. */
static void *map_device_pages(uint64_t hint, uint64_t bytes, int flags)
{
    void *pages = mmap((void *)(uintptr_t)hint, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
    if (pages == MAP_FAILED)
        return NULL;
    madvise(pages, bytes, MADV_NOHUGEPAGE);
    madvise(pages, bytes, MADV_DONTFORK);
    return pages;
}

static int reserve_addresses(void)
{
    uint64_t simulated = 0;
    for (int i = 0; i < shared_device_count(); i++)
        simulated += shared_total_bytes(i);
    uint64_t bytes = simulated * ADDRESSES_PER_BYTE;
    if (bytes > MAX_RESERVATION)
        bytes = MAX_RESERVATION;

    void *pages = NULL;
    for (; bytes >= BLOCK_BYTES; bytes = bytes / 2 / BLOCK_BYTES * BLOCK_BYTES) {
        pages = map_device_pages(0, bytes + BLOCK_BYTES, 0);
        if (pages != NULL)
            break;
    }
    if (pages == NULL)
        return -ENOMEM;
    uint64_t base = ((uint64_t)(uintptr_t)pages + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
    void *tags = mmap(NULL, bytes / BLOCK_BYTES * sizeof(void *), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    space_init(&free_space);
    if (tags == MAP_FAILED || space_give(&free_space, base, bytes) != 0) {
        munmap(pages, bytes + BLOCK_BYTES);
        return -ENOMEM;
    }
    block_tags = tags;
    arena_base = base;
    arena_bytes = bytes;
    return 0;
}

uint64_t arena_take(uint64_t bytes)
{
    uint64_t base;
    if (arena_base == 0 && reserve_addresses() != 0)
        return 0;
    return space_take(&free_space, bytes, &base) == 0 ? base : 0;
}

uint64_t arena_take_low(uint64_t bytes)
{
    for (uint64_t base = LOW_FIRST; base + bytes <= LOW_END; base += BLOCK_BYTES)
        if (map_device_pages(base, bytes, MAP_FIXED_NOREPLACE) != NULL)
            return base;
    return 0;
}

void arena_give(uint64_t base, uint64_t bytes)
{
    void *pages = (void *)(uintptr_t)base;
    ipc_forget(base, bytes);
    if (base < LOW_END) {
        munmap(pages, bytes);
        return;
    }
    madvise(pages, bytes, MADV_DONTNEED);
    space_give(&free_space, base, bytes); /* out of host memory: these addresses are lost */
}

void *arena_block_tag(uint64_t address)
{
    if (address - arena_base >= arena_bytes)
        return NULL;
    return block_tags[(address - arena_base) / BLOCK_BYTES];
}

void arena_set_block_tag(uint64_t address, void *tag)
{
    block_tags[(address - arena_base) / BLOCK_BYTES] = tag;
}
