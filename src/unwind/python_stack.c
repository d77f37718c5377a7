#include "unwind/python_stack.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/hashing.h"
#include "base/log.h"
#include "os/elf_symbol.h"
#include "os/mapped.h"
#include "unwind/python_code.h"
#include "unwind/python_layout.h"
#include "unwind/python_offsets.h"
#include "unwind/python_walk.h"

enum {
    FILE_CAP = 512,
    NAME_CAP = 256,
};

/* What was found, written before `stage` says so. */
struct interpreter {
    const struct vg_python_layout *layout; /* a row, or `own` of the one that is in use */
    struct vg_python_layout own;
    const struct vg_python_walk *walk;
    void *(*current_thread)(void); /* PyGILState_GetThisThreadState: reads thread-local storage */
    int (*is_finalizing)(void);    /* reads one word */
    uintptr_t code_type, str_type, bytes_type;
    uintptr_t loop_start, loop_end; /* _PyEval_EvalFrameDefault */
};

static struct interpreter python;

enum stage { LOOKING, FOUND, READY, UNUSABLE };
static _Atomic uint32_t stage;
static _Atomic uint64_t looked_generation;

/* ---- finding an interpreter ---- */

/* Minor version of CPython 3, 0 when it cannot be told. Before 3.11, which has its version in a
 * variable, functions tell that came with 3.10, 3.9 and 3.8. */
static unsigned minor_version(const struct vg_elf_object *object)
{
    static const struct {
        const char *symbol;
        unsigned minor;
    } news[] = { { "Py_Is", 10 }, { "PyObject_GC_IsTracked", 9 }, { "PyConfig_Clear", 8 } };
    const unsigned long *const version = vg_elf_symbol(object, "Py_Version");
    if (version)
        return *version >> 24 == 3 ? *version >> 16 & 0xff : 0;
    for (size_t i = 0; i < sizeof news / sizeof news[0]; i++)
        if (vg_elf_symbol(object, news[i].symbol))
            return news[i].minor;
    return 0;
}

static const char unknown_frames[] = "this build of Python keeps its frames in an unknown way";

static bool tell_unusable(const char *why)
{
    vg_warn_once(VG_FAULT_PYTHON, "%s: stacks are recorded without Python frames", why);
    return false;
}

/* What the interpreter says of itself takes precedence; the row is read faster. */
static bool take_layout(const struct vg_elf_object *object, struct interpreter *out)
{
    const uint64_t *const runtime = vg_elf_symbol(object, "_PyRuntime");
    const struct vg_python_layout *const row = vg_python_layout_of(minor_version(object));
    if (!row)
        return tell_unusable("this version of Python is not known");
    out->layout = row;
    if (vg_python_offsets_exist(runtime)) {
        if (!vg_python_offsets_read(runtime, row, &out->own))
            return tell_unusable(unknown_frames);
        if (memcmp(&out->own, row, sizeof *row) != 0)
            out->layout = &python.own;
    }
    out->walk = vg_python_walk_of(out->layout == row ? row : &out->own);
    return true;
}

static bool take_interpreter(const struct vg_elf_object *object, struct interpreter *out)
{
    if (!take_layout(object, out))
        return false;
    *(void **)&out->current_thread = vg_elf_symbol(object, "PyGILState_GetThisThreadState");
    *(void **)&out->is_finalizing = vg_elf_symbol(object, "_Py_IsFinalizing");
    if (!out->is_finalizing)
        *(void **)&out->is_finalizing = vg_elf_symbol(object, "Py_IsFinalizing");
    out->code_type = (uintptr_t)vg_elf_symbol(object, "PyCode_Type");
    out->str_type = (uintptr_t)vg_elf_symbol(object, "PyUnicode_Type");
    out->bytes_type = (uintptr_t)vg_elf_symbol(object, "PyBytes_Type");
    out->loop_start = (uintptr_t)vg_elf_symbol(object, "_PyEval_EvalFrameDefault");
    out->loop_end = out->loop_start + vg_elf_symbol_bytes(object, "_PyEval_EvalFrameDefault");
    if (!out->current_thread || !out->is_finalizing || !out->code_type || !out->str_type ||
        !out->bytes_type)
        return tell_unusable("this build of Python lacks symbols");
    return true;
}

/* Threads that come first look at the same time, and none waits: it may hold what the others need,
 * and be forked away. They find the same, and who comes late stores nothing. */
static void publish_interpreter(const struct interpreter *found)
{
    enum { WORDS = sizeof *found / sizeof(uintptr_t) };
    _Static_assert(sizeof *found == WORDS * sizeof(uintptr_t), "all members are words");
    uintptr_t words[WORDS];
    memcpy(words, found, sizeof words);
    for (size_t i = 0; i < WORDS; i++) {
        void **const place = (void **)&python + i;
        if (__atomic_load_n(place, __ATOMIC_RELAXED) != (void *)words[i])
            __atomic_store_n(place, (void *)words[i], __ATOMIC_RELAXED);
    }
}

