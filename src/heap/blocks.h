/* The live blocks of PyTorch's caching allocator, as it tells of them itself: an index over the
 * slots of the recorder's area of blocks, by device address. They lie inside allocations of the
 * live index and share the address of the first of each, so they have an index and counters of
 * their own and are in no total of the driver's memory.
 *
 * Sharded by device: PyTorch's allocator has a lock for each device and holds it while it tells of
 * a block, so threads do not meet here. Nothing is allocated with malloc, and no system call is
 * made but when an area or a table grows. */
#ifndef VRAMGUARD_HEAP_BLOCKS_H
#define VRAMGUARD_HEAP_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/lock.h"
#include "heap/address_index.h"
#include "heap/passes.h"
#include "heap/site_counters.h"
#include "record/recorder.h"

/* Sets of the cache by which a stack's site is found without a lock. */
enum { VG_BLOCK_CACHE_SETS = 1024, VG_BLOCK_CACHE_WAYS = 4 };

struct vg_block_shard {
    struct vg_lock lock;
    uint32_t free_list; /* 1 + number of a free slot, which names the next; 0 none */
    bool ready;         /* the index has been made */
    struct vg_address_index index;
    struct vg_site_table sites;
    struct vg_passes passes;
    struct vg_arena arena;
} __attribute__((aligned(64)));

struct vg_blocks {
    struct vg_recorder *recorder;
    _Atomic bool seen; /* has PyTorch told of a block? */
    struct vg_block_shard shards[VG_FILE_DEVICES];
    /* What vg_blocks_find_origin returns, by hash. Two words that only fit each other when they
     * were written together, so that a torn entry is none. */
    struct vg_block_cache_entry {
        _Atomic uint64_t check; /* hash ^ value */
        _Atomic uint64_t value; /* site << 32 | stack id */
    } cache[VG_BLOCK_CACHE_SETS][VG_BLOCK_CACHE_WAYS] __attribute__((aligned(64)));
};

/* Where a block comes from. */
struct vg_block_origin {
    uint32_t stack_id; /* of the recorder's dictionary, 0 none */
    uint32_t site;     /* 1 + number of its slot, 0 none */
};

/* A block that PyTorch has given out. */
struct vg_block {
    uint64_t address;
    uint64_t bytes;
    uint64_t monotonic_ns; /* CLOCK_MONOTONIC_COARSE */
    uint32_t stack_id;
    uint32_t thread_id;
    uint16_t device;
    uint16_t maker; /* enum vg_block_maker */
    uint32_t site;
    uint64_t number;        /* which of its site's allocations it is, from 1 */
    uint64_t device_number; /* and which of its device's */
};

/* A live block, and when it came. */
struct vg_block_found {
    uint64_t bytes;
    uint64_t device_number; /* which of its device's blocks it was, from 1 */
    uint64_t number;        /* which of its site's, of `site_count` up to now; 0 not counted */
    uint64_t site_count;
    uint64_t passes; /* backward passes that had begun by then (passes.h) */
    uint64_t monotonic_ns;
    uint32_t stack_id;
    bool is_of_backward; /* one of these made it */
};

/* What PyTorch says of a device's allocator with each block. */
struct vg_block_sums {
    uint64_t allocated_bytes, reserved_bytes;
};

/* Sets up `blocks` (zeroed memory at a fixed address) over an opened recorder. */
void vg_blocks_init(struct vg_blocks *blocks, struct vg_recorder *recorder);

/* What is cached for a stack with this hash on `device`. Returns false when nothing is. Any thread,
 * no lock. */
bool vg_blocks_find_origin(const struct vg_blocks *blocks, uint16_t device, uint64_t hash,
                           struct vg_block_origin *out);

/* The origin of stack `stack_id` on `device`, cached under `hash` (0: not cached). Takes the
 * device's lock. Any thread. */
struct vg_block_origin vg_blocks_add_origin(struct vg_blocks *blocks, uint16_t device,
                                            uint64_t hash, uint32_t stack_id);

/* Records a block and counts it: address, bytes, time, thread, maker, device and origin of
 * `block` are used. An older record of the same address is one whose end nobody saw; it is dropped.
 * `told`: PyTorch's sums after it. Any thread, also under PyTorch's locks. */
void vg_blocks_put(struct vg_blocks *blocks, const struct vg_block *block,
                   const struct vg_block_sums *told);

/* PyTorch has taken the block at `address` back. One that is not known is ignored. */
void vg_blocks_take(struct vg_blocks *blocks, uint16_t device, uint64_t address,
                    const struct vg_block_sums *told);

/* PyTorch's allocator has given up on a request on `device`. */
void vg_blocks_note_refused(struct vg_blocks *blocks, uint16_t device,
                            const struct vg_block_sums *told);

/* Does a live block of `device` begin at `address`? Takes the device's lock. Any thread. */
bool vg_blocks_find(struct vg_blocks *blocks, uint16_t device, uint64_t address,
                    struct vg_block_found *out);

/* Calls `visit` for every live block of all devices. Takes no lock: a block that comes or goes
 * meanwhile may or may not be seen, and one whose slot is reused meanwhile is seen as one or the
 * other. Any thread. */
void vg_blocks_each(const struct vg_blocks *blocks,
                    void (*visit)(const struct vg_block *block, void *argument), void *argument);

/* What is counted of `device`, read while others count: each number is exact, together they may be
 * one call apart. Any thread. */
struct vg_file_blocks vg_blocks_totals(const struct vg_blocks *blocks, uint16_t device);

/* Has PyTorch told of any block in this process? */
static inline bool vg_blocks_seen(const struct vg_blocks *blocks)
{
    return atomic_load_explicit(&blocks->seen, memory_order_relaxed);
}

#endif
