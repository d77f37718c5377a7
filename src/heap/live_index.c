#include "heap/live_index.h"

#include <errno.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/hashing.h"
#include "heap/free_slots.h"

_Static_assert(sizeof(struct vg_live_slot) == VG_ADDRESS_SLOT_BYTES &&
                   offsetof(struct vg_live_slot, address) == 0,
               "slots are as the index wants them");

static const uint64_t most_bytes = UINT64_C(1) << 48; /* no GPU has 256 TiB */

int vg_live_index_init(struct vg_live_index *track, struct vg_recorder *recorder)
{
    track->recorder = recorder;
    for (int i = 0; i < VG_LIVE_INDEX_SHARDS; i++) {
        struct vg_live_shard *const shard = &track->shards[i];
        shard->lock.rank = VG_LOCK_LIVE_SHARD;
        if (vg_address_index_init(&shard->index, &shard->arena) != 0)
            return -ENOMEM;
    }
    return 0;
}

static struct vg_live_shard *shard_of(struct vg_live_index *track, uint64_t hash)
{
    return &track->shards[hash >> 60]; /* the index takes the low bits */
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
    atomic_fetch_add_explicit(&device->peak_epoch, 1, memory_order_release);
}

static uint64_t epoch_of(struct vg_live_index *track, uint16_t device)
{
    return atomic_load_explicit(&device_of(track, device)->peak_epoch, memory_order_acquire);
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
static void note_dropped(struct vg_live_index *track, const struct vg_live_slot *slot)
{
    atomic_fetch_add_explicit(&track->dropped_bytes[slot->device % VG_FILE_DEVICES], slot->bytes,
                              memory_order_relaxed);
}

uint64_t vg_live_index_take_dropped(struct vg_live_index *track, uint16_t device)
{
    _Atomic uint64_t *const dropped = &track->dropped_bytes[device % VG_FILE_DEVICES];
    if (atomic_load_explicit(dropped, memory_order_relaxed) == 0)
        return 0;
    return atomic_exchange_explicit(dropped, 0, memory_order_relaxed);
}

static void give_slot(struct vg_live_index *track, struct vg_live_shard *shard, uint32_t number)
{
    vg_free_slots_give(&shard->free_list, track->recorder->slots,
                       offsetof(struct vg_live_slot, next_free), number);
}

/* Returns false when the slot is empty, or was given to another allocation meanwhile: what was read
 * may be of both. */
static bool read_slot(const struct vg_live_slot *slot, struct vg_allocation *out)
{
    const uint64_t address = atomic_load_explicit(&slot->address, memory_order_acquire);
    const uint64_t monotonic_ns = __atomic_load_n(&slot->monotonic_ns, __ATOMIC_ACQUIRE);
    *out = (struct vg_allocation){
        .address = address,
        .monotonic_ns = monotonic_ns,
        .bytes = VG_READ_FIELD(slot, bytes),
        .stack_id = VG_READ_FIELD(slot, stack_id),
        .thread_id = VG_READ_FIELD(slot, thread_id),
        .device = VG_READ_FIELD(slot, device),
        .kind = VG_READ_FIELD(slot, kind),
        .context = VG_READ_FIELD(slot, context),
        .mapped_address = VG_READ_FIELD(slot, mapped_address),
        .capture = VG_READ_FIELD(slot, next_free),
    };
    atomic_thread_fence(memory_order_acquire);
    return address != 0 && atomic_load_explicit(&slot->address, memory_order_relaxed) == address &&
           VG_READ_FIELD(slot, monotonic_ns) == monotonic_ns;
}

static void write_slot(struct vg_live_slot *slot, const struct vg_allocation *allocation)
{
    VG_WRITE_FIELD(slot, bytes, allocation->bytes);
    VG_WRITE_FIELD(slot, monotonic_ns, allocation->monotonic_ns);
    VG_WRITE_FIELD(slot, stack_id, allocation->stack_id);
    VG_WRITE_FIELD(slot, thread_id, allocation->thread_id);
    VG_WRITE_FIELD(slot, device, allocation->device);
    VG_WRITE_FIELD(slot, kind, allocation->kind);
    VG_WRITE_FIELD(slot, context, allocation->context);
    VG_WRITE_FIELD(slot, mapped_address, 0);
    VG_WRITE_FIELD(slot, next_free, allocation->capture);
    atomic_store_explicit(&slot->address, allocation->address, memory_order_release);
}

/* Counts a new allocation: its site first, then the total (site_counters.h). */
static void count_slot(struct vg_live_index *track, struct vg_live_shard *shard,
                       struct vg_live_slot *slot)
{
    const uint64_t epoch = epoch_of(track, slot->device);
    slot->site = vg_site_find(&shard->sites, track->recorder, VG_SITE_ALLOCATION, slot->stack_id,
                              slot->device, epoch);
    if (slot->site)
        vg_site_count(vg_site_at(track->recorder, slot->site), slot->bytes, epoch);
    else
        atomic_fetch_add_explicit(&track->recorder->header->site_overflow_count, 1,
                                  memory_order_relaxed);
    count_locked(track, shard, slot->device, (int64_t)slot->bytes);
}

static void uncount_slot(struct vg_live_index *track, struct vg_live_shard *shard,
                         const struct vg_live_slot *slot)
{
    if (slot->site)
        vg_site_uncount(vg_site_at(track->recorder, slot->site), slot->bytes,
                        epoch_of(track, slot->device));
    count_locked(track, shard, slot->device, -(int64_t)slot->bytes);
}

/* The shard's lock is held, but vg_live_index_counts reads without it. */
static void count_one(uint64_t *count)
{
    __atomic_store_n(count, *count + 1, __ATOMIC_RELAXED);
}

static bool add_locked(struct vg_live_index *track, struct vg_live_shard *shard,
                       const struct vg_allocation *allocation, uint64_t hash)
{
    const uint32_t taken = vg_free_slots_take(&shard->free_list, track->recorder->slots,
                                              offsetof(struct vg_live_slot, next_free),
                                              track->recorder, vg_recorder_take_slots);
    if (taken == 0)
        return false;
    if (vg_address_index_add(&shard->index, &shard->arena, hash, taken - 1) != 0) {
        give_slot(track, shard, taken - 1);
        return false;
    }
    struct vg_live_slot *const slot = &track->recorder->slots[taken - 1];
    write_slot(slot, allocation);
    count_one(&shard->put_count);
    count_slot(track, shard, slot);
    return true;
}

/* Takes the record of `address` out of the index and the totals, and leaves its slot. Returns the
 * slot's number, VG_ADDRESS_NONE when there is none. The shard's lock is held. */
static uint32_t remove_locked(struct vg_live_index *track, struct vg_live_shard *shard,
                              uint64_t hash, uint64_t address)
{
    const struct vg_live_slot *const slots = track->recorder->slots;
    const uint32_t entry = vg_address_index_find(&shard->index, slots, hash, address);
    if (entry == VG_ADDRESS_NONE)
        return VG_ADDRESS_NONE;
    const uint32_t number = vg_address_index_slot(&shard->index, entry);
    vg_address_index_remove(&shard->index, entry);
    uncount_slot(track, shard, &slots[number]);
    return number;
}

static void clear_locked(struct vg_live_index *track, struct vg_live_shard *shard, uint32_t number)
{
    give_slot(track, shard, number);
    count_one(&shard->take_count);
}

int vg_live_index_put(struct vg_live_index *track, const struct vg_allocation *allocation)
{
    const uint64_t hash = vg_hash_u64(allocation->address);
    struct vg_live_shard *const shard = shard_of(track, hash);
    vg_lock_take(&shard->lock);
    const uint32_t stale = remove_locked(track, shard, hash, allocation->address);
    if (__builtin_expect(stale != VG_ADDRESS_NONE, 0)) {
        note_dropped(track, &track->recorder->slots[stale]);
        clear_locked(track, shard, stale);
    }
    const bool added = allocation->bytes < most_bytes && add_locked(track, shard, allocation, hash);
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
    const uint32_t number = remove_locked(track, shard, hash, address);
    if (number != VG_ADDRESS_NONE) {
        const struct vg_live_slot *const slot = &track->recorder->slots[number];
        *out = (struct vg_pending_free){
            .slot = number, .shard = shard, .bytes = slot->bytes, .device = slot->device
        };
    }
    vg_lock_release(&shard->lock);
    return number != VG_ADDRESS_NONE;
}

void vg_live_index_commit_free(struct vg_live_index *track, const struct vg_pending_free *taken)
{
    vg_lock_take(&taken->shard->lock);
    clear_locked(track, taken->shard, taken->slot);
    vg_lock_release(&taken->shard->lock);
}

void vg_live_index_abort_free(struct vg_live_index *track, const struct vg_pending_free *taken)
{
    struct vg_live_shard *const shard = taken->shard;
    struct vg_live_slot *const slot = &track->recorder->slots[taken->slot];
    vg_lock_take(&shard->lock);
    if (vg_address_index_add(&shard->index, &shard->arena, vg_hash_u64(slot->address),
                             taken->slot) == 0) {
        if (slot->site)
            vg_site_undo_free(vg_site_at(track->recorder, slot->site), slot->bytes,
                              epoch_of(track, slot->device));
        count_locked(track, shard, slot->device, (int64_t)slot->bytes);
    } else {
        note_dropped(track, slot); /* no memory: its end will not be seen */
    }
    vg_lock_release(&shard->lock);
}

void vg_live_index_note_mapped(struct vg_live_index *track, uint64_t key, uint64_t mapped_address)
{
    const uint64_t hash = vg_hash_u64(key);
    struct vg_live_shard *const shard = shard_of(track, hash);
    struct vg_live_slot *const slots = track->recorder->slots;
    vg_lock_take(&shard->lock);
    const uint32_t entry = vg_address_index_find(&shard->index, slots, hash, key);
    if (entry != VG_ADDRESS_NONE)
        VG_WRITE_FIELD(&slots[vg_address_index_slot(&shard->index, entry)], mapped_address,
                       mapped_address);
    vg_lock_release(&shard->lock);
}

/* The address may be gone or have been given out again, so all is looked at once more under the
 * lock. */
static void drop_one(struct vg_live_index *track, uint64_t address, uint64_t context)
{
    const uint64_t hash = vg_hash_u64(address);
    struct vg_live_shard *const shard = shard_of(track, hash);
    vg_lock_take(&shard->lock);
    const struct vg_live_slot *const slots = track->recorder->slots;
    const uint32_t entry = vg_address_index_find(&shard->index, slots, hash, address);
    if (entry != VG_ADDRESS_NONE &&
        slots[vg_address_index_slot(&shard->index, entry)].context == context) {
        const uint32_t number = remove_locked(track, shard, hash, address);
        note_dropped(track, &slots[number]);
        clear_locked(track, shard, number);
    }
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
        if (read_slot(&recorder->slots[i], &allocation))
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
