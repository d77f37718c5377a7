#include "small.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arena.h"
#include "ipc.h"
#include "options.h"
#include "shared.h"

#define UNITS   (BLOCK_BYTES / UNIT_BYTES) /* per block */
#define WORDS   (UNITS / 64)
#define NO_UNIT 0
/* What is kept of an allocation: a request has at most 20 bits, its serial 42, and one is a mark.
 */
#define BYTES_OF(use)  ((use)&0x1fffff)
#define SERIAL_OF(use) ((use) >> 21 & 0x3ffffffffff)
#define SYNC_MARK      (1ull << 63)

/* Runs of free units are kept in lists by their exact length, linked through (block, unit) names.
 * A name is block index * UNITS + unit + 1, so that NO_UNIT is none. */
union unit {
    struct {
        uint32_t previous, next;
    } free;       /* at the first unit of a free run */
    uint64_t use; /* at the first unit of an allocation: serial and requested bytes */
};

struct block {
    uint64_t base;
    struct small_heap *heap;
    uint32_t index;             /* in the heap's blocks */
    uint16_t length[UNITS];     /* of the run, at its first unit, and at the last of a free one */
    uint64_t used_first[WORDS]; /* bit per unit: an allocation begins here */
    uint64_t free_first[WORDS]; /* a free run begins here */
    uint64_t free_last[WORDS];  /* a free run ends here */
    union unit units[UNITS];
};

struct small_heap {
    int device;
    void *owner;
    struct block **blocks; /* with holes */
    uint32_t block_count, block_room;
    uint32_t hole_hint; /* no hole below it */
    uint32_t heads[UNITS + 1];
    uint64_t nonempty[WORDS + 1]; /* bit per length: its list has a run */
};

/* One empty block with its pages is kept back from the host (not from the simulated device), so
 * that a program which allocates and frees one small thing again and again causes no system calls.
 */
static struct block *spare;

static bool test_bit(const uint64_t *bits, uint32_t i)
{
    return bits[i / 64] >> (i % 64) & 1;
}

static void set_bit(uint64_t *bits, uint32_t i)
{
    bits[i / 64] |= 1ull << (i % 64);
}

static void clear_bit(uint64_t *bits, uint32_t i)
{
    bits[i / 64] &= ~(1ull << (i % 64));
}

static uint32_t name_of(const struct block *block, uint32_t unit)
{
    return block->index * (uint32_t)UNITS + unit + 1;
}

static union unit *unit_named(const struct small_heap *heap, uint32_t name)
{
    return &heap->blocks[(name - 1) / UNITS]->units[(name - 1) % UNITS];
}

static void add_free_run(struct block *block, uint32_t first, uint32_t length)
{
    struct small_heap *heap = block->heap;
    block->length[first] = (uint16_t)length;
    block->length[first + length - 1] = (uint16_t)length;
    set_bit(block->free_first, first);
    set_bit(block->free_last, first + length - 1);

    uint32_t name = name_of(block, first), head = heap->heads[length];
    block->units[first].free.previous = NO_UNIT;
    block->units[first].free.next = head;
    if (head != NO_UNIT)
        unit_named(heap, head)->free.previous = name;
    heap->heads[length] = name;
    set_bit(heap->nonempty, length);
}

static void drop_free_run(struct block *block, uint32_t first, uint32_t length)
{
    struct small_heap *heap = block->heap;
    clear_bit(block->free_first, first);
    clear_bit(block->free_last, first + length - 1);

    union unit *unit = &block->units[first];
    if (unit->free.next != NO_UNIT)
        unit_named(heap, unit->free.next)->free.previous = unit->free.previous;
    if (unit->free.previous != NO_UNIT)
        unit_named(heap, unit->free.previous)->free.next = unit->free.next;
    else
        heap->heads[length] = unit->free.next;
    if (heap->heads[length] == NO_UNIT)
        clear_bit(heap->nonempty, length);
}

/* The shortest length of at least `length` that has a free run; 0 if there is none. */
static uint32_t best_length(const struct small_heap *heap, uint32_t length)
{
    uint32_t word = length / 64;
    uint64_t bits = heap->nonempty[word] & (~0ull << (length % 64));
    while (bits == 0) {
        if (++word > WORDS)
            return 0;
        bits = heap->nonempty[word];
    }
    return word * 64 + (uint32_t)__builtin_ctzll(bits);
}

struct small_heap *small_heap_create(int device, void *owner)
{
    struct small_heap *heap = calloc(1, sizeof(*heap));
    if (heap != NULL) {
        heap->device = device;
        heap->owner = owner;
    }
    return heap;
}

void *small_heap_owner(const struct small_heap *heap)
{
    return heap->owner;
}

static int grow_block_list(struct small_heap *heap)
{
    uint32_t room = heap->block_room * 2 + 8;
    struct block **blocks = realloc(heap->blocks, room * sizeof(*blocks));
    if (blocks == NULL)
        return -ENOMEM;
    heap->blocks = blocks;
    heap->block_room = room;
    return 0;
}

/* A block with its addresses, from the spare or anew. */
static struct block *new_block(void)
{
    struct block *block = spare;
    if (block != NULL) {
        spare = NULL;
        return block;
    }
    block = calloc(1, sizeof(*block));
    if (block != NULL)
        block->base = arena_take(BLOCK_BYTES);
    if (block == NULL || block->base != 0)
        return block;
    free(block);
    return NULL;
}

