#include "track/track.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define VG_HASH_ARENA (&shard->arena)
#include "base/hashing.h"

/* Short chains: with uthash's default of ten a lookup among a million allocations visits several
 * cold cache lines. */
#undef HASH_BKT_CAPACITY_THRESH
#define HASH_BKT_CAPACITY_THRESH 3U

struct vg_track_node {
    UT_hash_handle hh;
    uint64_t address; /* the key; while the node is free: index of the next free node */
};

_Static_assert(sizeof(struct vg_track_node) == 64, "one cache line");

#define NO_NODE UINT64_MAX

enum { SLOTS_AT_ONCE = 64 };

int vg_track_init(struct vg_track *track, struct vg_recorder *recorder)
{
    const uint64_t node_cap = recorder->live.reserved_bytes / sizeof(struct vg_live_slot);
    track->recorder = recorder;
    track->no_file.lock.rank = VG_LOCK_AREA;
    const int error = vg_area_init(&track->node_area, VG_AREA_NONE, &track->no_file,
                                   node_cap * sizeof(struct vg_track_node));
    if (error)
        return error;
    track->nodes = (void *)track->node_area.base;
    for (int i = 0; i < VG_TRACK_SHARDS; i++) {
        struct vg_track_shard *const shard = &track->shards[i];
        shard->lock.rank = VG_LOCK_TRACK_SHARD;
        shard->free_list = NO_NODE;
        /* uthash frees its table when the last element goes and makes it anew for the next one; the
         * sentinel (no allocation has address 0) spares a lone allocation that. */
        struct vg_track_node *const sentinel = vg_arena_alloc(&shard->arena, sizeof *sentinel);
        if (!sentinel)
            return -ENOMEM;
        HASH_ADD(hh, shard->live, address, sizeof sentinel->address, sentinel);
        if (!sentinel->hh.tbl)
            return -ENOMEM;
    }
    return 0;
}

static struct vg_track_shard *shard_of(struct vg_track *track, uint64_t hash)
{
    return &track->shards[hash >> 58]; /* uthash takes its buckets from the low bits */
}

static void add_to_totals(struct vg_file_device *device, uint64_t bytes)
{
    const uint64_t live =
        atomic_fetch_add_explicit(&device->live_bytes, bytes, memory_order_relaxed) + bytes;
    uint64_t peak = atomic_load_explicit(&device->peak_bytes, memory_order_relaxed);
    if (live <= peak)
        return;
    while (live > peak &&
           !atomic_compare_exchange_weak_explicit(&device->peak_bytes, &peak, live,
                                                  memory_order_relaxed, memory_order_relaxed))
        ;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    atomic_store_explicit(&device->peak_realtime_ns,
                          (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec,
                          memory_order_relaxed);
}

static struct vg_file_device *device_of(struct vg_track *track, uint16_t device)
{
    return &track->recorder->header->devices[device % VG_FILE_DEVICES];
}

/* A free node of the shard, taken in batches. */
static struct vg_track_node *take_free_node(struct vg_track *track, struct vg_track_shard *shard)
{
    if (shard->free_list == NO_NODE) {
        uint64_t first;
        if (vg_recorder_take_slots(track->recorder, SLOTS_AT_ONCE, &first) != 0 ||
            vg_area_grow(&track->node_area,
                         (first + SLOTS_AT_ONCE) * sizeof(struct vg_track_node)) != 0)
            return NULL;
        for (uint64_t i = 0; i < SLOTS_AT_ONCE; i++)
            track->nodes[first + i].address = i + 1 < SLOTS_AT_ONCE ? first + i + 1 : NO_NODE;
        shard->free_list = first;
    }
    struct vg_track_node *const node = &track->nodes[shard->free_list];
    shard->free_list = node->address;
    return node;
}

static void give_free_node(struct vg_track *track, struct vg_track_shard *shard,
                           struct vg_track_node *node)
{
    node->address = shard->free_list;
    shard->free_list = (uint64_t)(node - track->nodes);
}

static struct vg_live_slot *slot_of(const struct vg_track *track, const struct vg_track_node *node)
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
    atomic_store_explicit(&slot->address, allocation->address, memory_order_release);
}

/* Unlinks the node of `address`, if there is one, and copies out what it stood for. */
static bool remove_locked(struct vg_track *track, struct vg_track_shard *shard, uint64_t address,
                          unsigned hash, struct vg_allocation *out)
{
    struct vg_track_node *node = NULL;
    HASH_FIND_BYHASHVALUE(hh, shard->live, &address, sizeof address, hash, node);
    if (!node)
        return false;
    struct vg_live_slot *const slot = slot_of(track, node);
    read_slot(slot, out);
    atomic_store_explicit(&slot->address, 0, memory_order_release);
    HASH_DELETE(hh, shard->live, node);
    give_free_node(track, shard, node);
    shard->take_count++;
    return true;
}

static bool add_locked(struct vg_track *track, struct vg_track_shard *shard,
                       const struct vg_allocation *allocation, unsigned hash)
{
    struct vg_track_node *const node = take_free_node(track, shard);
    if (!node)
        return false;
    node->address = allocation->address;
    HASH_ADD_BYHASHVALUE(hh, shard->live, address, sizeof node->address, hash, node);
    if (!node->hh.tbl) {
        give_free_node(track, shard, node);
        return false;
    }
    write_slot(slot_of(track, node), allocation);
    shard->put_count++;
    return true;
}

int vg_track_put(struct vg_track *track, const struct vg_allocation *allocation)
{
    const uint64_t hash = vg_hash_u64(allocation->address);
    struct vg_track_shard *const shard = shard_of(track, hash);
    struct vg_allocation stale;
    vg_lock_take(&shard->lock);
    const bool was_stale = remove_locked(track, shard, allocation->address, (unsigned)hash, &stale);
    const bool added = add_locked(track, shard, allocation, (unsigned)hash);
    vg_lock_release(&shard->lock);
    if (was_stale)
        atomic_fetch_sub(&device_of(track, stale.device)->live_bytes, stale.bytes);
    if (added) {
        add_to_totals(device_of(track, allocation->device), allocation->bytes);
        return 0;
    }
    atomic_fetch_add(&track->lost_count, 1);
    atomic_fetch_add(&track->lost_bytes, allocation->bytes);
    return -ENOMEM;
}

bool vg_track_take(struct vg_track *track, uint64_t address, struct vg_allocation *out)
{
    if (address == 0) /* the sentinel's */
        return false;
    const uint64_t hash = vg_hash_u64(address);
    struct vg_track_shard *const shard = shard_of(track, hash);
    vg_lock_take(&shard->lock);
    const bool found = remove_locked(track, shard, address, (unsigned)hash, out);
    vg_lock_release(&shard->lock);
    if (found)
        atomic_fetch_sub_explicit(&device_of(track, out->device)->live_bytes, out->bytes,
                                  memory_order_relaxed);
    return found;
}

void vg_track_each(const struct vg_track *track,
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

void vg_track_counts(const struct vg_track *track, uint64_t *out_puts, uint64_t *out_takes)
{
    *out_puts = *out_takes = 0;
    for (int i = 0; i < VG_TRACK_SHARDS; i++) {
        *out_puts += __atomic_load_n(&track->shards[i].put_count, __ATOMIC_RELAXED);
        *out_takes += __atomic_load_n(&track->shards[i].take_count, __ATOMIC_RELAXED);
    }
}
