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
    /* The first tables share mappings: one for each would be felt at every start. */
    struct vg_arena first_tables = { 0 };
    track->recorder = recorder;
    for (int i = 0; i < VG_LIVE_INDEX_SHARDS; i++) {
        struct vg_live_shard *const shard = &track->shards[i];
        shard->lock.rank = VG_LOCK_LIVE_SHARD;
        if (vg_address_index_init(&shard->index, &first_tables) != 0)
            return -ENOMEM;
    }
    return 0;
}

static struct vg_live_shard *shard_of(struct vg_live_index *track, uint64_t address, uint64_t hash)
{
    return &track->shards[vg_shard_of(address, hash)];
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

/* Adds what is pending to the device's total. The shard's lock is held. */
static __attribute__((noinline)) void flush_locked(struct vg_file_device *device, int64_t *pending)
{
    const uint64_t flushed = (uint64_t)*pending;
    *pending = 0;
    const uint64_t live_bytes =
        atomic_fetch_add_explicit(&device->live_bytes, flushed, memory_order_relaxed) + flushed;
    if ((int64_t)flushed > 0)
        raise_peak(device, live_bytes);
}

/* Counts `change` bytes more (or fewer) live on the device. The shard's lock is held. */
static inline void count_locked(struct vg_live_index *track, struct vg_live_shard *shard,
                                uint16_t device, int64_t change)
{
    int64_t *const pending = &shard->pending_bytes[device % VG_FILE_DEVICES];
    const int64_t sum = *pending + change;
    *pending = sum;
    if (sum >= VG_LIVE_INDEX_PENDING_BYTES || sum <= -VG_LIVE_INDEX_PENDING_BYTES)
        flush_locked(device_of(track, device), pending);
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
        .capture = VG_READ_FIELD(slot, capture),
    };
    atomic_thread_fence(memory_order_acquire);
    return address != 0 && atomic_load_explicit(&slot->address, memory_order_relaxed) == address &&
           VG_READ_FIELD(slot, monotonic_ns) == monotonic_ns;
}

static inline void write_slot(struct vg_live_slot *slot, const struct vg_allocation *allocation)
{
    VG_WRITE_FIELD(slot, bytes, allocation->bytes);
    VG_WRITE_FIELD(slot, monotonic_ns, allocation->monotonic_ns);
    VG_WRITE_FIELD(slot, stack_id, allocation->stack_id);
    VG_WRITE_FIELD(slot, thread_id, allocation->thread_id);
    VG_WRITE_FIELD(slot, device, allocation->device);
    VG_WRITE_FIELD(slot, kind, allocation->kind);
    VG_WRITE_FIELD(slot, context, allocation->context);
    VG_WRITE_FIELD(slot, mapped_address, 0);
    VG_WRITE_FIELD(slot, capture, allocation->capture);
    atomic_store_explicit(&slot->address, allocation->address, memory_order_release);
}

/* Counts a new allocation: its site first, then the total (site_counters.h). */
static inline void count_slot(struct vg_live_index *track, struct vg_live_shard *shard,
                              struct vg_live_slot *slot, const struct vg_allocation *allocation)
{
    struct vg_recorder *const recorder = track->recorder;
    const uint64_t epoch = epoch_of(track, allocation->device);
    const uint32_t site = vg_site_find(&shard->sites, recorder, VG_SITE_ALLOCATION,
                                       allocation->stack_id, allocation->device, epoch);
    slot->site = site;
    if (site)
        vg_site_count(vg_site_at(recorder, site), allocation->bytes, epoch);
    else
        atomic_fetch_add_explicit(&recorder->header->site_overflow_count, 1, memory_order_relaxed);
    count_locked(track, shard, allocation->device, (int64_t)allocation->bytes);
}

static inline void uncount_slot(struct vg_live_index *track, struct vg_live_shard *shard,
                                const struct vg_live_slot *slot)
{
    const uint64_t bytes = slot->bytes;
    const uint16_t device = slot->device;
    if (slot->site)
        vg_site_uncount(vg_site_at(track->recorder, slot->site), bytes, epoch_of(track, device));
    count_locked(track, shard, device, -(int64_t)bytes);
}

/* The shard's lock is held, but vg_live_index_counts reads without it. */
static inline void count_more(uint64_t *count, int64_t more)
{
    __atomic_store_n(count, *count + (uint64_t)more, __ATOMIC_RELAXED);
}

/* At `entry` of the index, which has room. */
static inline bool add_locked(struct vg_live_index *track, struct vg_live_shard *shard,
                              const struct vg_allocation *allocation, uint64_t hash, uint32_t entry)
{
    struct vg_recorder *const recorder = track->recorder;
    const uint32_t taken = vg_free_slots_take(&shard->free_list, recorder->slots,
                                              offsetof(struct vg_live_slot, next_free), recorder,
                                              vg_recorder_take_slots);
    if (taken == 0)
        return false;
    vg_address_index_enter(&shard->index, entry, hash, taken - 1);
    struct vg_live_slot *const slot = &recorder->slots[taken - 1];
    write_slot(slot, allocation);
    count_more(&shard->put_count, 1);
    count_slot(track, shard, slot, allocation);
    return true;
}

