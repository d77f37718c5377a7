#include "heap/live_index.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"

#define VG_HASH_ARENA (&shard->arena)
#include "base/hashing.h"

/* uthash's buckets are used through the macros that its own HASH_ADD and HASH_DELETE are made of,
 * for two reasons. The list of all elements in insertion order that those keep would touch two more
 * cold cache lines at every free among many allocations. And they let chains grow to ten before
 * they double the table; a lookup would then visit several cold lines. */
#undef HASH_BKT_CAPACITY_THRESH
#define HASH_BKT_CAPACITY_THRESH 0x7fffffffU /* index_add doubles the table instead */

struct vg_live_node {
    UT_hash_handle hh;
    uint64_t address; /* the key; while the node is free: index of the next free node */
    /* What a free needs of the slot, so that it does not wait for the slot's cold cache line. */
    uint64_t bytes_and_device; /* bytes in the low 48 bits, device above */
};

enum { DEVICE_SHIFT = 48 };

static uint64_t node_bytes(const struct vg_live_node *node)
{
    return node->bytes_and_device & ((UINT64_C(1) << DEVICE_SHIFT) - 1);
}

static uint16_t node_device(const struct vg_live_node *node)
{
    return (uint16_t)(node->bytes_and_device >> DEVICE_SHIFT);
}

/* Adds `node` under its address. Returns false when there is no memory. */
static bool index_add(struct vg_live_shard *shard, struct vg_live_node *node, unsigned hash)
{
    UT_hash_table *const table = shard->live->hh.tbl;
    unsigned bucket;
    int out_of_memory = 0;
    node->hh.tbl = table;
    node->hh.key = &node->address;
    node->hh.keylen = sizeof node->address;
    node->hh.hashv = hash;
    if (table->num_items * 2 >= table->num_buckets)
        HASH_EXPAND_BUCKETS(hh, table, out_of_memory);
    if (out_of_memory && table->num_items / 8 >= table->num_buckets)
        return false;
    HASH_TO_BKT(hash, table->num_buckets, bucket);
    HASH_ADD_TO_BKT(table->buckets[bucket], hh, &node->hh, out_of_memory);
    table->num_items++;
    return true;
}

static struct vg_live_node *index_find(const struct vg_live_shard *shard, uint64_t address,
                                       unsigned hash)
{
    struct vg_live_node *node = NULL;
    HASH_FIND_BYHASHVALUE(hh, shard->live, &address, sizeof address, hash, node);
    return node;
}

static void index_remove(struct vg_live_shard *shard, struct vg_live_node *node)
{
    UT_hash_table *const table = shard->live->hh.tbl;
    unsigned bucket;
    HASH_TO_BKT(node->hh.hashv, table->num_buckets, bucket);
    HASH_DEL_IN_BKT(table->buckets[bucket], &node->hh);
    table->num_items--;
}

#define NO_NODE UINT64_MAX

enum { SLOTS_AT_ONCE = 64 };

int vg_live_index_init(struct vg_live_index *track, struct vg_recorder *recorder)
{
    const uint64_t node_cap = recorder->live.reserved_bytes / sizeof(struct vg_live_slot);
    track->recorder = recorder;
    track->no_file.lock.rank = VG_LOCK_AREA;
    const int error = vg_area_init(&track->node_area, VG_AREA_NONE, &track->no_file,
                                   node_cap * sizeof(struct vg_live_node));
    if (error)
        return error;
    track->nodes = (void *)track->node_area.base;
    for (int i = 0; i < VG_LIVE_INDEX_SHARDS; i++) {
        struct vg_live_shard *const shard = &track->shards[i];
        shard->lock.rank = VG_LOCK_LIVE_SHARD;
        shard->free_list = NO_NODE;
        /* An element that only holds the table; it is in no bucket. */
        int out_of_memory = 0;
        shard->live = vg_arena_alloc(&shard->arena, sizeof *shard->live);
        if (!shard->live)
            return -ENOMEM;
        HASH_MAKE_TABLE(hh, shard->live, out_of_memory);
        if (out_of_memory)
            return -ENOMEM;
    }
    return 0;
}

static struct vg_live_shard *shard_of(struct vg_live_index *track, uint64_t hash)
{
    return &track->shards[hash >> 60]; /* uthash takes its buckets from the low bits */
}

static struct vg_file_device *device_of(struct vg_live_index *track, uint16_t device)
{
    return &track->recorder->header->devices[device % VG_FILE_DEVICES];
}

