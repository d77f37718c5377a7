/* Small ranked locks for the preload library: no pthread state, no malloc; one atomic instruction
 * to take, a plain store to release. What they guard is short, so who finds one taken spins a
 * little and then sleeps for some microseconds at a time: a sleep, unlike sched_yield, also lets a
 * holder of lower real-time priority go on. */
#ifndef VRAMGUARD_BASE_LOCK_H
#define VRAMGUARD_BASE_LOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A thread may take a lock only while all it holds have a smaller rank. Builds with -DVG_DEBUG
 * check this at each acquisition and stop the program when it is broken. */
enum vg_lock_rank {
    VG_LOCK_START = 1, /* guard: bringing the process state up */
    VG_LOCK_STACKS,
    VG_LOCK_MODULES,
    VG_LOCK_TRACK_SHARD,
    VG_LOCK_JOURNAL,
    VG_LOCK_AREA,
};

struct vg_lock {
    _Atomic uint32_t word; /* 0 free, 1 held */
    uint32_t rank;
};

#define VG_LOCK_INIT(lock_rank)                                                                    \
    {                                                                                              \
        .rank = (lock_rank)                                                                        \
    }

/* Not recursive. Never held across a driver call, a callback, dlopen or a wait. */
void vg_lock_take(struct vg_lock *lock);
bool vg_lock_try(struct vg_lock *lock);
void vg_lock_release(struct vg_lock *lock);

#endif
