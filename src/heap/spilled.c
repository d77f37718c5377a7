#include "heap/spilled.h"

#include <errno.h>
#include <stddef.h>

#include "base/hashing.h"

_Atomic uint64_t vg_spilled_entries;
atomic_bool vg_spilled_exported;

struct vg_spilled_node {
    struct vg_spilled_range range;
    struct vg_spilled_node *left, *right;
    struct vg_spilled_node *next; /* of the free list, the queue, or a chain being unmapped */
    void *event;
};

/* Bytes of host memory that the entry stands for. */
static uint64_t charged_bytes(const struct vg_spilled_range *range)
{
    return range->what == VG_SPILLED_MAPPING ? 0 : range->bytes;
}

/* Addresses that the entry covers; a key is no address. */
static uint64_t extent_bytes(const struct vg_spilled_range *range)
{
    return range->what == VG_SPILLED_PHYSICAL ? 1 : range->bytes;
}

/* ---- the treap: a search tree by address that is a heap by the addresses' hashes, and so of
 * logarithmic depth in whatever order the addresses come ---- */

static uint64_t node_weight(const struct vg_spilled_node *node)
{
    return vg_hash_u64(node->range.address);
}

static void insert_node(struct vg_spilled_node **link, struct vg_spilled_node *node)
{
    const uint64_t address = node->range.address;
    while (*link && node_weight(*link) >= node_weight(node))
        link = address < (*link)->range.address ? &(*link)->left : &(*link)->right;
    struct vg_spilled_node *rest = *link, **below = &node->left, **above = &node->right;
    *link = node;
    while (rest) {
        if (rest->range.address < address) {
            *below = rest;
            below = &rest->right;
            rest = rest->right;
        } else {
            *above = rest;
            above = &rest->left;
            rest = rest->left;
        }
    }
    *below = *above = NULL;
}

static void remove_node(struct vg_spilled_node **link, const struct vg_spilled_node *node)
{
    while (*link != node)
        link = node->range.address < (*link)->range.address ? &(*link)->left : &(*link)->right;
    struct vg_spilled_node *left = node->left, *right = node->right;
    while (left && right) {
        if (node_weight(left) > node_weight(right)) {
            *link = left;
            link = &left->right;
            left = left->right;
        } else {
            *link = right;
            link = &right->left;
            right = right->left;
        }
    }
    *link = left ? left : right;
}

/* The entry with the highest address that is not above `address`. */
static struct vg_spilled_node *find_floor(struct vg_spilled_node *node, uint64_t address)
{
    struct vg_spilled_node *best = NULL;
    while (node) {
        if (node->range.address <= address) {
            best = node;
            node = node->right;
        } else {
            node = node->left;
        }
    }
    return best;
}

