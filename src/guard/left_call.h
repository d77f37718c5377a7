/* Calls that a thread has left otherwise than by their end: a signal handler of the program's
 * jumped out of a wait (siglongjmp), or an exception went through it. Nobody tells; it is noticed
 * at the thread's next call, which then is no nested one. */
#ifndef VRAMGUARD_GUARD_LEFT_CALL_H
#define VRAMGUARD_GUARD_LEFT_CALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Where a call is inside the guard: on the stack of its wrapper. */
struct vg_guard_frame {
    uintptr_t mark; /* vg_guard_mark, from entering on; what overwrites it comes after the call */
};

static inline uintptr_t vg_guard_mark(const struct vg_guard_frame *frame)
{
    return (uintptr_t)frame ^ (uintptr_t)UINT64_C(0x5ee1f7a3c90b82d4);
}

/* This thread is inside the guard (vg_thread.inside) and makes a call at `frame`: has the one
 * before been left? Then what it left behind is cleaned up: places in line, its cancellation and
 * signals, memory, counts. False: the call is nested in it. By the stack: `bytes` at `frame` that
 * are not all below the other frame, or below one that has been overwritten, are no nested call's;
 * in a handler on the alternate signal stack one cannot tell, and it counts as nested, as does one
 * below a frame that chance has left alone (its allocation is then not recorded). Any thread; no
 * lock of ours may be held.
 */
bool vg_guard_was_left(uintptr_t frame, size_t bytes);

#endif
