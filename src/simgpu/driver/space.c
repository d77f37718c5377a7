#include "space.h"

#include <errno.h>
#include <stdlib.h>

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

void space_init(struct space *space)
{
    space->by_base = (struct tree){ NULL, order_by_base };
    space->by_size = (struct tree){ NULL, order_by_size };
}

static void add_run(struct space *space, struct run *run)
{
    tree_insert(&space->by_base, &run->by_base);
    tree_insert(&space->by_size, &run->by_size);
}

static void drop_run(struct space *space, struct run *run)
{
    tree_remove(&space->by_base, &run->by_base);
    tree_remove(&space->by_size, &run->by_size);
}

/* The last run that begins at or before `base`, or NULL. */
static struct run *floor_run(const struct space *space, uint64_t base)
{
    struct run key = { .base = base };
    struct tree_node *node = tree_floor(&space->by_base, &key.by_base);
    return node != NULL ? TREE_ENTRY(node, struct run, by_base) : NULL;
}

int space_give(struct space *space, uint64_t base, uint64_t bytes)
{
    struct run *before = floor_run(space, base);
    if (before != NULL && before->base + before->bytes != base)
        before = NULL;
    struct run *after = floor_run(space, base + bytes);
    if (after != NULL && after->base != base + bytes)
        after = NULL;

    struct run *run = before != NULL ? before : after;
    if (run == NULL)
        run = calloc(1, sizeof(*run));
    if (run == NULL)
        return -ENOMEM;
    if (before != NULL)
        drop_run(space, before);
    if (after != NULL)
        drop_run(space, after);
    uint64_t end = after != NULL ? after->base + after->bytes : base + bytes;
    run->base = before != NULL ? before->base : base;
    run->bytes = end - run->base;
    if (before != NULL && after != NULL)
        free(after);
    add_run(space, run);
    return 0;
}

int space_take(struct space *space, uint64_t bytes, uint64_t *base)
{
    struct run wanted = { .bytes = bytes };
    struct tree_node *node = tree_ceiling(&space->by_size, &wanted.by_size);
    if (node == NULL)
        return -ENOMEM;
    struct run *run = TREE_ENTRY(node, struct run, by_size);
    drop_run(space, run);
    *base = run->base;
    run->base += bytes;
    run->bytes -= bytes;
    if (run->bytes > 0)
        add_run(space, run);
    else
        free(run);
    return 0;
}
