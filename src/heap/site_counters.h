/* Counters by site: what each stack has allocated, freed and holds on each device, and what it held
 * when the device held most. They lie in the recorder file, so they are there after a SIGKILL, and
 * nothing is stored of single events.
 *
 * What a site held at the peak is known without looking at all sites when the peak rises: each rise
 * counts up the device's epoch, and a site that changes afterwards notes first what it held until
 * then (record/format.h, struct vg_site_slot). */
#ifndef VRAMGUARD_HEAP_SITE_COUNTERS_H
#define VRAMGUARD_HEAP_SITE_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "record/recorder.h"

struct vg_site_node;

enum { VG_SITES_RECENT = 16 };

/* Of a key, whose lower half is the stack's id. */
enum { VG_SITE_DEVICE_SHIFT = 32, VG_SITE_LEVEL_SHIFT = 48 };

/* The slots that one owner counts in, by their keys. Zeroed at first; guarded by the owner's lock,
 * as are the slots' counters. */
struct vg_site_table {
    struct vg_site_node *by_key; /* uthash head */
    struct vg_arena arena;
    struct {
        uint64_t key;
        uint64_t site;
    } recent[VG_SITES_RECENT]; /* those found last, each in the place of its key */
};

/* The rest of vg_site_find, for one that is not among those found last. */
uint32_t vg_site_find_key(struct vg_site_table *table, struct vg_recorder *recorder, uint64_t key,
                          uint64_t epoch);

/* The slot of this owner for stack `stack_id` on `device`, made when there is none: 1 + its number,
 * or 0 when there is no room. `epoch`: the device's, now. The owner's lock is held. */
static inline uint32_t vg_site_find(struct vg_site_table *table, struct vg_recorder *recorder,
                                    enum vg_site_level level, uint32_t stack_id, uint16_t device,
                                    uint64_t epoch)
{
    const uint64_t key = (uint64_t)level << VG_SITE_LEVEL_SHIFT |
                         (uint64_t)device << VG_SITE_DEVICE_SHIFT | stack_id;
    const unsigned place = stack_id % VG_SITES_RECENT;
    return __builtin_expect(table->recent[place].key == key, 1)
               ? (uint32_t)table->recent[place].site
               : vg_site_find_key(table, recorder, key, epoch);
}

/* The slot of the site that vg_site_find named; NULL for 0. */
static inline struct vg_site_slot *vg_site_at(struct vg_recorder *recorder, uint32_t site)
{
    return site ? &recorder->sites[site - 1] : NULL;
}

/* The owner's lock is held, but reports read without it. */
#define VG_SITE_SET(slot, field, value) __atomic_store_n(&(slot)->field, value, __ATOMIC_RELAXED)

/* Notes what the site held at the last peak, before it changes. The order of the stores is what a
 * reader of a killed process's file relies on. */
static inline void vg_site_sync(struct vg_site_slot *slot, uint64_t epoch)
{
    if (slot->peak_epoch == epoch)
        return;
    VG_SITE_SET(slot, peak_bytes, slot->live_bytes);
    VG_SITE_SET(slot, peak_count, slot->allocations - slot->frees);
    __atomic_store_n(&slot->peak_epoch, epoch, __ATOMIC_RELEASE);
}

/* Counts an allocation of `bytes`. `epoch`: the device's before this allocation. The owner's lock
 * is held. */
static inline void vg_site_count(struct vg_site_slot *slot, uint64_t bytes, uint64_t epoch)
{
    vg_site_sync(slot, epoch);
    VG_SITE_SET(slot, allocations, slot->allocations + 1);
    VG_SITE_SET(slot, live_bytes, slot->live_bytes + bytes);
    VG_SITE_SET(slot, allocated_bytes, slot->allocated_bytes + bytes);
}

/* Counts a free likewise. */
static inline void vg_site_uncount(struct vg_site_slot *slot, uint64_t bytes, uint64_t epoch)
{
    vg_site_sync(slot, epoch);
    VG_SITE_SET(slot, frees, slot->frees + 1);
    VG_SITE_SET(slot, live_bytes, slot->live_bytes - bytes);
}

/* Takes a counted free back: the driver has refused it. */
static inline void vg_site_undo_free(struct vg_site_slot *slot, uint64_t bytes, uint64_t epoch)
{
    vg_site_sync(slot, epoch);
    VG_SITE_SET(slot, frees, slot->frees - 1);
    VG_SITE_SET(slot, live_bytes, slot->live_bytes + bytes);
}

/* What the site held at its device's peak, whose epoch is `epoch`. Pure; for readers of any kind.
 */
static inline void vg_site_at_peak(const struct vg_site_slot *slot, uint64_t epoch,
                                   uint64_t *out_bytes, uint64_t *out_count)
{
    const bool noted = slot->peak_epoch == epoch;
    *out_bytes = noted ? slot->peak_bytes : slot->live_bytes;
    *out_count = noted ? slot->peak_count : slot->allocations - slot->frees;
}

/* Calls `visit` for every slot in use, with the epoch of its level and device. Several slots may
 * have the same key. Takes no lock: what is visited is a copy, which may be of a slot half
 * changed. */
void vg_site_counters_each(const struct vg_recorder *recorder,
                           void (*visit)(const struct vg_site_slot *slot, uint64_t epoch,
                                         void *argument),
                           void *argument);

/* The epoch that a slot's `peak_epoch` is compared with. */
uint64_t vg_site_epoch(const struct vg_file_header *header, const struct vg_site_slot *slot);

#endif
