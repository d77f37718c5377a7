/* Memory that lies on the host in the device's stead: where it is, whose place it takes, and how
 * much there is of it. Its entries outlive nothing else: what is in here is known to be ours, so a
 * free or a question about an address that is not in here goes to the driver unchanged. Knows
 * nothing of CUDA calls.
 *
 * Amounts are counted when they are reserved, before the host's memory is taken, and until it has
 * been given back: the sum never exceeds the cap, whatever the threads do. */
#ifndef VRAMGUARD_HEAP_SPILLED_H
#define VRAMGUARD_HEAP_SPILLED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/lock.h"

enum vg_spilled_what {
    VG_SPILLED_LINEAR,   /* an allocation, known by its address */
    VG_SPILLED_PHYSICAL, /* physical memory of the virtual memory functions, known by its key */
    VG_SPILLED_MAPPING,  /* addresses at which such memory is mapped; takes no memory of its own */
};

struct vg_spilled_range {
    uint64_t address; /* the first; of physical memory its key, which is above all addresses */
    uint64_t bytes;   /* as the program asked */
    uint64_t context; /* that it ends with; 0 for none */
    int32_t device;   /* ordinal of the device that the program believes it to be on */
    enum vg_spilled_what what;
};

struct vg_spilled_node;

/* All zero but the lock's rank at first. Every function takes the lock; any thread. */
struct vg_spilled {
    struct vg_lock lock;
    struct vg_arena arena;
    struct vg_spilled_node *root; /* a treap by address */
    struct vg_spilled_node *free_nodes;
    struct vg_spilled_node *deferred, **deferred_end; /* freed by the program, in use by its work */
    _Atomic uint64_t deferred_count;
    _Atomic uint64_t bytes;      /* reserved, live or deferred */
    _Atomic uint64_t peak_bytes; /* the most that was live or deferred */
    _Atomic uint64_t count;      /* allocations that were spilled so far */
    uint64_t reserved_bytes;     /* of `bytes`: not taken from the host yet */
    uint64_t settled_bytes;      /* ever taken from the host */
    _Atomic uint64_t cap_bytes;  /* 0 before the first reservation */
    _Atomic uint64_t told_bytes; /* what the last line said */
};

/* How many entries there are in this process (in a forked child: as many more as its parent had).
 * While it is 0 no address is in any table, and that is all that the usual call asks. */
extern _Atomic uint64_t vg_spilled_entries;

/* Memory has been shared with another process: nothing is spilled any more. */
extern atomic_bool vg_spilled_exported;

static inline bool vg_spilled_any(void)
{
    return __builtin_expect(atomic_load_explicit(&vg_spilled_entries, memory_order_relaxed) != 0,
                            0);
}

/* What the host has, measured before a reservation. */
struct vg_spilled_room {
    uint64_t cap_bytes;     /* that the user allows in all */
    uint64_t host_bytes;    /* that may still be taken from the host */
    uint64_t settled_bytes; /* from vg_spilled_settled, before host_bytes was measured */
};

/* Total taken from the host so far. */
uint64_t vg_spilled_settled(struct vg_spilled *spilled);

/* Reserves `bytes`. Returns 0, -EDQUOT when the cap would be exceeded, or -ENOMEM when the host has
 * not enough; what other threads have reserved or taken since `room` was measured is counted. To be
 * followed by vg_spilled_put of that many bytes or vg_spilled_cancel. */
int vg_spilled_reserve(struct vg_spilled *spilled, uint64_t bytes,
                       const struct vg_spilled_room *room);

void vg_spilled_cancel(struct vg_spilled *spilled, uint64_t bytes);

/* Adds memory that `range->bytes` were reserved for. Returns 0, or -ENOMEM without an entry; the
 * reservation is then still to be cancelled. */
int vg_spilled_put(struct vg_spilled *spilled, const struct vg_spilled_range *range);

/* The entry that `address` (or key) lies in. Returns whether there is one. */
bool vg_spilled_find(struct vg_spilled *spilled, uint64_t address, struct vg_spilled_range *out);

/* Takes the allocation that begins at `address`, or the physical memory with this key, out of the
 * table before its real end, since the driver may give the address to another thread at once. Its
 * bytes stay counted. Returns NULL when there is none. To be followed by one of the next three. */
struct vg_spilled_node *vg_spilled_take(struct vg_spilled *spilled, uint64_t address);

/* The host has the memory back. */
void vg_spilled_forget(struct vg_spilled *spilled, struct vg_spilled_node *node);

/* The driver refused: it is there as before. */
void vg_spilled_restore(struct vg_spilled *spilled, struct vg_spilled_node *node);

/* It ends when `event` has come to pass: queued until vg_spilled_next_deferred. */
void vg_spilled_defer(struct vg_spilled *spilled, struct vg_spilled_node *node, void *event);

/* Takes the oldest deferred entry from its queue, with its event and address; NULL for none. To be
 * followed by vg_spilled_forget or, when it is still in use, vg_spilled_defer. */
struct vg_spilled_node *vg_spilled_next_deferred(struct vg_spilled *spilled, void **out_event,
                                                 uint64_t *out_address);

/* `bytes` from `address` on are a mapping of the physical memory with `key`; nothing happens when
 * that is not in the table. */
void vg_spilled_map(struct vg_spilled *spilled, uint64_t address, uint64_t bytes, uint64_t key);

/* Takes out the mappings in [address, address + bytes), before the real unmapping. Returns their
 * chain, NULL for none. To be followed by vg_spilled_end_unmap. */
struct vg_spilled_node *vg_spilled_begin_unmap(struct vg_spilled *spilled, uint64_t address,
                                               uint64_t bytes);

/* The driver has unmapped them, or refused: then they are as before. */
void vg_spilled_end_unmap(struct vg_spilled *spilled, struct vg_spilled_node *chain, bool unmapped);

/* Forgets what ends with `context`, which the driver has destroyed with all in it. */
void vg_spilled_drop_context(struct vg_spilled *spilled, uint64_t context);

#endif
