/* What a pool is made of: chunks of the device's memory, cut into pieces ("CUDA Driver API",
 * section "Stream Ordered Memory Allocator"). A freed piece stays with the pool; chunks that have
 * become free as a whole go back to the device when the pool is trimmed, or synchronised while it
 * holds more than its release threshold. */
#include "pool.h"

#include <stdlib.h>

#include "arena.h"
#include "memory.h"
#include "pool_internal.h"
#include "range.h"
#include "shared.h"

#define PIECE_BYTES 512u

static struct pool *pools; /* all that live, linked by `next` */

static int order_by_base(const struct tree_node *a, const struct tree_node *b)
{
    uint64_t x = TREE_ENTRY(a, const struct piece, by_base)->base;
    uint64_t y = TREE_ENTRY(b, const struct piece, by_base)->base;
    return (x > y) - (x < y);
}

static int order_by_size(const struct tree_node *a, const struct tree_node *b)
{
    const struct piece *x = TREE_ENTRY(a, const struct piece, by_size);
    const struct piece *y = TREE_ENTRY(b, const struct piece, by_size);
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? -1 : 1;
    return (x->base > y->base) - (x->base < y->base);
}

struct pool *pool_create(int ordinal, int device)
{
    struct pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL)
        return NULL;
    pool->handle = (CUmemoryPool)(uintptr_t)object_add(OBJECT_POOL, pool, NULL);
    if (pool->handle == NULL) {
        free(pool);
        return NULL;
    }
    pool->ordinal = ordinal;
    pool->device = device;
    pool->free_by_base = (struct tree){ NULL, order_by_base };
    pool->free_by_size = (struct tree){ NULL, order_by_size };
    for (int i = 0; i < REUSE_FLAGS; i++)
        pool->reuse[i] = 1;
    pool->access[ordinal] = ACCESS_READ_WRITE;
    pool->next = pools;
    pools = pool;
    return pool;
}

static void end_pool(struct pool *pool)
{
    struct pool **link = &pools;
    while (*link != pool)
        link = &(*link)->next;
    *link = pool->next;
    free(pool);
}

void pool_destroy(struct pool *pool)
{
    object_remove((uint64_t)(uintptr_t)pool->handle);
    pool->destroyed = true;
    pool_trim(pool, 0);
    if (pool->chunks == NULL)
        end_pool(pool);
}

static void add_free(struct pool *pool, struct piece *piece)
{
    tree_insert(&pool->free_by_base, &piece->by_base);
    tree_insert(&pool->free_by_size, &piece->by_size);
    if (piece->bytes == piece->chunk->bytes) {
        piece->chunk->whole = piece;
        pool->whole_chunks++;
    }
}

static void drop_free(struct pool *pool, struct piece *piece)
{
    tree_remove(&pool->free_by_base, &piece->by_base);
    tree_remove(&pool->free_by_size, &piece->by_size);
    if (piece->bytes == piece->chunk->bytes) {
        piece->chunk->whole = NULL;
        pool->whole_chunks--;
    }
}

static void raise_high(uint64_t current, uint64_t *high)
{
    if (current > *high)
        *high = current;
}

/* Adds a chunk of `bytes`, whole blocks, as one free piece. */
static int add_chunk(struct pool *pool, uint64_t bytes)
{
    if (pool->max_bytes != 0 && bytes > pool->max_bytes - pool->reserved_bytes)
        return -1;
    struct chunk *chunk = calloc(1, sizeof(*chunk));
    struct piece *piece = calloc(1, sizeof(*piece));
    bool charged = chunk != NULL && piece != NULL && shared_take(pool->device, bytes) == 0;
    uint64_t base = charged ? arena_take(bytes) : 0;
    if (base == 0) {
        if (charged)
            shared_give(pool->device, bytes);
        free(chunk);
        free(piece);
        return -1;
    }
    *chunk = (struct chunk){ .base = base, .bytes = bytes, .next = pool->chunks };
    pool->chunks = chunk;
    piece->base = base;
    piece->bytes = bytes;
    piece->chunk = chunk;
    piece->pool = pool;
    add_free(pool, piece);
    pool->reserved_bytes += bytes;
    raise_high(pool->reserved_bytes, &pool->reserved_high_bytes);
    return 0;
}

void pool_trim(struct pool *pool, uint64_t keep_bytes)
{
    struct chunk **link = &pool->chunks;
    while (*link != NULL && pool->whole_chunks > 0 && pool->reserved_bytes > keep_bytes) {
        struct chunk *chunk = *link;
        if (chunk->whole == NULL) {
            link = &chunk->next;
            continue;
        }
        *link = chunk->next;
        struct piece *piece = chunk->whole;
        drop_free(pool, piece);
        arena_give(chunk->base, chunk->bytes);
        shared_give(pool->device, chunk->bytes);
        pool->reserved_bytes -= chunk->bytes;
        free(piece);
        free(chunk);
    }
}