/* Takes an entry out of the index and its record out of the totals, and gives the slot back, which
 * stays in use. Returns the slot's number. The shard's lock is held. */
static inline __attribute__((always_inline)) uint32_t
remove_locked(struct vg_live_index *track, struct vg_live_shard *shard, uint32_t entry)
{
    const uint32_t number = vg_address_index_slot(&shard->index, entry);
    vg_address_index_remove(&shard->index, entry);
    uncount_slot(track, shard, &track->recorder->slots[number]);
    count_more(&shard->take_count, 1);
    vg_free_slots_give(&shard->free_list, track->recorder->slots,
                       offsetof(struct vg_live_slot, next_free), number);
    return number;
}

/* The record behind `entry` has ended without being taken. The shard's lock is held. */
static __attribute__((noinline)) void drop_locked(struct vg_live_index *track,
                                                  struct vg_live_shard *shard, uint32_t entry)
{
    const uint32_t number = remove_locked(track, shard, entry);
    note_dropped(track, &track->recorder->slots[number]);
    vg_free_slots_end(track->recorder->slots, number);
}

int vg_live_index_put(struct vg_live_index *track, const struct vg_allocation *allocation)
{
    const uint64_t address = allocation->address;
    const uint64_t hash = vg_hash_u64(address);
    struct vg_live_shard *const shard = shard_of(track, address, hash);
    const struct vg_live_slot *const slots = track->recorder->slots;
    uint32_t entry;
    vg_lock_take(&shard->lock);
    bool added = vg_address_index_reserve(&shard->index, &shard->arena) == 0;
    if (__builtin_expect(vg_address_index_seek(&shard->index, slots, hash, address, &entry), 0)) {
        drop_locked(track, shard, entry);
        vg_address_index_seek(&shard->index, slots, hash, address, &entry);
    }
    added = added && allocation->bytes < most_bytes &&
            add_locked(track, shard, allocation, hash, entry);
    vg_lock_release(&shard->lock);
    if (__builtin_expect(added, 1))
        return 0;
    atomic_fetch_add(&track->lost_count, 1);
    atomic_fetch_add(&track->lost_bytes, allocation->bytes);
    return -ENOMEM;
}

bool vg_live_index_begin_free(struct vg_live_index *track, uint64_t address,
                              struct vg_pending_free *out)
{
    const uint64_t hash = vg_hash_u64(address);
    struct vg_live_shard *const shard = shard_of(track, address, hash);
    const struct vg_live_slot *const slots = track->recorder->slots;
    uint32_t entry;
    vg_lock_take(&shard->lock);
    const bool found = vg_address_index_seek(&shard->index, slots, hash, address, &entry);
    if (found) {
        const uint32_t number = remove_locked(track, shard, entry);
        *out = (struct vg_pending_free){ .slot = number,
                                         .shard = shard,
                                         .bytes = slots[number].bytes,
                                         .device = slots[number].device };
    }
    vg_lock_release(&shard->lock);
    return found;
}

void vg_live_index_abort_free(struct vg_live_index *track, const struct vg_pending_free *taken)
{
    struct vg_live_shard *const shard = taken->shard;
    struct vg_live_slot *const slots = track->recorder->slots;
    struct vg_live_slot *const slot = &slots[taken->slot];
    vg_lock_take(&shard->lock);
    if (vg_address_index_add(&shard->index, &shard->arena, vg_hash_u64(slot->address),
                             taken->slot) == 0) {
        vg_free_slots_keep(&shard->free_list, slots, offsetof(struct vg_live_slot, next_free),
                           taken->slot);
        count_more(&shard->take_count, -1);
        if (slot->site)
            vg_site_undo_free(vg_site_at(track->recorder, slot->site), slot->bytes,
                              epoch_of(track, slot->device));
        count_locked(track, shard, slot->device, (int64_t)slot->bytes);
    } else {
        note_dropped(track, slot); /* no memory: its end will not be seen */
        vg_free_slots_end(slots, taken->slot);
    }
    vg_lock_release(&shard->lock);
}

void vg_live_index_note_mapped(struct vg_live_index *track, uint64_t key, uint64_t mapped_address)
{
    const uint64_t hash = vg_hash_u64(key);
    struct vg_live_shard *const shard = shard_of(track, key, hash);
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
    struct vg_live_shard *const shard = shard_of(track, address, hash);
    vg_lock_take(&shard->lock);
    const struct vg_live_slot *const slots = track->recorder->slots;
    const uint32_t entry = vg_address_index_find(&shard->index, slots, hash, address);
    if (entry != VG_ADDRESS_NONE &&
        slots[vg_address_index_slot(&shard->index, entry)].context == context)
        drop_locked(track, shard, entry);
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