static void raise_peak(struct vg_file_device *device, uint64_t live_bytes)
{
    uint64_t peak = atomic_load_explicit(&device->peak_bytes, memory_order_relaxed);
    if (live_bytes <= peak)
        return;
    while (live_bytes > peak &&
           !atomic_compare_exchange_weak_explicit(&device->peak_bytes, &peak, live_bytes,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
    atomic_store_explicit(&device->peak_realtime_ns, vg_clock_ns(CLOCK_REALTIME_COARSE),
                          memory_order_relaxed);
}

/* Counts `change` bytes more (or fewer) live on the device. The shard's lock is held. */
static void count_locked(struct vg_live_index *track, struct vg_live_shard *shard,
                         uint16_t device_index, int64_t change)
{
    int64_t *const pending = &shard->pending_bytes[device_index % VG_FILE_DEVICES];
    *pending += change;
    if (*pending<VG_LIVE_INDEX_PENDING_BYTES && * pending> - VG_LIVE_INDEX_PENDING_BYTES)
        return;
    struct vg_file_device *const device = device_of(track, device_index);
    const uint64_t flushed = (uint64_t)*pending;
    *pending = 0;
    const uint64_t live_bytes =
        atomic_fetch_add_explicit(&device->live_bytes, flushed, memory_order_relaxed) + flushed;
    if ((int64_t)flushed > 0)
        raise_peak(device, live_bytes);
}

/* The record has ended without being taken. The shard's lock is held. */
static void note_dropped(struct vg_live_index *track, const struct vg_live_node *node)
{
    atomic_fetch_add_explicit(&track->dropped_bytes[node_device(node) % VG_FILE_DEVICES],
                              node_bytes(node), memory_order_relaxed);
}

uint64_t vg_live_index_take_dropped(struct vg_live_index *track, uint16_t device)
{
    _Atomic uint64_t *const dropped = &track->dropped_bytes[device % VG_FILE_DEVICES];
    if (atomic_load_explicit(dropped, memory_order_relaxed) == 0)
        return 0;
    return atomic_exchange_explicit(dropped, 0, memory_order_relaxed);
}

/* A free node of the shard, taken in batches. */
static struct vg_live_node *take_free_node(struct vg_live_index *track, struct vg_live_shard *shard)
{
    if (shard->free_list == NO_NODE) {
        uint64_t first;
        if (vg_recorder_take_slots(track->recorder, SLOTS_AT_ONCE, &first) != 0 ||
            vg_area_grow(&track->node_area,
                         (first + SLOTS_AT_ONCE) * sizeof(struct vg_live_node)) != 0)
            return NULL;
        for (uint64_t i = 0; i < SLOTS_AT_ONCE; i++)
            track->nodes[first + i].address = i + 1 < SLOTS_AT_ONCE ? first + i + 1 : NO_NODE;
        shard->free_list = first;
    }
    struct vg_live_node *const node = &track->nodes[shard->free_list];
    shard->free_list = node->address;
    return node;
}

static void give_free_node(struct vg_live_index *track, struct vg_live_shard *shard,
                           struct vg_live_node *node)
{
    node->address = shard->free_list;
    shard->free_list = (uint64_t)(node - track->nodes);
}

static struct vg_live_slot *slot_of(const struct vg_live_index *track,
                                    const struct vg_live_node *node)
{
    return &track->recorder->slots[node - track->nodes];
}

static void read_slot(const struct vg_live_slot *slot, struct vg_allocation *out)
{
    *out = (struct vg_allocation){
        .address = atomic_load_explicit(&slot->address, memory_order_acquire),
        .bytes = slot->bytes,
        .monotonic_ns = slot->monotonic_ns,
        .stack_id = slot->stack_id,
        .thread_id = slot->thread_id,
        .device = slot->device,
        .kind = slot->kind,
        .context = slot->context,
    };
}

static void write_slot(struct vg_live_slot *slot, const struct vg_allocation *allocation)
{
    slot->bytes = allocation->bytes;
    slot->monotonic_ns = allocation->monotonic_ns;
    slot->stack_id = allocation->stack_id;
    slot->thread_id = allocation->thread_id;
    slot->device = allocation->device;
    slot->kind = allocation->kind;
    slot->context = allocation->context;
    atomic_store_explicit(&slot->address, allocation->address, memory_order_release);
}

static bool add_locked(struct vg_live_index *track, struct vg_live_shard *shard,
                       const struct vg_allocation *allocation, unsigned hash)
{
    struct vg_live_node *const node = take_free_node(track, shard);
    if (!node)
        return false;
    node->address = allocation->address;
    node->bytes_and_device = allocation->bytes | (uint64_t)allocation->device << DEVICE_SHIFT;
    if (!index_add(shard, node, hash)) {
        give_free_node(track, shard, node);
        return false;
    }
    write_slot(slot_of(track, node), allocation);
    shard->put_count++;
    count_locked(track, shard, allocation->device, (int64_t)allocation->bytes);
    return true;
}

static void clear_locked(struct vg_live_index *track, struct vg_live_shard *shard,
                         struct vg_live_node *node)
{
    atomic_store_explicit(&slot_of(track, node)->address, 0, memory_order_release);
    give_free_node(track, shard, node);
    shard->take_count++;
}

/* The record ends without being taken. The shard's lock is held. */
static __attribute__((noinline)) void
drop_locked(struct vg_live_index *track, struct vg_live_shard *shard, struct vg_live_node *node)
{
    count_locked(track, shard, node_device(node), -(int64_t)node_bytes(node));
    note_dropped(track, node);
    index_remove(shard, node);
    clear_locked(track, shard, node);
}

int vg_live_index_put(struct vg_live_index *track, const struct vg_allocation *allocation)
{
    const uint64_t hash = vg_hash_u64(allocation->address);
    struct vg_live_shard *const shard = shard_of(track, hash);
    vg_lock_take(&shard->lock);
    struct vg_live_node *const stale = index_find(shard, allocation->address, (unsigned)hash);
    if (__builtin_expect(stale != NULL, 0))
        drop_locked(track, shard, stale);
    const bool fits = allocation->bytes >> DEVICE_SHIFT == 0; /* no GPU has 256 TiB */
    const bool added = fits && add_locked(track, shard, allocation, (unsigned)hash);
    vg_lock_release(&shard->lock);
    if (added)
        return 0;
    atomic_fetch_add(&track->lost_count, 1);
    atomic_fetch_add(&track->lost_bytes, allocation->bytes);
    return -ENOMEM;
}

bool vg_live_index_begin_free(struct vg_live_index *track, uint64_t address,
                              struct vg_pending_free *out)
{
    const uint64_t hash = vg_hash_u64(address);
    struct vg_live_shard *const shard = shard_of(track, hash);
    vg_lock_take(&shard->lock);
    struct vg_live_node *const node = index_find(shard, address, (unsigned)hash);
    if (node) {
        index_remove(shard, node);
        *out = (struct vg_pending_free){
            .node = node, .shard = shard, .bytes = node_bytes(node), .device = node_device(node)
        };
        count_locked(track, shard, out->device, -(int64_t)out->bytes);
    }
    vg_lock_release(&shard->lock);
    if (!node)
        return false;
    __builtin_prefetch(slot_of(track, node), 1); /* wanted when the driver has answered */
    return true;
}

void vg_live_index_commit_free(struct vg_live_index *track, const struct vg_pending_free *taken)
{
    vg_lock_take(&taken->shard->lock);
    clear_locked(track, taken->shard, taken->node);
    vg_lock_release(&taken->shard->lock);
}

void vg_live_index_abort_free(struct vg_live_index *track, const struct vg_pending_free *taken)
{
    vg_lock_take(&taken->shard->lock);
    if (index_add(taken->shard, taken->node, taken->node->hh.hashv))
        count_locked(track, taken->shard, taken->device, (int64_t)taken->bytes);
    else
        note_dropped(track, taken->node); /* no memory: its end will not be seen */
    vg_lock_release(&taken->shard->lock);
}

/* The address may be gone or have been given out again, so all is looked at once more under the
 * lock. */
static void drop_one(struct vg_live_index *track, uint64_t address, uint64_t context)
{
    const uint64_t hash = vg_hash_u64(address);
    struct vg_live_shard *const shard = shard_of(track, hash);
    vg_lock_take(&shard->lock);
    struct vg_live_node *const node = index_find(shard, address, (unsigned)hash);
    if (node && slot_of(track, node)->context == context)
        drop_locked(track, shard, node);
    vg_lock_release(&shard->lock);
}

struct drop {
    struct vg_live_index *track;
    uint64_t context;
};

static void drop_if_of_context(const struct vg_allocation *allocation, void *argument)
{
    const struct drop *const drop = argument;
    if (allocation->context == drop->context)
        drop_one(drop->track, allocation->address, drop->context);
}

void vg_live_index_drop_context(struct vg_live_index *track, uint64_t context)
{
    struct drop drop = { .track = track, .context = context };
    if (context != 0)
        vg_live_index_each(track, drop_if_of_context, &drop);
}

void vg_live_index_each(const struct vg_live_index *track,
                        void (*visit)(const struct vg_allocation *allocation, void *argument),
                        void *argument)
{
    const struct vg_recorder *const recorder = track->recorder;
    const uint64_t usable = recorder->live.usable_bytes / sizeof(struct vg_live_slot);
    uint64_t count = recorder->header->live_slots;
    count = count < usable ? count : usable;
    for (uint64_t i = 0; i < count; i++) {
        struct vg_allocation allocation;
        if (atomic_load_explicit(&recorder->slots[i].address, memory_order_acquire) == 0)
            continue;
        read_slot(&recorder->slots[i], &allocation);
        if (allocation.address != 0)
            visit(&allocation, argument);
    }
}

void vg_live_index_counts(const struct vg_live_index *track, uint64_t *out_puts,
                          uint64_t *out_takes)
{
    *out_puts = *out_takes = 0;
    for (int i = 0; i < VG_LIVE_INDEX_SHARDS; i++) {
        *out_puts += __atomic_load_n(&track->shards[i].put_count, __ATOMIC_RELAXED);
        *out_takes += __atomic_load_n(&track->shards[i].take_count, __ATOMIC_RELAXED);
    }
}