/* The entry with the lowest address that is not below `address`. */
static struct vg_spilled_node *find_ceiling(struct vg_spilled_node *node, uint64_t address)
{
    struct vg_spilled_node *best = NULL;
    while (node) {
        if (node->range.address >= address) {
            best = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return best;
}

/* ---- entries; the lock is held ---- */

static void forget_locked(struct vg_spilled *spilled, struct vg_spilled_node *node)
{
    atomic_fetch_sub(&spilled->bytes, charged_bytes(&node->range));
    atomic_fetch_sub(&vg_spilled_entries, 1);
    node->next = spilled->free_nodes;
    spilled->free_nodes = node;
}

static void add_locked(struct vg_spilled *spilled, struct vg_spilled_node *node)
{
    /* An older entry of the same address is one whose end nobody saw. */
    struct vg_spilled_node *const stale = find_floor(spilled->root, node->range.address);
    if (stale && stale->range.address == node->range.address) {
        remove_node(&spilled->root, stale);
        forget_locked(spilled, stale);
    }
    insert_node(&spilled->root, node);
}

static struct vg_spilled_node *make_locked(struct vg_spilled *spilled,
                                           const struct vg_spilled_range *range)
{
    struct vg_spilled_node *node = spilled->free_nodes;
    if (node)
        spilled->free_nodes = node->next;
    else
        node = vg_arena_alloc(&spilled->arena, sizeof *node);
    if (!node)
        return NULL;
    *node = (struct vg_spilled_node){ .range = *range };
    atomic_fetch_add(&vg_spilled_entries, 1);
    add_locked(spilled, node);
    return node;
}

/* ---- reservations ---- */

uint64_t vg_spilled_settled(struct vg_spilled *spilled)
{
    vg_lock_take(&spilled->lock);
    const uint64_t settled_bytes = spilled->settled_bytes;
    vg_lock_release(&spilled->lock);
    return settled_bytes;
}

/* What may be missing from the host's measured memory: reserved but not taken yet, or taken after
 * it was measured. */
static uint64_t unmeasured_bytes(const struct vg_spilled *spilled,
                                 const struct vg_spilled_room *room)
{
    return spilled->reserved_bytes + (spilled->settled_bytes - room->settled_bytes);
}

static bool fits_limit(uint64_t bytes, uint64_t used_bytes, uint64_t limit_bytes)
{
    return used_bytes <= limit_bytes && bytes <= limit_bytes - used_bytes;
}

int vg_spilled_reserve(struct vg_spilled *spilled, uint64_t bytes,
                       const struct vg_spilled_room *room)
{
    int error = 0;
    vg_lock_take(&spilled->lock);
    spilled->cap_bytes = room->cap_bytes;
    if (!fits_limit(bytes, spilled->bytes, room->cap_bytes))
        error = -EDQUOT;
    else if (!fits_limit(bytes, unmeasured_bytes(spilled, room), room->host_bytes))
        error = -ENOMEM;
    if (!error) {
        atomic_fetch_add(&spilled->bytes, bytes);
        spilled->reserved_bytes += bytes;
    }
    vg_lock_release(&spilled->lock);
    return error;
}

void vg_spilled_cancel(struct vg_spilled *spilled, uint64_t bytes)
{
    vg_lock_take(&spilled->lock);
    atomic_fetch_sub(&spilled->bytes, bytes);
    spilled->reserved_bytes -= bytes;
    vg_lock_release(&spilled->lock);
}

int vg_spilled_put(struct vg_spilled *spilled, const struct vg_spilled_range *range)
{
    vg_lock_take(&spilled->lock);
    const bool made = make_locked(spilled, range) != NULL;
    if (made) {
        spilled->reserved_bytes -= range->bytes;
        spilled->settled_bytes += range->bytes;
        const uint64_t taken_bytes = spilled->bytes - spilled->reserved_bytes;
        if (taken_bytes > spilled->peak_bytes)
            spilled->peak_bytes = taken_bytes;
        spilled->count++;
    }
    vg_lock_release(&spilled->lock);
    return made ? 0 : -ENOMEM;
}

/* ---- looking up, ending ---- */

bool vg_spilled_find(struct vg_spilled *spilled, uint64_t address, struct vg_spilled_range *out)
{
    vg_lock_take(&spilled->lock);
    const struct vg_spilled_node *const node = find_floor(spilled->root, address);
    const bool found = node && address - node->range.address < extent_bytes(&node->range);
    if (found)
        *out = node->range;
    vg_lock_release(&spilled->lock);
    return found;
}

struct vg_spilled_node *vg_spilled_take(struct vg_spilled *spilled, uint64_t address)
{
    vg_lock_take(&spilled->lock);
    struct vg_spilled_node *node = find_floor(spilled->root, address);
    if (node && (node->range.address != address || node->range.what == VG_SPILLED_MAPPING))
        node = NULL;
    if (node)
        remove_node(&spilled->root, node);
    vg_lock_release(&spilled->lock);
    return node;
}

void vg_spilled_forget(struct vg_spilled *spilled, struct vg_spilled_node *node)
{
    vg_lock_take(&spilled->lock);
    forget_locked(spilled, node);
    vg_lock_release(&spilled->lock);
}

void vg_spilled_restore(struct vg_spilled *spilled, struct vg_spilled_node *node)
{
    vg_lock_take(&spilled->lock);
    add_locked(spilled, node);
    vg_lock_release(&spilled->lock);
}

/* ---- the queue of the deferred ---- */

void vg_spilled_defer(struct vg_spilled *spilled, struct vg_spilled_node *node, void *event)
{
    vg_lock_take(&spilled->lock);
    node->event = event;
    node->next = NULL;
    if (!spilled->deferred)
        spilled->deferred_end = &spilled->deferred;
    *spilled->deferred_end = node;
    spilled->deferred_end = &node->next;
    spilled->deferred_count++;
    vg_lock_release(&spilled->lock);
}

struct vg_spilled_node *vg_spilled_next_deferred(struct vg_spilled *spilled, void **out_event,
                                                 uint64_t *out_address)
{
    vg_lock_take(&spilled->lock);
    struct vg_spilled_node *const node = spilled->deferred;
    if (node) {
        spilled->deferred = node->next;
        spilled->deferred_count--;
        *out_event = node->event;
        *out_address = node->range.address;
    }
    vg_lock_release(&spilled->lock);
    return node;
}

/* ---- mappings ---- */

void vg_spilled_map(struct vg_spilled *spilled, uint64_t address, uint64_t bytes, uint64_t key)
{
    vg_lock_take(&spilled->lock);
    const struct vg_spilled_node *const physical = find_floor(spilled->root, key);
    if (physical && physical->range.address == key) {
        const struct vg_spilled_range mapping = { .address = address,
                                                  .bytes = bytes,
                                                  .device = physical->range.device,
                                                  .what = VG_SPILLED_MAPPING };
        make_locked(spilled, &mapping);
    }
    vg_lock_release(&spilled->lock);
}

struct vg_spilled_node *vg_spilled_begin_unmap(struct vg_spilled *spilled, uint64_t address,
                                               uint64_t bytes)
{
    struct vg_spilled_node *chain = NULL, *node;
    vg_lock_take(&spilled->lock);
    uint64_t at = address;
    while ((node = find_ceiling(spilled->root, at)) && node->range.address - address < bytes) {
        at = node->range.address + 1;
        if (node->range.what != VG_SPILLED_MAPPING)
            continue;
        remove_node(&spilled->root, node);
        node->next = chain;
        chain = node;
    }
    vg_lock_release(&spilled->lock);
    return chain;
}

void vg_spilled_end_unmap(struct vg_spilled *spilled, struct vg_spilled_node *chain, bool unmapped)
{
    if (!chain)
        return;
    vg_lock_take(&spilled->lock);
    while (chain) {
        struct vg_spilled_node *const node = chain;
        chain = node->next;
        if (unmapped)
            forget_locked(spilled, node);
        else
            add_locked(spilled, node);
    }
    vg_lock_release(&spilled->lock);
}

/* ---- contexts ---- */

static void drop_deferred_locked(struct vg_spilled *spilled, uint64_t context)
{
    struct vg_spilled_node **link = &spilled->deferred;
    while (*link) {
        struct vg_spilled_node *const node = *link;
        if (node->range.context != context) {
            link = &node->next;
            continue;
        }
        *link = node->next;
        spilled->deferred_count--;
        forget_locked(spilled, node);
    }
    spilled->deferred_end = link;
}

void vg_spilled_drop_context(struct vg_spilled *spilled, uint64_t context)
{
    struct vg_spilled_node *node;
    if (context == 0)
        return;
    vg_lock_take(&spilled->lock);
    for (uint64_t at = 0; (node = find_ceiling(spilled->root, at)); at++) {
        at = node->range.address;
        if (node->range.context == context) {
            remove_node(&spilled->root, node);
            forget_locked(spilled, node);
        }
    }
    drop_deferred_locked(spilled, context);
    vg_lock_release(&spilled->lock);
}
