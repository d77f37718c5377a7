#include "heap/blocks.h"

#include <stddef.h>

#include "base/hashing.h"
#include "heap/free_slots.h"

_Static_assert(sizeof(struct vg_block_slot) == VG_ADDRESS_SLOT_BYTES &&
                   offsetof(struct vg_block_slot, address) == 0,
               "slots are as the index wants them");

void vg_blocks_init(struct vg_blocks *blocks, struct vg_recorder *recorder)
{
    blocks->recorder = recorder;
    for (int i = 0; i < VG_FILE_DEVICES; i++)
        blocks->shards[i].lock.rank = VG_LOCK_BLOCKS;
}

static struct vg_block_shard *shard_of(struct vg_blocks *blocks, uint16_t device)
{
    return &blocks->shards[device % VG_FILE_DEVICES];
}

static struct vg_file_blocks *totals_of(const struct vg_blocks *blocks, uint16_t device)
{
    return &blocks->recorder->header->blocks[device % VG_FILE_DEVICES];
}

/* ---- origins ---- */

/* The same stack is another site on another device. */
static uint64_t device_hash(uint16_t device, uint64_t hash)
{
    return hash + device * UINT64_C(0x9e3779b97f4a7c15);
}

bool vg_blocks_find_origin(const struct vg_blocks *blocks, uint16_t device, uint64_t hash,
                           struct vg_block_origin *out)
{
    hash = device_hash(device, hash);
    const struct vg_block_cache_entry *const set = blocks->cache[hash % VG_BLOCK_CACHE_SETS];
    for (int way = 0; way < VG_BLOCK_CACHE_WAYS; way++) {
        const uint64_t value = atomic_load_explicit(&set[way].value, memory_order_relaxed);
        const uint64_t check = atomic_load_explicit(&set[way].check, memory_order_relaxed);
        if ((check ^ value) != hash || value == 0)
            continue;
        *out = (struct vg_block_origin){ .stack_id = (uint32_t)value,
                                         .site = (uint32_t)(value >> 32) };
        return true;
    }
    return false;
}

static void cache_origin(struct vg_blocks *blocks, uint64_t hash, struct vg_block_origin origin)
{
    struct vg_block_cache_entry *const set = blocks->cache[hash % VG_BLOCK_CACHE_SETS];
    const uint64_t value = (uint64_t)origin.site << 32 | origin.stack_id;
    int way = (int)(hash >> 62); /* when all are in use */
    for (int i = VG_BLOCK_CACHE_WAYS; i-- > 0;)
        if (atomic_load_explicit(&set[i].value, memory_order_relaxed) == 0)
            way = i;
    atomic_store_explicit(&set[way].value, value, memory_order_relaxed);
    atomic_store_explicit(&set[way].check, hash ^ value, memory_order_relaxed);
}

struct vg_block_origin vg_blocks_add_origin(struct vg_blocks *blocks, uint16_t device,
                                            uint64_t hash, uint32_t stack_id)
{
    struct vg_block_shard *const shard = shard_of(blocks, device);
    vg_lock_take(&shard->lock);
    const struct vg_block_origin origin = {
        .stack_id = stack_id,
        .site = vg_site_find(&shard->sites, blocks->recorder, VG_SITE_BLOCK, stack_id, device,
                             totals_of(blocks, device)->peak_epoch),
    };
    vg_lock_release(&shard->lock);
    if (hash != 0 && origin.site != 0)
        cache_origin(blocks, device_hash(device, hash), origin);
    return origin;
}

/* ---- counting ---- */

static void note_told(struct vg_file_blocks *totals, const struct vg_block_sums *told)
{
    totals->told_allocated_bytes = told->allocated_bytes;
    totals->told_reserved_bytes = told->reserved_bytes;
}

/* The site first, then the total: what a site held at the peak is what it held when the total rose.
 * The device's lock is held. */
