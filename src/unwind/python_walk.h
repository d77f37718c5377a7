/* Walking the calling thread's Python frames, once for each known version of CPython: with the
 * offsets known to the compiler a frame takes half the instructions; and once for builds that keep
 * them elsewhere. Only python_stack.c, which knows that the interpreter is the one that it takes it
 * for, calls these. */
#ifndef VRAMGUARD_UNWIND_PYTHON_WALK_H
#define VRAMGUARD_UNWIND_PYTHON_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "unwind/python_layout.h"
#include "unwind/python_stack.h"

struct vg_python_walk {
    /* Writes the frames from `frame` outwards to `out`. */
    void (*capture)(const struct vg_python_layout *layout, uintptr_t frame, uintptr_t code_type,
                    struct vg_python_stack *out);
    /* vg_python_hash of what `capture` would write, and how many frames that is. */
    uint64_t (*hash)(const struct vg_python_layout *layout, uintptr_t frame, uintptr_t code_type,
                     uint64_t hash, uint32_t *out_depth);
};

/* Those for `layout`: of its version where it is that version's row, else those for any. */
const struct vg_python_walk *vg_python_walk_of(const struct vg_python_layout *layout);

/* One step of vg_python_hash. */
static inline uint64_t vg_python_hash_step(uint64_t hash, uint64_t identity,
                                           int32_t instruction_bytes)
{
    const uint64_t place = (uint64_t)instruction_bytes * UINT64_C(0xd6e8feb86659fd93);
    return (hash + identity + place) * UINT64_C(0x9e3779b97f4a7c15);
}

/* ---- one frame ---- */

static inline unsigned vg_python_owner_of(const struct vg_python_layout *l, uintptr_t frame)
{
    const int16_t at = l->frame_owner;
    return at == VG_PYTHON_ABSENT ? 0 : *(const unsigned char *)(frame + (uintptr_t)at);
}

static inline bool vg_python_is_marker(const struct vg_python_layout *l, uintptr_t frame)
{
    return vg_python_owner_of(l, frame) >= VG_PYTHON_MARKER;
}

/* From 3.14 on the low bits of the pointer say how it is counted. */
static inline uintptr_t vg_python_code_of(const struct vg_python_layout *l, uintptr_t frame)
{
    return vg_python_word(frame + (uintptr_t)l->frame_code) & ~(uintptr_t)7;
}

/* Where the bytecode begins that the frame runs. Builds without the GIL make a copy for each thread
 * that runs the code (co_tlbc of Include/cpython/code.h: a count and pointers). */
static inline uintptr_t vg_python_bytecode_of(const struct vg_python_layout *l, uintptr_t frame,
                                              uintptr_t code)
{
    const uintptr_t own = code + (uintptr_t)l->bytecode;
    const int32_t copy = l->frame_copy ? vg_python_int(frame + (uintptr_t)l->frame_copy) : 0;
    const uintptr_t copies = copy > 0 ? vg_python_word(code + (uintptr_t)l->copies) : 0;
    if (!copies || (uintptr_t)copy >= vg_python_word(copies))
        return own;
    return vg_python_word(copies + sizeof(uintptr_t) * (1 + (uintptr_t)copy));
}

/* Where the frame stands in its code. */
static inline int64_t vg_python_instruction_of(const struct vg_python_layout *l, uintptr_t frame,
                                               uintptr_t code)
{
    const uintptr_t at = frame + (uintptr_t)l->frame_instruction;
    switch (l->counter) {
    case VG_PYTHON_COUNTS_BYTES: return vg_python_int(at);
    case VG_PYTHON_COUNTS_UNITS: return 2 * (int64_t)vg_python_int(at);
    case VG_PYTHON_POINTS: break;
    }
    return (int64_t)(vg_python_word(at) - vg_python_bytecode_of(l, frame, code));
}

/* Frames that have not begun, and those that the interpreter makes for itself, Python does not show
 * either (_PyFrame_IsIncomplete). */
static inline bool vg_python_is_shown(const struct vg_python_layout *l, uintptr_t frame,
                                      uintptr_t code, int64_t instruction_bytes)
{
    const int16_t at = l->first_traceable;
    return at == VG_PYTHON_ABSENT || vg_python_owner_of(l, frame) == VG_PYTHON_OWNED_BY_GENERATOR ||
           instruction_bytes >= 2 * (int64_t)vg_python_int(code + (uintptr_t)at);
}

#endif
