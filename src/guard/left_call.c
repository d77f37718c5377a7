#include "guard/left_call.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <unistd.h>

#include "base/cancellation.h"
#include "guard/oom_call.h"
#include "guard/process_state.h"
#include "os/fork_gate.h"
#include "os/mapped.h"
#include "os/stack_room.h"
#include "os/thread.h"
#include "wait/queue_wait.h"

static bool on_alternate_stack(void)
{
    stack_t stack;
    return sigaltstack(NULL, &stack) == 0 && (stack.ss_flags & SS_ONSTACK);
}

/* The frame may be on a stack that is gone. */
static bool is_intact(const struct vg_guard_frame *frame)
{
    return vg_is_readable(frame) &&
           *(const volatile uintptr_t *)&frame->mark == vg_guard_mark(frame);
}

static void leave_lines(struct vg_process_state *state)
{
    for (int device = 0; device < VG_FILE_HOST; device++) {
        struct vg_queue *const queue = state->registrations[device].queue;
        if (vg_queue_is_waited_for(queue))
            vg_queue_leave_all(queue, vg_process_owner_self(), (uint32_t)vg_thread_id());
    }
}

static void clean_up(void)
{
    struct vg_process_state *const state = atomic_load(&vg_process_current);
    vg_thread.inside = NULL;
    vg_thread_block_bus_errors();
    vg_cancellation_reset();
    vg_fork_gate_reset();
    vg_queue_wait_reset_thread();
    vg_stack_room_reset();
    if (!state || state->inert || !vg_fork_mark_intact())
        return;
    leave_lines(state);
    vg_oom_call_abandon(state);
}

bool vg_guard_was_left(uintptr_t frame, size_t bytes)
{
    const struct vg_guard_frame *const before = vg_thread.inside;
    const int saved_errno = errno;
    const bool left = !on_alternate_stack() && !vg_stack_room_is_in_use() &&
                      (frame + bytes > (uintptr_t)before || !is_intact(before));
    if (left)
        clean_up();
    errno = saved_errno;
    return left;
}
