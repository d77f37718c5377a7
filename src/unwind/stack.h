/* Capturing the stack of the calling thread. */
#ifndef VRAMGUARD_UNWIND_STACK_H
#define VRAMGUARD_UNWIND_STACK_H

#include <stdbool.h>
#include <stdint.h>

#include "record/recorder.h"

struct vg_stack {
    uint32_t depth;
    bool truncated;                   /* of the native or of the Python frames */
    uint64_t frames[VG_STACK_FRAMES]; /* program counters, innermost first */
};

/* What is captured: the VRAMGUARD_STACKS option. */
struct vg_stack_choice {
    bool native, python;
};

/* Gets ready for what `choice` asks for. Opens libunwind, privately (RTLD_LOCAL: loaded globally it
 * would take over the exception handling of programs that do not link libgcc_s). Called where the
 * program itself is inside the loader or makes its first CUDA call, never with a lock held. Without
 * libunwind glibc's backtrace() serves, slower; where it is installed and cannot be used, one line
 * says so. */
void vg_stack_open(struct vg_stack_choice choice);

/* Captures the caller's native stack, whatever is chosen; records nothing. Where none has been
 * opened, glibc's backtrace() does it, and the frames of this library come first. */
void vg_stack_capture(struct vg_stack *out);

/* Captures the caller's stack, without the frames of this library, and returns its id in
 * `recorder`, which records it when it is new; 0 when there is nothing to record or it cannot be
 * kept. The native part is left in `out`: depth 0 when it is not wanted or no unwinder is there.
 * errno is preserved. No lock of ours may be held; the loader's object-list lock may be taken. */
uint32_t vg_stack_take(struct vg_stack_choice choice, struct vg_recorder *recorder,
                       struct vg_stack *out);

/* The hash of the calling thread's Python frames and of nothing else, for what happens too often
 * for a native stack; never 0 when there are any, 0 when there are none. No lock, no system call
 * once the interpreter is known. */
uint64_t vg_stack_hash_python(void);

/* Id in `recorder` of the frames of which vg_stack_hash_python has just returned `hash`, recorded
 * when they are new; 0 when they cannot be kept. In the same thread and call. No lock of ours may
 * be held. */
uint32_t vg_stack_record_python(uint64_t hash, struct vg_recorder *recorder);

/* Id of a stack of the outermost native frames of the calling thread, which tell what kind of
 * thread it is, such as one of autograd's; for threads without Python frames. 0 as above, and
 * without an unwinder. Locks as vg_stack_take. */
uint32_t vg_stack_take_root(struct vg_recorder *recorder);

#endif