static void count_locked(struct vg_blocks *blocks, struct vg_block_shard *shard,
                         struct vg_block_slot *slot)
{
    struct vg_file_blocks *const totals = totals_of(blocks, slot->device);
    struct vg_site_slot *const site = vg_site_at(blocks->recorder, slot->site);
    if (site) {
        vg_site_count(site, slot->bytes, totals->peak_epoch);
        VG_WRITE_FIELD(slot, number, site->allocations);
    } else {
        atomic_fetch_add_explicit(&blocks->recorder->header->site_overflow_count, 1,
                                  memory_order_relaxed);
        VG_WRITE_FIELD(slot, number, 0);
    }
    VG_WRITE_FIELD(slot, device_number, ++totals->allocations);
    vg_passes_note(&shard->passes, totals->allocations, slot->maker);
    totals->allocated_bytes += slot->bytes;
    if (totals->allocated_bytes > totals->peak_bytes) {
        totals->peak_bytes = totals->allocated_bytes;
        totals->peak_monotonic_ns = slot->monotonic_ns;
        __atomic_store_n(&totals->peak_epoch, totals->peak_epoch + 1, __ATOMIC_RELEASE);
    }
}

static void uncount_locked(struct vg_blocks *blocks, const struct vg_block_slot *slot)
{
    struct vg_file_blocks *const totals = totals_of(blocks, slot->device);
    struct vg_site_slot *const site = vg_site_at(blocks->recorder, slot->site);
    if (site)
        vg_site_uncount(site, slot->bytes, totals->peak_epoch);
    totals->frees++;
    totals->allocated_bytes -= slot->bytes;
}

/* ---- blocks ---- */

static void give_slot(struct vg_blocks *blocks, struct vg_block_shard *shard, uint32_t number)
{
    vg_free_slots_give(&shard->free_list, blocks->recorder->blocks,
                       offsetof(struct vg_block_slot, next_free), number);
    vg_free_slots_end(blocks->recorder->blocks, number);
}

static bool make_ready(struct vg_block_shard *shard)
{
    if (__builtin_expect(!shard->ready, 0))
        shard->ready = vg_address_index_init(&shard->index, &shard->arena) == 0;
    return shard->ready;
}

/* Takes the block at `address` out of the index and the counts. Returns whether there was one. */
static bool take_locked(struct vg_blocks *blocks, struct vg_block_shard *shard, uint64_t hash,
                        uint64_t address)
{
    const struct vg_block_slot *const slots = blocks->recorder->blocks;
    const uint32_t entry = vg_address_index_find(&shard->index, slots, hash, address);
    if (entry == VG_ADDRESS_NONE)
        return false;
    const uint32_t number = vg_address_index_slot(&shard->index, entry);
    vg_address_index_remove(&shard->index, entry);
    uncount_locked(blocks, &slots[number]);
    give_slot(blocks, shard, number);
    return true;
}

static bool put_locked(struct vg_blocks *blocks, struct vg_block_shard *shard, uint64_t hash,
                       const struct vg_block *block)
{
    const uint32_t taken = vg_free_slots_take(&shard->free_list, blocks->recorder->blocks,
                                              offsetof(struct vg_block_slot, next_free),
                                              blocks->recorder, vg_recorder_take_blocks);
    if (taken == 0)
        return false;
    if (vg_address_index_add(&shard->index, &shard->arena, hash, taken - 1) != 0) {
        give_slot(blocks, shard, taken - 1);
        return false;
    }
    struct vg_block_slot *const slot = &blocks->recorder->blocks[taken - 1];
    VG_WRITE_FIELD(slot, bytes, block->bytes);
    VG_WRITE_FIELD(slot, monotonic_ns, block->monotonic_ns);
    VG_WRITE_FIELD(slot, stack_id, block->stack_id);
    VG_WRITE_FIELD(slot, thread_id, block->thread_id);
    VG_WRITE_FIELD(slot, device, block->device);
    VG_WRITE_FIELD(slot, maker, block->maker);
    VG_WRITE_FIELD(slot, site, block->site);
    count_locked(blocks, shard, slot);
    atomic_store_explicit(&slot->address, block->address, memory_order_release);
    return true;
}

void vg_blocks_put(struct vg_blocks *blocks, const struct vg_block *block,
                   const struct vg_block_sums *told)
{
    const uint64_t hash = vg_hash_u64(block->address);
    struct vg_block_shard *const shard = shard_of(blocks, block->device);
    struct vg_file_blocks *const totals = totals_of(blocks, block->device);
    vg_lock_take(&shard->lock);
    bool added = make_ready(shard);
    if (added) {
        take_locked(blocks, shard, hash, block->address);
        added = put_locked(blocks, shard, hash, block);
    }
    if (!added) {
        totals->lost_count++;
        totals->lost_bytes += block->bytes;
    }
    note_told(totals, told);
    vg_lock_release(&shard->lock);
    if (!vg_blocks_seen(blocks))
        atomic_store_explicit(&blocks->seen, true, memory_order_relaxed);
}