/* The smallest free piece of at least `bytes`, or NULL. */
static struct piece *find_free(const struct pool *pool, uint64_t bytes)
{
    struct piece wanted = { .bytes = bytes };
    struct tree_node *node = tree_ceiling(&pool->free_by_size, &wanted.by_size);
    return node != NULL ? TREE_ENTRY(node, struct piece, by_size) : NULL;
}

/* A free piece of at least `bytes`, of a new chunk if need be. The real allocator can map free
 * memory of several chunks together; giving whole free chunks back first comes to the same. */
static struct piece *get_free(struct pool *pool, uint64_t bytes)
{
    struct piece *piece = find_free(pool, bytes);
    if (piece != NULL)
        return piece;
    uint64_t exact = memory_round_up(bytes);
    if (exact == 0)
        return NULL;
    if (exact < CHUNK_BYTES && add_chunk(pool, CHUNK_BYTES) == 0)
        return find_free(pool, bytes);
    if (add_chunk(pool, exact) != 0) {
        pool_trim(pool, 0);
        if (add_chunk(pool, exact) != 0)
            return NULL;
    }
    return find_free(pool, bytes);
}

CUresult pool_take(struct pool *pool, struct context *context, uint64_t bytes, CUdeviceptr *address)
{
    uint64_t rounded = (bytes + PIECE_BYTES - 1) / PIECE_BYTES * PIECE_BYTES;
    if (rounded < bytes)
        return CUDA_ERROR_OUT_OF_MEMORY;
    struct range *range = calloc(1, sizeof(*range));
    struct piece *rest = calloc(1, sizeof(*rest));
    struct piece *piece = range != NULL && rest != NULL ? get_free(pool, rounded) : NULL;
    if (piece == NULL) {
        free(range);
        free(rest);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    drop_free(pool, piece);
    if (piece->bytes > rounded) {
        *rest = *piece;
        rest->base += rounded;
        rest->bytes -= rounded;
        piece->bytes = rounded;
        add_free(pool, rest);
    } else {
        free(rest);
    }
    pool->used_bytes += rounded;
    raise_high(pool->used_bytes, &pool->used_high_bytes);
    range->kind = RANGE_POOL;
    range->base = piece->base;
    range->bytes = bytes;
    range->extent_bytes = rounded;
    range->serial = range_new_serial();
    range->context = context;
    range->detail = piece;
    range_add(range);
    *address = range->base;
    return CUDA_SUCCESS;
}

/* Merges a free neighbour of the same chunk into `piece`. */
static void absorb_adjacent(struct pool *pool, struct piece *piece, struct piece *neighbour)
{
    drop_free(pool, neighbour);
    if (neighbour->base < piece->base)
        piece->base = neighbour->base;
    piece->bytes += neighbour->bytes;
    free(neighbour);
}

void pool_end_range(struct range *range)
{
    struct piece *piece = range->detail;
    struct pool *pool = piece->pool;
    range_remove(range);
    free(range);
    pool->used_bytes -= piece->bytes;

    struct tree_node *node = tree_floor(&pool->free_by_base, &piece->by_base);
    struct piece *before = node != NULL ? TREE_ENTRY(node, struct piece, by_base) : NULL;
    if (before != NULL && before->chunk == piece->chunk &&
        before->base + before->bytes == piece->base)
        absorb_adjacent(pool, piece, before);
    node = tree_ceiling(&pool->free_by_base, &piece->by_base);
    struct piece *after = node != NULL ? TREE_ENTRY(node, struct piece, by_base) : NULL;
    if (after != NULL && after->chunk == piece->chunk && piece->base + piece->bytes == after->base)
        absorb_adjacent(pool, piece, after);
    add_free(pool, piece);

    if (pool->destroyed) {
        pool_trim(pool, 0);
        if (pool->chunks == NULL)
            end_pool(pool);
    }
}

CUmemoryPool pool_of_range(const struct range *range)
{
    return ((const struct piece *)range->detail)->pool->handle;
}

void pool_synchronised(void)
{
    for (struct pool *pool = pools; pool != NULL; pool = pool->next)
        if (pool->whole_chunks > 0 && pool->reserved_bytes > pool->threshold_bytes)
            pool_trim(pool, pool->threshold_bytes);
}

void pool_context_ended(const struct context *context)
{
    for (struct pool *pool = pools; pool != NULL; pool = pool->next)
        if (pool->device == context->device)
            pool_trim(pool, 0);
}
