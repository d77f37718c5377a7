#include "base/lock.h"

#include <errno.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifdef VG_DEBUG
static _Thread_local uint32_t held_ranks; /* bit n: a lock of rank n is held */

void vg_lock_note_taken(const struct vg_lock *lock)
{
    if (held_ranks >> lock->rank)
        __builtin_trap();
    held_ranks |= 1u << lock->rank;
}

void vg_lock_note_released(const struct vg_lock *lock)
{
    held_ranks &= ~(1u << lock->rank);
}
#endif

void vg_lock_wait(struct vg_lock *lock)
{
    const struct timespec pause = { .tv_nsec = 20000 };
    const int saved_errno = errno;
    for (unsigned spin = 1;; spin++) {
        uint32_t free_word = 0;
        if (atomic_load_explicit(&lock->word, memory_order_relaxed) == 0 &&
            atomic_compare_exchange_weak_explicit(&lock->word, &free_word, 1, memory_order_acquire,
                                                  memory_order_relaxed))
            break;
        if (spin % 200 == 0)
            syscall(SYS_nanosleep, &pause, NULL); /* libc's is a cancellation point */
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ volatile("yield");
#endif
    }
    errno = saved_errno;
}
