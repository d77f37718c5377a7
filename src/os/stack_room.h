/* How much room the calling thread has left on its stack, and room of our own where that is too
 * little. Threads may have 16 KiB (PTHREAD_STACK_MIN), of which the program has used what it has
 * used; a stack is captured in some 16 KiB, a failure described in more. */
#ifndef VRAMGUARD_OS_STACK_ROOM_H
#define VRAMGUARD_OS_STACK_ROOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The lowest address of the calling thread's stack; 0 for the main thread, whose stack is large and
 * would be looked for in /proc, and where the C library cannot tell. Any thread, any time. */
uintptr_t vg_stack_lowest(void);

/* Are `bytes` left below the caller's frame? `lowest`: of vg_stack_lowest in this thread. A caller
 * on a stack that is not the thread's own (a fiber's) is taken to have room. */
static inline bool vg_stack_has_room(uintptr_t lowest, size_t bytes)
{
    return (uintptr_t)__builtin_frame_address(0) - lowest >= bytes;
}

/* Calls `function` with `argument`; where less than 64 KiB are left, on a stack of 256 KiB that
 * lasts as long as the call, in the same thread (on the caller's when no memory is to be had).
 * `lowest`: of vg_stack_lowest. An unwinder sees the callers; who leaves the call, as siglongjmp
 * does, leaves that stack to vg_stack_room_reset. errno is `function`'s. No lock of ours may be
 * held. */
void vg_stack_room_call(uintptr_t lowest, void (*function)(void *argument), void *argument);

/* Is the caller on such a stack? */
bool vg_stack_room_is_in_use(void);

/* The thread has left code of ours otherwise than by its end: gives the stack back. The caller is
 * not on it. */
void vg_stack_room_reset(void);

#endif
