#include "base/lock.h"

#include <errno.h>
#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef VG_DEBUG
static _Thread_local uint32_t held_ranks; /* bit n: a lock of rank n is held */

static void note_taken(const struct vg_lock *lock)
{
    if (held_ranks >> lock->rank)
        __builtin_trap();
    held_ranks |= 1u << lock->rank;
}

static void note_released(const struct vg_lock *lock)
{
    held_ranks &= ~(1u << lock->rank);
}
#else
static void note_taken(const struct vg_lock *lock)
{
    (void)lock;
}

static void note_released(const struct vg_lock *lock)
{
    (void)lock;
}
#endif

bool vg_lock_try(struct vg_lock *lock)
{
    uint32_t free_word = 0;
    if (!atomic_compare_exchange_strong_explicit(&lock->word, &free_word, 1, memory_order_acquire,
                                                 memory_order_relaxed))
        return false;
    note_taken(lock);
    return true;
}

/* The three-state mutex of U. Drepper, "Futexes Are Tricky", section 5. */
static __attribute__((noinline)) void take_contended(struct vg_lock *lock)
{
    const int saved_errno = errno;
    for (int spin = 0; spin < 100; spin++) {
        uint32_t free_word = 0;
        if (atomic_load_explicit(&lock->word, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_weak_explicit(&lock->word, &free_word, 1, memory_order_acquire,
                                                  memory_order_relaxed))
            return;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    while (atomic_exchange_explicit(&lock->word, 2, memory_order_acquire) != 0)
        syscall(SYS_futex, &lock->word, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0);
    errno = saved_errno;
}

void vg_lock_take(struct vg_lock *lock)
{
    uint32_t free_word = 0;
    if (!atomic_compare_exchange_strong_explicit(&lock->word, &free_word, 1, memory_order_acquire,
                                                 memory_order_relaxed))
        take_contended(lock);
    note_taken(lock);
}

void vg_lock_release(struct vg_lock *lock)
{
    note_released(lock);
    if (atomic_exchange_explicit(&lock->word, 0, memory_order_release) == 2) {
        const int saved_errno = errno;
        syscall(SYS_futex, &lock->word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        errno = saved_errno;
    }
}
