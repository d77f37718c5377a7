#include "unwind/python_walk.h"

#include <stddef.h>

#include "base/hashing.h"
#include "unwind/python_code.h"

enum { RUNS_MAX = 4096 };

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Is this frame the last of those that one call of the interpreter's loop runs? */
ALWAYS_INLINE bool ends_run(const struct vg_python_layout *l, uintptr_t frame)
{
    if (l->frame_entry != VG_PYTHON_ABSENT)
        return *(const bool *)(frame + (uintptr_t)l->frame_entry);
    return l->frame_owner == VG_PYTHON_ABSENT; /* else markers end it */
}

/* Both walks in one: writes the frames to `out` or, when that is NULL, takes their hash. */
ALWAYS_INLINE uint64_t walk_frames(const struct vg_python_layout *l, uintptr_t frame,
                                   uintptr_t code_type, struct vg_python_stack *out, uint64_t hash,
                                   uint32_t *out_depth)
{
    uint32_t depth = 0, runs = 0;
    for (; frame && runs < RUNS_MAX; frame = vg_python_word(frame + (uintptr_t)l->frame_back)) {
        if (vg_python_is_marker(l, frame)) {
            runs++;
            continue;
        }
        const uintptr_t code = vg_python_code_of(l, frame);
        if (code == 0 || vg_python_object_word(l, code, VG_OBJECT_TYPE) != code_type)
            continue;
        const int64_t instruction_bytes = vg_python_instruction_of(l, frame, code);
        if (vg_python_is_shown(l, frame, code, instruction_bytes)) {
            if (depth == VG_PYTHON_FRAMES) {
                if (out)
                    out->truncated = true;
                break;
            }
            const uint64_t identity = vg_python_code_identity(l, code);
            if (out)
                out->frames[depth] =
                    (struct vg_python_frame){ .identity = identity,
                                              .code = code,
                                              .instruction_bytes = (int32_t)instruction_bytes,
                                              .run = runs };
            else
                hash = vg_python_hash_step(hash, identity, (int32_t)instruction_bytes);
            depth++;
        }
        runs += ends_run(l, frame);
    }
    *out_depth = depth;
    if (out)
        out->run_count = runs;
    return hash;
}

#define VG_PYTHON_LAYOUT(number, ...)                                                              \
    static const struct vg_python_layout layout_##number = { .minor = number, __VA_ARGS__ };       \
    static void capture_##number(const struct vg_python_layout *unused, uintptr_t frame,           \
                                 uintptr_t code_type, struct vg_python_stack *out)                 \
    {                                                                                              \
        (void)unused;                                                                              \
        walk_frames(&layout_##number, frame, code_type, out, 0, &out->depth);                      \
    }                                                                                              \
    static uint64_t hash_##number(const struct vg_python_layout *unused, uintptr_t frame,          \
                                  uintptr_t code_type, uint64_t hash, uint32_t *out_depth)         \
    {                                                                                              \
        (void)unused;                                                                              \
        return vg_hash_u64(                                                                        \
            walk_frames(&layout_##number, frame, code_type, NULL, hash, out_depth));               \
    }
#include "unwind/python_layout_table.h"
#undef VG_PYTHON_LAYOUT

static void capture_any(const struct vg_python_layout *layout, uintptr_t frame, uintptr_t code_type,
                        struct vg_python_stack *out)
{
    walk_frames(layout, frame, code_type, out, 0, &out->depth);
}

static uint64_t hash_any(const struct vg_python_layout *layout, uintptr_t frame,
                         uintptr_t code_type, uint64_t hash, uint32_t *out_depth)
{
    return vg_hash_u64(walk_frames(layout, frame, code_type, NULL, hash, out_depth));
}

const struct vg_python_walk *vg_python_walk_of(const struct vg_python_layout *layout)
{
    static const struct {
        unsigned minor;
        struct vg_python_walk walk;
    } walks[] = {
#define VG_PYTHON_LAYOUT(number, ...) { number, { capture_##number, hash_##number } },
#include "unwind/python_layout_table.h"
#undef VG_PYTHON_LAYOUT
    };
    static const struct vg_python_walk any = { capture_any, hash_any };
    for (size_t i = 0; i < sizeof walks / sizeof walks[0]; i++)
        if (walks[i].minor == layout->minor && vg_python_layout_of(layout->minor) == layout)
            return &walks[i].walk;
    return &any;
}
