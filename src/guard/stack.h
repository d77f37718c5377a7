/* Capturing the stack of the calling thread. */
#ifndef VRAMGUARD_GUARD_STACK_H
#define VRAMGUARD_GUARD_STACK_H

#include <stdbool.h>
#include <stdint.h>

#include "guard/python_stack.h"
#include "recorder/recorder.h"

struct vg_stack {
    uint32_t depth;
    bool truncated;
    uint64_t frames[VG_STACK_FRAMES]; /* program counters, innermost first */
    struct vg_python_stack python;
};

/* What is captured: the VRAMGUARD_STACKS option. */
struct vg_stack_choice {
    bool native, python;
};

/* Gets ready for what `choice` asks for. Opens libunwind, privately (RTLD_LOCAL: loaded globally it
 * would take over the exception handling of programs that do not link libgcc_s). Called where the
 * program itself is inside the loader or makes its first CUDA call, never with a lock held. Without
 * libunwind glibc's backtrace() serves, slower, and one line says so. */
void vg_stack_open(struct vg_stack_choice choice);

/* Captures the caller's stack, without the frames of this library. Depth 0 when no unwinder is
 * there. Takes no lock of ours; the unwinder may take the loader's object-list lock. */
void vg_stack_capture(struct vg_stack_choice choice, struct vg_stack *out);

/* Id of the captured stack in `recorder`, which records it when it is new; 0 when there is nothing
 * to record. In the thread and at the call that captured it. No lock of ours may be held. */
uint32_t vg_stack_record(struct vg_stack_choice choice, struct vg_stack *stack,
                         struct vg_recorder *recorder);

#endif
