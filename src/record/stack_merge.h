/* Native and Python frames of a recorded stack in one order. Pure, no memory of its own. */
#ifndef VRAMGUARD_RECORD_STACK_MERGE_H
#define VRAMGUARD_RECORD_STACK_MERGE_H

#include "record/format.h"

/* Where in a stack an iteration is; starts zeroed. */
struct vg_stack_cursor {
    uint32_t native, python; /* frames taken so far */
};

struct vg_stack_item {
    const struct vg_journal_python *python; /* a Python frame, else NULL */
    uint64_t address;                       /* of a native frame */
};

/* Gives the next frame, innermost first: a Python frame comes right before the native frame that
 * interprets it. Returns 0 when there are no more. */
static inline int vg_stack_next(const struct vg_journal_stack *stack,
                                struct vg_stack_cursor *cursor, struct vg_stack_item *out)
{
    const struct vg_journal_python *const python = vg_journal_stack_python(stack) + cursor->python;
    const int more_python = cursor->python < stack->python_depth;
    if (more_python && (python->at <= cursor->native || cursor->native >= stack->depth)) {
        *out = (struct vg_stack_item){ .python = python };
        cursor->python++;
        return 1;
    }
    if (cursor->native >= stack->depth)
        return 0;
    *out = (struct vg_stack_item){ .address = stack->frames[cursor->native++] };
    return 1;
}

#endif
