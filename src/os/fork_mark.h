/* Knowing, without a system call, that this is no longer the process that made the state.
 *
 * One page of memory that the kernel wipes in every child of fork (madvise MADV_WIPEONFORK, Linux
 * 4.14), however the child is made: fork, _Fork or clone. Where the kernel cannot, a
 * pthread_atfork handler wipes it. The start lock lives in the page too: a child whose parent's
 * other thread held it gets it free. */
#ifndef VRAMGUARD_OS_FORK_MARK_H
#define VRAMGUARD_OS_FORK_MARK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"

struct vg_fork_page {
    _Atomic uint32_t intact;
    struct vg_lock start_lock;
};

extern struct vg_fork_page *_Atomic vg_fork_page; /* never NULL; use the functions */

/* Has vg_fork_mark_set been called in this very process? */
static inline bool vg_fork_mark_intact(void)
{
    struct vg_fork_page *const page = atomic_load_explicit(&vg_fork_page, memory_order_relaxed);
    return atomic_load_explicit(&page->intact, memory_order_relaxed) != 0;
}

/* Marks this process. Needs vg_fork_mark_lock to have been called. */
void vg_fork_mark_set(void);

/* The state is no longer to be used, although this is its process: it is made anew as in a child.
 * Async-signal-safe. */
void vg_fork_mark_break(void);

/* The lock under which the process's state is made. Makes the page on first use. */
struct vg_lock *vg_fork_mark_lock(void);

#endif