void vg_blocks_take(struct vg_blocks *blocks, uint16_t device, uint64_t address,
                    const struct vg_block_sums *told)
{
    struct vg_block_shard *const shard = shard_of(blocks, device);
    vg_lock_take(&shard->lock);
    if (shard->ready)
        take_locked(blocks, shard, vg_hash_u64(address), address);
    note_told(totals_of(blocks, device), told);
    vg_lock_release(&shard->lock);
}

void vg_blocks_note_refused(struct vg_blocks *blocks, uint16_t device,
                            const struct vg_block_sums *told)
{
    struct vg_block_shard *const shard = shard_of(blocks, device);
    vg_lock_take(&shard->lock);
    totals_of(blocks, device)->refused_count++;
    note_told(totals_of(blocks, device), told);
    vg_lock_release(&shard->lock);
}

/* ---- reading ---- */

static void describe_locked(const struct vg_blocks *blocks, const struct vg_block_shard *shard,
                            const struct vg_block_slot *slot, struct vg_block_found *out)
{
    const struct vg_site_slot *const site = vg_site_at(blocks->recorder, slot->site);
    *out = (struct vg_block_found){
        .bytes = slot->bytes,
        .device_number = slot->device_number,
        .number = slot->number,
        .site_count = site ? site->allocations : 0,
        .passes = vg_passes_before(&shard->passes, slot->device_number),
        .monotonic_ns = slot->monotonic_ns,
        .stack_id = slot->stack_id,
        .is_of_backward = slot->maker == VG_MADE_BY_BACKWARD,
    };
}

bool vg_blocks_find(struct vg_blocks *blocks, uint16_t device, uint64_t address,
                    struct vg_block_found *out)
{
    const struct vg_block_slot *const slots = blocks->recorder->blocks;
    struct vg_block_shard *const shard = shard_of(blocks, device);
    uint32_t entry = VG_ADDRESS_NONE;
    vg_lock_take(&shard->lock);
    if (shard->ready)
        entry = vg_address_index_find(&shard->index, slots, vg_hash_u64(address), address);
    if (entry != VG_ADDRESS_NONE)
        describe_locked(blocks, shard, &slots[vg_address_index_slot(&shard->index, entry)], out);
    vg_lock_release(&shard->lock);
    return entry != VG_ADDRESS_NONE;
}

/* Reads a slot that may change meanwhile. Returns false when it is not in use, or was given to
 * another block: PyTorch gives out the same address again and again, so the block's number tells.
 */
static bool read_slot(const struct vg_block_slot *slot, struct vg_block *out)
{
    const uint64_t address = atomic_load_explicit(&slot->address, memory_order_acquire);
    const uint64_t device_number = __atomic_load_n(&slot->device_number, __ATOMIC_ACQUIRE);
    if (address == 0)
        return false;
    *out = (struct vg_block){
        .address = address,
        .bytes = VG_READ_FIELD(slot, bytes),
        .monotonic_ns = VG_READ_FIELD(slot, monotonic_ns),
        .stack_id = VG_READ_FIELD(slot, stack_id),
        .thread_id = VG_READ_FIELD(slot, thread_id),
        .device = VG_READ_FIELD(slot, device),
        .site = VG_READ_FIELD(slot, site),
        .number = VG_READ_FIELD(slot, number),
        .device_number = device_number,
    };
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&slot->address, memory_order_relaxed) == address &&
           VG_READ_FIELD(slot, device_number) == device_number;
}

void vg_blocks_each(const struct vg_blocks *blocks,
                    void (*visit)(const struct vg_block *block, void *argument), void *argument)
{
    const struct vg_recorder *const recorder = blocks->recorder;
    const uint64_t usable = recorder->block_area.usable_bytes / sizeof(struct vg_block_slot);
    uint64_t count = recorder->header->block_slots;
    count = count < usable ? count : usable;
    struct vg_block block;
    for (uint64_t i = 0; i < count; i++)
        if (read_slot(&recorder->blocks[i], &block))
            visit(&block, argument);
}

struct vg_file_blocks vg_blocks_totals(const struct vg_blocks *blocks, uint16_t device)
{
    return *totals_of(blocks, device);
}
