#include "range.h"

#include "context.h"
#include "small.h"
#include "virtual.h"

static int order_by_base(const struct tree_node *a, const struct tree_node *b)
{
    uint64_t x = TREE_ENTRY(a, const struct range, node)->base;
    uint64_t y = TREE_ENTRY(b, const struct range, node)->base;
    return (x > y) - (x < y);
}

static struct tree ranges = { NULL, order_by_base };

void range_add(struct range *range)
{
    tree_insert(&ranges, &range->node);
    range->previous = NULL;
    range->next = NULL;
    if (range->context == NULL)
        return;
    range->next = range->context->ranges;
    if (range->next != NULL)
        range->next->previous = range;
    range->context->ranges = range;
}

void range_remove(struct range *range)
{
    tree_remove(&ranges, &range->node);
    if (range->next != NULL)
        range->next->previous = range->previous;
    if (range->previous != NULL)
        range->previous->next = range->next;
    else if (range->context != NULL)
        range->context->ranges = range->next;
}

struct range *range_find(uint64_t address)
{
    struct range key = { .base = address };
    struct tree_node *node = tree_floor(&ranges, &key.node);
    struct range *range = node != NULL ? TREE_ENTRY(node, struct range, node) : NULL;
    return range != NULL && address - range->base < range->extent_bytes ? range : NULL;
}

struct range *range_find_base(uint64_t base, enum range_kind kind)
{
    struct range *range = range_find(base);
    return range != NULL && range->base == base && range->kind == kind ? range : NULL;
}

struct range *range_next(uint64_t address)
{
    struct range key = { .base = address };
    struct tree_node *node = tree_ceiling(&ranges, &key.node);
    return node != NULL ? TREE_ENTRY(node, struct range, node) : NULL;
}

bool range_overlaps(uint64_t base, uint64_t bytes)
{
    if (range_find(base) != NULL)
        return true;
    struct range *next = range_next(base);
    return next != NULL && next->base - base < bytes;
}

bool range_covers(uint64_t address, uint64_t bytes)
{
    if (address + bytes < address)
        return false;
    uint64_t end = address + bytes;
    while (address < end) {
        struct small_allocation small;
        const struct range *range = range_find(address);
        if (range != NULL && (range->kind != RANGE_MAPPED || virtual_is_accessible(range)))
            address = range->base + range->extent_bytes;
        else if (small_find(address, &small))
            address = small.base + (small.bytes + UNIT_BYTES - 1) / UNIT_BYTES * UNIT_BYTES;
        else
            return false;
    }
    return true;
}

uint64_t range_new_serial(void)
{
    static uint64_t last;
    return ++last;
}
