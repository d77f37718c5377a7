#include "arena.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "options.h"
#include "shared.h"
#include "state.h"
#include "tree.h"

#define ADDRESSES_PER_BYTE 16 /* reservation / simulated memory: room for any fragmentation */
#define MAX_RESERVATION    (64ull << 40)
#define LOW_FIRST          (256ull << 20) /* below live the binaries that are not PIE */
#define LOW_END            (4ull << 30)

/* A run of free blocks. Neighbouring runs are always merged. */
struct run {
    struct tree_node by_base, by_size;
    uint64_t base, bytes;
};

static int order_by_base(const struct tree_node *a, const struct tree_node *b)
{
    uint64_t x = TREE_ENTRY(a, const struct run, by_base)->base;
    uint64_t y = TREE_ENTRY(b, const struct run, by_base)->base;
    return (x > y) - (x < y);
}

static int order_by_size(const struct tree_node *a, const struct tree_node *b)
{
    const struct run *x = TREE_ENTRY(a, const struct run, by_size);
    const struct run *y = TREE_ENTRY(b, const struct run, by_size);
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return (x->base > y->base) - (x->base < y->base);
}

static struct tree free_by_base = { NULL, order_by_base };
static struct tree free_by_size = { NULL, order_by_size };
static uint64_t arena_base, arena_bytes;
static void **block_tags;

static void add_run(struct run *run)
{
    tree_insert(&free_by_base, &run->by_base);
    tree_insert(&free_by_size, &run->by_size);
}

static void drop_run(struct run *run)
{
    tree_remove(&free_by_base, &run->by_base);
    tree_remove(&free_by_size, &run->by_size);
}

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

static int reserve(void)
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
    uint64_t blocks = bytes / BLOCK_BYTES;
    void *tags = mmap(NULL, blocks * sizeof(void *), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    struct run *run = malloc(sizeof(*run));
    if (tags == MAP_FAILED || run == NULL) {
        munmap(pages, bytes + BLOCK_BYTES);
        free(run);
        return -ENOMEM;
    }
    block_tags = tags;
    arena_base = ((uint64_t)(uintptr_t)pages + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
    arena_bytes = bytes;
    run->base = arena_base;
    run->bytes = arena_bytes;
    add_run(run);
    return 0;
}

uint64_t arena_take(uint64_t bytes)
{
    if (arena_base == 0 && reserve() != 0)
        return 0;
    struct run wanted = { .bytes = bytes };
    struct tree_node *node = tree_ceiling(&free_by_size, &wanted.by_size);
    if (node == NULL)
        return 0;
    struct run *run = TREE_ENTRY(node, struct run, by_size);
    drop_run(run);
    uint64_t base = run->base;
    run->base += bytes;
    run->bytes -= bytes;
    if (run->bytes > 0)
        add_run(run);
    else
        free(run);
    return base;
}

uint64_t arena_take_low(uint64_t bytes)
{
    for (uint64_t base = LOW_FIRST; base + bytes <= LOW_END; base += BLOCK_BYTES)
        if (map_device_pages(base, bytes, MAP_FIXED_NOREPLACE) != NULL)
            return base;
    return 0;
}

/* The free run that contains or ends at `address`, or else NULL. */
static struct run *run_before(uint64_t address)
{
    struct run key = { .base = address };
    struct tree_node *node = tree_floor(&free_by_base, &key.by_base);
    struct run *run = node != NULL ? TREE_ENTRY(node, struct run, by_base) : NULL;
    return run != NULL && run->base + run->bytes == address ? run : NULL;
}

static struct run *run_at(uint64_t address)
{
    struct run key = { .base = address };
    struct tree_node *node = tree_floor(&free_by_base, &key.by_base);
    struct run *run = node != NULL ? TREE_ENTRY(node, struct run, by_base) : NULL;
    return run != NULL && run->base == address ? run : NULL;
}

void arena_give(uint64_t base, uint64_t bytes)
{
    void *pages = (void *)(uintptr_t)base;
    if (base < LOW_END) {
        munmap(pages, bytes);
        return;
    }
    madvise(pages, bytes, MADV_DONTNEED);

    struct run *before = run_before(base), *after = run_at(base + bytes);
    struct run *run = before != NULL ? before : after;
    if (run == NULL)
        run = calloc(1, sizeof(*run));
    if (run == NULL)
        return; /* out of host memory: these addresses are lost, nothing else */
    if (before != NULL)
        drop_run(before);
    if (after != NULL)
        drop_run(after);
    uint64_t end = after != NULL ? after->base + after->bytes : base + bytes;
    run->base = before != NULL ? before->base : base;
    run->bytes = end - run->base;
    if (before != NULL && after != NULL)
        free(after);
    add_run(run);
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