void vg_python_look(void)
{
    struct vg_elf_object object;
    struct interpreter found = { 0 };
    uint32_t expected = LOOKING, next = LOOKING;
    if (atomic_load_explicit(&stage, memory_order_relaxed) != LOOKING)
        return;
    const uint64_t generation = vg_elf_generation();
    if (atomic_load_explicit(&looked_generation, memory_order_acquire) == generation)
        return; /* whoever has found it by then has said so */
    if (vg_elf_find_definition("PyGILState_GetThisThreadState", &object) == 0)
        next = take_interpreter(&object, &found) ? FOUND : UNUSABLE;
    if (next == FOUND)
        publish_interpreter(&found);
    atomic_compare_exchange_strong(&stage, &expected, next); /* unless others are further */
    atomic_store_explicit(&looked_generation, generation, memory_order_release);
}

/* ---- the first frame: is the layout right? ---- */

/* May `bytes` bytes of the interpreter's lie at `at`? Asked only for the first frame. */
static bool may_hold(uintptr_t at, size_t bytes)
{
    return at % 4 == 0 && vg_is_mapped((const void *)at, bytes);
}

static bool is_object(uintptr_t at, size_t bytes, uintptr_t type)
{
    return may_hold(at, bytes) && vg_python_object_word(python.layout, at, VG_OBJECT_TYPE) == type;
}

static bool is_code(uintptr_t code)
{
    const struct vg_python_layout *const l = python.layout;
    char text[64];
    if (!is_object(code, (size_t)l->lines + sizeof(uintptr_t), python.code_type))
        return false;
    const uintptr_t name = vg_python_word(code + (uintptr_t)l->name);
    const uintptr_t file = vg_python_word(code + (uintptr_t)l->file);
    const uintptr_t lines = vg_python_word(code + (uintptr_t)l->lines);
    return is_object(name, 40, python.str_type) && is_object(file, 40, python.str_type) &&
           is_object(lines, 40, python.bytes_type) &&
           vg_python_text(l, name, text, sizeof text) > 0 &&
           vg_python_code_first_line(l, code) >= 0;
}

static uintptr_t innermost_frame(uintptr_t thread)
{
    const struct vg_python_layout *const l = python.layout;
    const uintptr_t frame = vg_python_word(thread + (uintptr_t)l->thread_frame);
    if (frame == 0 || l->holder_frame == VG_PYTHON_ABSENT)
        return frame;
    return vg_python_word(frame + (uintptr_t)l->holder_frame);
}

enum verdict { WRONG, NO_FRAME_YET, RIGHT };

static enum verdict judge_layout(uintptr_t thread)
{
    const struct vg_python_layout *const l = python.layout;
    if (!may_hold(thread, (size_t)l->thread_frame + sizeof(uintptr_t)))
        return WRONG;
    const size_t frame_bytes = (size_t)l->frame_instruction + sizeof(uintptr_t);
    const uintptr_t first = vg_python_word(thread + (uintptr_t)l->thread_frame);
    if (first == 0)
        return NO_FRAME_YET;
    if (l->holder_frame != VG_PYTHON_ABSENT &&
        !may_hold(first, (size_t)l->holder_frame + sizeof(uintptr_t)))
        return WRONG;
    for (uintptr_t frame = innermost_frame(thread); frame;
         frame = vg_python_word(frame + (uintptr_t)l->frame_back)) {
        if (!may_hold(frame, frame_bytes))
            return WRONG;
        if (!vg_python_is_marker(l, frame))
            return is_code(vg_python_code_of(l, frame)) ? RIGHT : WRONG;
    }
    return NO_FRAME_YET;
}

/* Is the interpreter to be read? Tests the layout at the first thread that has a frame. */
static bool is_ready(uint32_t seen, uintptr_t thread)
{
    if (__builtin_expect(seen == READY, 1))
        return true;
    const enum verdict verdict = judge_layout(thread);
    if (verdict == WRONG) {
        atomic_store_explicit(&stage, UNUSABLE, memory_order_release);
        return tell_unusable(unknown_frames);
    }
    if (verdict == RIGHT)
        atomic_store_explicit(&stage, READY, memory_order_release);
    return verdict == RIGHT;
}

/* ---- capture ---- */

bool vg_python_is_found(void)
{
    const uint32_t seen = atomic_load_explicit(&stage, memory_order_relaxed);
    return seen == READY || seen == FOUND;
}

/* Where the calling thread's frames begin, 0 when they are not to be read. */
static uintptr_t first_frame(void)
{
    const uint32_t seen = atomic_load_explicit(&stage, memory_order_acquire);
    if (seen != READY && seen != FOUND)
        return 0;
    /* Finalisation frees the states of other threads, which may still be inside a CUDA call. */
    if (python.is_finalizing() && syscall(SYS_gettid) != getpid())
        return 0;
    const uintptr_t thread = (uintptr_t)python.current_thread();
    return thread && is_ready(seen, thread) ? innermost_frame(thread) : 0;
}

