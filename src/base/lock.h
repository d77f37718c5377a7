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
    VG_LOCK_QUOTA,     /* guard: finding the account of a limited device */
    VG_LOCK_HANDLES,   /* track: virtual memory, pools */
    VG_LOCK_STACKS,
    VG_LOCK_MODULES,
    VG_LOCK_LIVE_SHARD,
    VG_LOCK_BLOCKS, /* the blocks of one device */
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

/* The rest of vg_lock_take when somebody else holds the lock. */
void vg_lock_wait(struct vg_lock *lock);

#ifdef VG_DEBUG
void vg_lock_note_taken(const struct vg_lock *lock);
void vg_lock_note_released(const struct vg_lock *lock);
#else
static inline void vg_lock_note_taken(const struct vg_lock *lock)
{
    (void)lock;
}

static inline void vg_lock_note_released(const struct vg_lock *lock)
{
    (void)lock;
}
#endif

/* Not recursive. Never held across a driver call, a callback, dlopen or a wait. */
static inline void vg_lock_take(struct vg_lock *lock)
{
    uint32_t free_word = 0;
    if (__builtin_expect(!atomic_compare_exchange_strong_explicit(&lock->word, &free_word, 1,
                                                                  memory_order_acquire,
                                                                  memory_order_relaxed),
                         0))
        vg_lock_wait(lock);
    vg_lock_note_taken(lock);
}

static inline void vg_lock_release(struct vg_lock *lock)
{
    vg_lock_note_released(lock);
    atomic_store_explicit(&lock->word, 0, memory_order_release);
}

#endif
