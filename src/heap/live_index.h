/* The live allocations of this process: an index over the slots of the recorder's live area, by
 * device address. Knows nothing of CUDA calls.
 *
 * Sharded by address, so that threads seldom meet at a lock. A free touches two cold cache lines:
 * one of the index and the slot. */
#ifndef VRAMGUARD_HEAP_LIVE_INDEX_H
#define VRAMGUARD_HEAP_LIVE_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/lock.h"
#include "base/shard.h"
#include "heap/address_index.h"
#include "heap/free_slots.h"
#include "heap/site_counters.h"
#include "record/recorder.h"

enum {
    VG_LIVE_INDEX_SHARDS = VG_SHARDS,
    /* The live bytes and the peak in the recorder's header are exact to this times the number of
     * shards, 1 MiB; vg_live_index_each is exact. */
    VG_LIVE_INDEX_PENDING_BYTES = 32 * 1024,
};

struct vg_live_shard {
    struct vg_lock lock;
    uint32_t free_list; /* 1 + number of a free slot, which names the next; 0 none */
    struct vg_address_index index;
    struct vg_arena arena;
    uint64_t put_count, take_count;
    /* Changes of a device's live bytes that are not in its totals yet: totals are shared by all
     * threads, so small allocations are added in sums. Less than VG_LIVE_INDEX_PENDING_BYTES. */
    int64_t pending_bytes[VG_FILE_DEVICES];
    struct vg_site_table sites;
} __attribute__((aligned(64)));

struct vg_live_index {
    struct vg_recorder *recorder;
    struct vg_live_shard shards[VG_LIVE_INDEX_SHARDS];
    _Atomic uint64_t lost_count, lost_bytes; /* allocations there was no memory to record */
    /* Bytes of records that ended otherwise than by being taken, until somebody asks for them. */
    _Atomic uint64_t dropped_bytes[VG_FILE_DEVICES];
};

/* What is known of one allocation. */
struct vg_allocation {
    uint64_t address;
    uint64_t bytes;
    uint64_t monotonic_ns;
    uint32_t stack_id;
    uint32_t thread_id;
    uint16_t device;         /* index into the recorder header's devices */
    uint16_t kind;           /* enum vg_kind */
    uint64_t context;        /* 0: does not end with a context */
    uint64_t mapped_address; /* set by vg_live_index_note_mapped; 0 */
    uint32_t capture;        /* made for this capture (vg_captures_allocating), 0 for none */
};

/* Sets up `track` (zeroed memory at a fixed address) over an opened recorder. Returns 0 or
 * -ENOMEM. */
int vg_live_index_init(struct vg_live_index *track, struct vg_recorder *recorder);

/* Records a live allocation and adds it to its device's totals. An older record of the same address
 * is one whose end nobody saw; it is dropped. Returns 0, or -ENOMEM when there was no memory for a
 * record; the allocation is then only counted as lost. Any thread. */
int vg_live_index_put(struct vg_live_index *track, const struct vg_allocation *allocation);

/* An allocation between being taken out of the index and the driver's answer. */
struct vg_pending_free {
    struct vg_live_shard *shard;
    uint64_t bytes;
    uint32_t slot; /* its number */
    uint16_t device;
};

/* Takes the allocation at `address` out of the index and the totals. Returns whether there was one.
 * Called before the real free, since another thread may be given the same address the moment the
 * driver has it back. To be followed by exactly one of the two below. Any thread. */
bool vg_live_index_begin_free(struct vg_live_index *track, uint64_t address,
                              struct vg_pending_free *out);

/* The driver has freed it: its record is cleared. Takes no lock: the slot has been given back, and
 * is used again once its address is 0. */
static inline void vg_live_index_commit_free(struct vg_live_index *track,
                                             const struct vg_pending_free *taken)
{
    vg_free_slots_end(track->recorder->slots, taken->slot);
}

/* The driver refused: it is live as before. */
void vg_live_index_abort_free(struct vg_live_index *track, const struct vg_pending_free *taken);

/* Bytes on `device` that have left the index since this was last asked, other than by being taken:
 * with their context, or because their end was not seen. Any thread. */
uint64_t vg_live_index_take_dropped(struct vg_live_index *track, uint16_t device);

/* Forgets every allocation of `context`, which the driver has destroyed with all in it. */
void vg_live_index_drop_context(struct vg_live_index *track, uint64_t context);

/* The virtual memory recorded under `key` is mapped at `mapped_address` now. Any thread. */
void vg_live_index_note_mapped(struct vg_live_index *track, uint64_t key, uint64_t mapped_address);

/* Calls `visit` for every live allocation. Takes no lock: an allocation that comes or goes
 * meanwhile may or may not be seen, and one whose slot is reused meanwhile is seen as one or the
 * other. */
void vg_live_index_each(const struct vg_live_index *track,
                        void (*visit)(const struct vg_allocation *allocation, void *argument),
                        void *argument);

/* Totals of all shards so far: allocations recorded and taken. */
void vg_live_index_counts(const struct vg_live_index *track, uint64_t *out_puts,
                          uint64_t *out_takes);

#endif