void vg_python_capture(struct vg_python_stack *out)
{
    const uintptr_t frame = first_frame();
    out->depth = out->run_count = 0;
    out->truncated = false;
    if (frame)
        python.walk->capture(python.layout, frame, python.code_type, out);
}

const struct vg_python_layout *vg_python_layout_in_use(void *thread)
{
    vg_python_look();
    const uint32_t seen = atomic_load_explicit(&stage, memory_order_acquire);
    if (seen != READY && seen != FOUND)
        return NULL;
    const uintptr_t tried = (uintptr_t)(thread ? thread : python.current_thread());
    return tried && is_ready(seen, tried) ? python.layout : NULL;
}

uint32_t vg_python_running_frames(uintptr_t thread, struct vg_python_running *out, uint32_t cap)
{
    const struct vg_python_layout *const l = python.layout;
    uint32_t depth = 0;
    for (uintptr_t frame = innermost_frame(thread); frame && depth < cap;
         frame = vg_python_word(frame + (uintptr_t)l->frame_back)) {
        const uintptr_t code = vg_python_is_marker(l, frame) ? 0 : vg_python_code_of(l, frame);
        if (code == 0 || vg_python_object_word(l, code, VG_OBJECT_TYPE) != python.code_type)
            continue;
        const int64_t instruction_bytes = vg_python_instruction_of(l, frame, code);
        if (vg_python_is_shown(l, frame, code, instruction_bytes))
            out[depth++] = (struct vg_python_running){
                .frame = frame,
                .code = code,
                .line = vg_python_code_line(l, code, instruction_bytes),
            };
    }
    return depth;
}

uint64_t vg_python_hash_now(uint64_t hash, uint32_t *out_depth)
{
    const uintptr_t frame = first_frame();
    *out_depth = 0;
    return frame ? python.walk->hash(python.layout, frame, python.code_type, hash, out_depth) : 0;
}

uint64_t vg_python_hash(const struct vg_python_stack *stack, uint64_t hash)
{
    for (uint32_t i = 0; i < stack->depth; i++)
        hash = vg_python_hash_step(hash, stack->frames[i].identity,
                                   stack->frames[i].instruction_bytes);
    return vg_hash_u64(hash);
}

/* ---- recording ---- */

static __attribute__((noinline)) uint32_t code_id_of(const struct vg_python_frame *frame,
                                                     struct vg_recorder *recorder)
{
    const struct vg_python_layout *const l = python.layout;
    char file[FILE_CAP], name[NAME_CAP];
    const uint32_t known = vg_recorder_find_code(recorder, frame->identity);
    if (known)
        return known;
    vg_python_text(l, vg_python_word(frame->code + (uintptr_t)l->file), file, sizeof file);
    vg_python_text(l, vg_python_word(frame->code + (uintptr_t)l->name), name, sizeof name);
    const int32_t first_line = vg_python_code_first_line(l, frame->code);
    return vg_recorder_add_code(recorder, frame->identity, (uint32_t)first_line, file, name);
}

/* For each call of the interpreter's loop, innermost first, its native frame. */
struct loop_frames {
    uint32_t count;
    uint32_t at[VG_STACK_FRAMES];
};

static void find_loops(const uint64_t *frames, uint32_t depth, struct loop_frames *out)
{
    out->count = 0;
    for (uint32_t i = 0; i < depth; i++)
        if (frames[i] > python.loop_start && frames[i] <= python.loop_end)
            out->at[out->count++] = i;
}

uint32_t vg_python_resolve(const struct vg_python_stack *stack, struct vg_recorder *recorder,
                           const uint64_t *frames, uint32_t depth, bool native_truncated,
                           struct vg_journal_python out[VG_PYTHON_FRAMES])
{
    struct loop_frames loops;
    uint32_t used = 0;
    if (stack->depth == 0)
        return 0;
    find_loops(frames, depth, &loops);
    /* Parts of the loop's function may lie elsewhere, and other evaluators may run frames: when the
     * numbers do not agree, all frames go where the outermost loop is. */
    const bool agree = loops.count == stack->run_count ||
                       (native_truncated && loops.count < stack->run_count) ||
                       (stack->truncated && loops.count > stack->run_count);
    const uint32_t outermost = loops.count ? loops.at[loops.count - 1] : depth;
    for (uint32_t i = 0; i < stack->depth; i++) {
        const struct vg_python_frame *const frame = &stack->frames[i];
        const uint32_t code_id = code_id_of(frame, recorder);
        if (!code_id)
            continue;
        const int32_t line =
            vg_python_code_line(python.layout, frame->code, frame->instruction_bytes);
        out[used++] = (struct vg_journal_python){
            .code_id = code_id,
            .line = line > 0 ? (uint32_t)line : 0,
            .at = !agree                     ? outermost
                  : frame->run < loops.count ? loops.at[frame->run]
                                             : depth,
        };
    }
    return used;
}