static void end_block(struct block *block)
{
    ipc_forget(block->base, BLOCK_BYTES);
    if (spare == NULL) {
        spare = block;
        return;
    }
    arena_give(block->base, BLOCK_BYTES);
    free(block);
}

static int add_block(struct small_heap *heap)
{
    uint32_t index = heap->hole_hint;
    while (index < heap->block_count && heap->blocks[index] != NULL)
        index++;
    if (index == heap->block_room && grow_block_list(heap) != 0)
        return -ENOMEM;
    if (shared_take(heap->device, BLOCK_BYTES) != 0)
        return -ENOMEM;
    struct block *block = new_block();
    if (block == NULL) {
        shared_give(heap->device, BLOCK_BYTES);
        return -ENOMEM;
    }
    block->heap = heap;
    block->index = index;
    heap->blocks[index] = block;
    heap->hole_hint = index + 1;
    if (index == heap->block_count)
        heap->block_count++;
    arena_set_block_tag(block->base, block);
    add_free_run(block, 0, UNITS);
    return 0;
}

static void remove_block(struct block *block)
{
    struct small_heap *heap = block->heap;
    drop_free_run(block, 0, UNITS);
    heap->blocks[block->index] = NULL;
    if (block->index < heap->hole_hint)
        heap->hole_hint = block->index;
    arena_set_block_tag(block->base, NULL);
    shared_give(heap->device, BLOCK_BYTES);
    end_block(block);
}

void small_heap_destroy(struct small_heap *heap)
{
    for (uint32_t i = 0; i < heap->block_count; i++) {
        struct block *block = heap->blocks[i];
        if (block == NULL)
            continue;
        arena_set_block_tag(block->base, NULL);
        arena_give(block->base, BLOCK_BYTES);
        shared_give(heap->device, BLOCK_BYTES);
        free(block);
    }
    free(heap->blocks);
    free(heap);
}

int small_take(struct small_heap *heap, uint64_t bytes, uint64_t serial, uint64_t *address)
{
    uint32_t length = (uint32_t)((bytes + UNIT_BYTES - 1) / UNIT_BYTES);
    uint32_t found = best_length(heap, length);
    if (found == 0) {
        int result = add_block(heap);
        if (result != 0)
            return result;
        found = UNITS;
    }
    uint32_t name = heap->heads[found];
    struct block *block = heap->blocks[(name - 1) / UNITS];
    uint32_t first = (name - 1) % UNITS;
    drop_free_run(block, first, found);
    if (found > length)
        add_free_run(block, first + length, found - length);
    block->length[first] = (uint16_t)length;
    set_bit(block->used_first, first);
    block->units[first].use = serial << 21 | bytes;
    *address = block->base + (uint64_t)first * UNIT_BYTES;
    return 0;
}

int small_give(uint64_t address)
{
    struct block *block = arena_block_tag(address);
    if (block == NULL || (address - block->base) % UNIT_BYTES != 0)
        return -ENOENT;
    uint32_t first = (uint32_t)((address - block->base) / UNIT_BYTES);
    if (!test_bit(block->used_first, first))
        return -ENOENT;

    clear_bit(block->used_first, first);
    uint32_t length = block->length[first], after = first + length;
    if (after < UNITS && test_bit(block->free_first, after)) {
        uint32_t more = block->length[after];
        drop_free_run(block, after, more);
        length += more;
    }
    if (first > 0 && test_bit(block->free_last, first - 1)) {
        uint32_t more = block->length[first - 1];
        drop_free_run(block, first - more, more);
        first -= more;
        length += more;
    }
    add_free_run(block, first, length);
    if (length == UNITS)
        remove_block(block);
    return 0;
}

/* The last unit at or before `unit` where an allocation begins; UNITS if there is none. */
static uint32_t last_used_first(const struct block *block, uint32_t unit)
{
    uint32_t word = unit / 64;
    uint64_t bits = block->used_first[word] & (~0ull >> (63 - unit % 64));
    while (bits == 0) {
        if (word-- == 0)
            return UNITS;
        bits = block->used_first[word];
    }
    return word * 64 + 63 - (uint32_t)__builtin_clzll(bits);
}

bool small_find(uint64_t address, struct small_allocation *found)
{
    const struct block *block = arena_block_tag(address);
    if (block == NULL)
        return false;
    uint32_t unit = (uint32_t)((address - block->base) / UNIT_BYTES);
    uint32_t first = last_used_first(block, unit);
    if (first == UNITS || unit >= first + block->length[first])
        return false;
    found->base = block->base + (uint64_t)first * UNIT_BYTES;
    found->bytes = BYTES_OF(block->units[first].use);
    found->serial = SERIAL_OF(block->units[first].use);
    found->sync_memops = (block->units[first].use & SYNC_MARK) != 0;
    found->heap = block->heap;
    return true;
}

void small_set_sync_memops(uint64_t address, bool set)
{
    struct block *block = arena_block_tag(address);
    uint32_t first = last_used_first(block, (uint32_t)((address - block->base) / UNIT_BYTES));
    uint64_t use = block->units[first].use & ~SYNC_MARK;
    block->units[first].use = set ? use | SYNC_MARK : use;
}
