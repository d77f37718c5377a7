/* The Python frames of the calling thread, read from the interpreter's own structures: without the
 * GIL, without running Python code, without memory allocation or locks. A thread's frames cannot
 * change while it is in here, and they hold references to their code objects. */
#ifndef VRAMGUARD_UNWIND_PYTHON_STACK_H
#define VRAMGUARD_UNWIND_PYTHON_STACK_H

#include <stdbool.h>
#include <stdint.h>

#include "record/recorder.h"
#include "unwind/python_layout.h"

struct vg_python_frame {
    uint64_t identity;         /* vg_python_code_identity */
    uintptr_t code;            /* the code object, as long as the caller is in its frame */
    int32_t instruction_bytes; /* from the start of the bytecode, < 0 before the first one */
    uint32_t run;              /* calls of the interpreter's loop between this frame and here */
};

struct vg_python_stack {
    uint32_t depth;
    uint32_t run_count; /* calls of the interpreter's loop; of a truncated stack those seen */
    bool truncated;
    struct vg_python_frame frames[VG_PYTHON_FRAMES]; /* innermost first */
};

/* Looks for a CPython interpreter in the process, if none was found yet and objects were loaded
 * since the last time. An interpreter that cannot be read is reported in one line. Takes the
 * loader's object-list lock: no lock of ours may be held. Threads may do so at the same time; when
 * it returns, vg_python_capture knows what was there when it was called. */
void vg_python_look(void);

/* Is there an interpreter whose frames are read? */
bool vg_python_is_found(void);

/* Captures the calling thread's Python frames; depth 0 when it has none, when no interpreter that
 * can be read was found, and while the interpreter is being finalised, but on the main thread. */
void vg_python_capture(struct vg_python_stack *out);

/* vg_python_hash of what vg_python_capture would write, and its depth, without writing it. */
uint64_t vg_python_hash_now(uint64_t hash, uint32_t *out_depth);

/* Hash of the frames, continuing `hash`. */
uint64_t vg_python_hash(const struct vg_python_stack *stack, uint64_t hash);

/* Turns the captured frames into records, in the thread and at the call that captured them: interns
 * the code objects in `recorder`, decodes the lines, and places the frames among the `depth` native
 * frames `frames` (`native_truncated`: there were more). Writes to `out`, innermost first, and
 * returns how many; frames whose code cannot be recorded are left out. */
uint32_t vg_python_resolve(const struct vg_python_stack *stack, struct vg_recorder *recorder,
                           const uint64_t *frames, uint32_t depth, bool native_truncated,
                           struct vg_journal_python out[VG_PYTHON_FRAMES]);

/* The layout of this process's interpreter, tried on the frames of the thread with the state
 * `thread` (a PyThreadState; NULL: the calling thread's) unless it has been on others before. NULL:
 * no interpreter was found, it cannot be read, or that thread has no frame to try it on. For
 * another thread the caller holds the GIL. */
const struct vg_python_layout *vg_python_layout_in_use(void *thread);

/* A frame that a thread is in. */
struct vg_python_running {
    uintptr_t frame, code;
    int32_t line; /* 0 unknown */
};

/* Writes the frames of the thread with the state `thread` (a PyThreadState), innermost first, `cap`
 * at the most; of more, the innermost. Returns how many. The caller holds the GIL, so that no
 * thread's frames can change, and has got the layout. */
uint32_t vg_python_running_frames(uintptr_t thread, struct vg_python_running *out, uint32_t cap);

#endif
