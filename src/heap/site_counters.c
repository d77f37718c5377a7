#include "heap/site_counters.h"

#define VG_HASH_ARENA (&table->arena)
#include "base/hashing.h"

struct vg_site_node {
    uint64_t key; /* level, device and stack id */
    uint32_t site;
    UT_hash_handle hh;
};

static uint32_t make_slot(struct vg_recorder *recorder, enum vg_site_level level, uint32_t stack_id,
                          uint16_t device, uint64_t epoch)
{
    uint64_t index;
    if (vg_recorder_take_sites(recorder, 1, &index) != 0)
        return 0;
    struct vg_site_slot *const slot = &recorder->sites[index];
    slot->stack_id = stack_id;
    slot->device = device;
    slot->peak_epoch = epoch; /* it held nothing when the peak rose last */
    atomic_store_explicit(&slot->level, (uint16_t)level, memory_order_release);
    return (uint32_t)index + 1;
}

static uint32_t find_or_make(struct vg_site_table *table, struct vg_recorder *recorder,
                             uint64_t key, uint64_t epoch)
{
    struct vg_site_node *node = NULL;
    HASH_FIND(hh, table->by_key, &key, sizeof key, node);
    if (node)
        return node->site;
    node = vg_arena_alloc(&table->arena, sizeof *node);
    const uint32_t site =
        node ? make_slot(recorder, (enum vg_site_level)(key >> VG_SITE_LEVEL_SHIFT), (uint32_t)key,
                         (uint16_t)(key >> VG_SITE_DEVICE_SHIFT), epoch)
             : 0;
    if (site == 0)
        return 0;
    node->key = key;
    node->site = site;
    HASH_ADD(hh, table->by_key, key, sizeof node->key, node);
    return site; /* without an entry in the table a slot is made anew next time: they are added up
                  */
}

uint32_t vg_site_find_key(struct vg_site_table *table, struct vg_recorder *recorder, uint64_t key,
                          uint64_t epoch)
{
    const unsigned place = (uint32_t)key % VG_SITES_RECENT;
    const uint32_t site = find_or_make(table, recorder, key, epoch);
    if (site != 0) {
        table->recent[place].key = key;
        table->recent[place].site = site;
    }
    return site;
}

uint64_t vg_site_epoch(const struct vg_file_header *header, const struct vg_site_slot *slot)
{
    const uint16_t device = slot->device % VG_FILE_DEVICES;
    return slot->level == VG_SITE_BLOCK
               ? header->blocks[device].peak_epoch
               : atomic_load_explicit(&header->devices[device].peak_epoch, memory_order_relaxed);
}

#define READ_FIELD(slot, field) __atomic_load_n(&(slot)->field, __ATOMIC_RELAXED)

static struct vg_site_slot copy_slot(const struct vg_site_slot *slot)
{
    /* First: what was held at that peak was stored before it. */
    const uint64_t peak_epoch = __atomic_load_n(&slot->peak_epoch, __ATOMIC_ACQUIRE);
    return (struct vg_site_slot){
        .allocations = READ_FIELD(slot, allocations),
        .frees = READ_FIELD(slot, frees),
        .live_bytes = READ_FIELD(slot, live_bytes),
        .allocated_bytes = READ_FIELD(slot, allocated_bytes),
        .peak_epoch = peak_epoch,
        .peak_bytes = READ_FIELD(slot, peak_bytes),
        .peak_count = READ_FIELD(slot, peak_count),
        .stack_id = slot->stack_id, /* as the device, it never changes */
        .device = slot->device,
        .level = atomic_load_explicit(&slot->level, memory_order_relaxed),
    };
}

void vg_site_counters_each(const struct vg_recorder *recorder,
                           void (*visit)(const struct vg_site_slot *slot, uint64_t epoch,
                                         void *argument),
                           void *argument)
{
    const uint64_t usable = recorder->site_area.usable_bytes / sizeof(struct vg_site_slot);
    uint64_t count = recorder->header->site_slots;
    count = count < usable ? count : usable;
    for (uint64_t i = 0; i < count; i++) {
        const struct vg_site_slot *const slot = &recorder->sites[i];
        if (atomic_load_explicit(&slot->level, memory_order_acquire) == VG_SITE_NONE)
            continue;
        const struct vg_site_slot copy = copy_slot(slot);
        visit(&copy, vg_site_epoch(recorder->header, &copy), argument);
    }
}
