/* Capturing the native stack of the calling thread. */
#ifndef VRAMGUARD_GUARD_STACK_H
#define VRAMGUARD_GUARD_STACK_H

#include <stdbool.h>
#include <stdint.h>

#include "recorder/format.h"

struct vg_stack {
    uint32_t depth;
    bool truncated;
    uint64_t frames[VG_STACK_FRAMES]; /* program counters, innermost first */
};

/* Opens libunwind, privately (RTLD_LOCAL: loaded globally it would take over the exception handling
 * of programs that do not link libgcc_s). Called where the program itself is inside the loader or
 * makes its first CUDA call, never with a lock held. Without libunwind glibc's backtrace() serves,
 * slower, and one line says so. */
void vg_stack_open(void);

/* Captures the caller's stack, without the frames of this library. Depth 0 when no unwinder is
 * there. Takes no lock of ours; the unwinder may take the loader's object-list lock. */
void vg_stack_capture(struct vg_stack *out);

#endif
