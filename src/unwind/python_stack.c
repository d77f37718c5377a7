#include "unwind/python_stack.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/hashing.h"
#include "base/log.h"
#include "os/elf_symbol.h"
#include "unwind/python_code.h"
#include "unwind/python_layout.h"

enum {
    RUNS_MAX = 4096,
    FILE_CAP = 512,
    NAME_CAP = 256,
};

/* What was found, written before `stage` says so. */
static struct {
    const struct vg_python_layout *layout;
    void *(*current_thread)(void); /* PyGILState_GetThisThreadState: reads thread-local storage */
    int (*is_finalizing)(void);    /* reads one word */
    uintptr_t code_type, str_type, bytes_type;
    uintptr_t loop_start, loop_end; /* _PyEval_EvalFrameDefault */
} python;

enum stage { LOOKING, BUSY, FOUND, READY, UNUSABLE };
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

/* From 3.13 on _PyRuntime begins with _Py_DebugOffsets: a cookie, the version, and whether the
 * build has no GIL. */
static bool is_free_threaded(const struct vg_elf_object *object)
{
    static const char cookie[8] = { 'x', 'd', 'e', 'b', 'u', 'g', 'p', 'y' };
    const char *const runtime = vg_elf_symbol(object, "_PyRuntime");
    uint64_t free_threaded;
    if (!runtime || memcmp(runtime, cookie, sizeof cookie) != 0)
        return false;
    memcpy(&free_threaded, runtime + 16, sizeof free_threaded);
    return free_threaded != 0;
}

static bool tell_unusable(const char *why)
{
    vg_warn_once(VG_FAULT_PYTHON, "%s: stacks are recorded without Python frames", why);
    return false;
}

static bool take_interpreter(const struct vg_elf_object *object)
{
    const unsigned minor = minor_version(object);
    python.layout = vg_python_layout_of(minor);
    if (!python.layout)
        return tell_unusable("this version of Python is not known");
    if (is_free_threaded(object))
        return tell_unusable("this is a free-threaded build of Python");
    *(void **)&python.current_thread = vg_elf_symbol(object, "PyGILState_GetThisThreadState");
    *(void **)&python.is_finalizing = vg_elf_symbol(object, "_Py_IsFinalizing");
    if (!python.is_finalizing)
        *(void **)&python.is_finalizing = vg_elf_symbol(object, "Py_IsFinalizing");
    python.code_type = (uintptr_t)vg_elf_symbol(object, "PyCode_Type");
    python.str_type = (uintptr_t)vg_elf_symbol(object, "PyUnicode_Type");
    python.bytes_type = (uintptr_t)vg_elf_symbol(object, "PyBytes_Type");
    python.loop_start = (uintptr_t)vg_elf_symbol(object, "_PyEval_EvalFrameDefault");
    python.loop_end = python.loop_start + vg_elf_symbol_bytes(object, "_PyEval_EvalFrameDefault");
    if (!python.current_thread || !python.is_finalizing || !python.code_type || !python.str_type ||
        !python.bytes_type)
        return tell_unusable("this build of Python lacks symbols");
    return true;
}

bool vg_python_look(void)
{
    struct vg_elf_object object;
    uint32_t expected = LOOKING;
    if (atomic_load_explicit(&stage, memory_order_relaxed) != LOOKING)
        return false;
    const uint64_t generation = vg_elf_generation();
    if (atomic_load_explicit(&looked_generation, memory_order_relaxed) == generation)
        return false;
    if (!atomic_compare_exchange_strong(&stage, &expected, BUSY))
        return false;
    uint32_t next = LOOKING;
    if (vg_elf_find_definition("PyGILState_GetThisThreadState", &object) == 0)
        next = take_interpreter(&object) ? FOUND : UNUSABLE;
    atomic_store_explicit(&looked_generation, generation, memory_order_relaxed);
    atomic_store_explicit(&stage, next, memory_order_release);
    return next == FOUND;
}

/* ---- the first frame: is the layout right? ---- */

/* Are the `bytes` bytes at `at` mapped memory? Asked only for the first frame. */
static bool is_mapped(uintptr_t at, size_t bytes)
{
    const uintptr_t page_bytes = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t first = at & ~(page_bytes - 1);
    unsigned char resident[4];
    return at >= page_bytes && at % 4 == 0 && at + bytes > at &&
           mincore((void *)first, at + bytes - first, resident) == 0;
}

static bool is_object(uintptr_t at, size_t bytes, uintptr_t type)
{
    return is_mapped(at, bytes) && vg_python_word(at + VG_OBJECT_TYPE) == type;
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

static unsigned owner_of(const struct vg_python_layout *l, uintptr_t frame)
{
    const int16_t at = l->frame_owner;
    return at == VG_PYTHON_ABSENT ? 0 : *(const unsigned char *)(frame + (uintptr_t)at);
}

static bool is_marker(const struct vg_python_layout *l, uintptr_t frame)
{
    return owner_of(l, frame) >= VG_PYTHON_MARKER;
}

/* From 3.14 on the low bits of the pointer say how it is counted. */
static uintptr_t code_of(const struct vg_python_layout *l, uintptr_t frame)
{
    return vg_python_word(frame + (uintptr_t)l->frame_code) & ~(uintptr_t)7;
}

enum verdict { WRONG, NO_FRAME_YET, RIGHT };

static enum verdict judge_layout(uintptr_t thread)
{
    const struct vg_python_layout *const l = python.layout;
    if (!is_mapped(thread, (size_t)l->thread_frame + sizeof(uintptr_t)))
        return WRONG;
    const size_t frame_bytes = (size_t)l->frame_instruction + sizeof(uintptr_t);
    const uintptr_t first = vg_python_word(thread + (uintptr_t)l->thread_frame);
    if (first == 0)
        return NO_FRAME_YET;
    if (l->holder_frame != VG_PYTHON_ABSENT &&
        !is_mapped(first, (size_t)l->holder_frame + sizeof(uintptr_t)))
        return WRONG;
    for (uintptr_t frame = innermost_frame(thread); frame;
         frame = vg_python_word(frame + (uintptr_t)l->frame_back)) {
        if (!is_mapped(frame, frame_bytes))
            return WRONG;
        if (!is_marker(l, frame))
            return is_code(code_of(l, frame)) ? RIGHT : WRONG;
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
        return tell_unusable("this build of Python keeps its frames in an unknown way");
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

static int64_t instruction_of(const struct vg_python_layout *l, uintptr_t frame, uintptr_t code)
{
    const uintptr_t at = frame + (uintptr_t)l->frame_instruction;
    switch (l->counter) {
    case VG_PYTHON_COUNTS_BYTES: return vg_python_int(at);
    case VG_PYTHON_COUNTS_UNITS: return 2 * (int64_t)vg_python_int(at);
    case VG_PYTHON_POINTS: break;
    }
    return (int64_t)(vg_python_word(at) - (code + (uintptr_t)l->bytecode));
}

/* Frames that have not begun, and those that the interpreter makes for itself, Python does not show
 * either (_PyFrame_IsIncomplete). */
static bool is_shown(const struct vg_python_layout *l, uintptr_t frame, uintptr_t code,
                     int64_t instruction_bytes)
{
    const int16_t at = l->first_traceable;
    return at == VG_PYTHON_ABSENT || owner_of(l, frame) == VG_PYTHON_OWNED_BY_GENERATOR ||
           instruction_bytes >= 2 * (int64_t)vg_python_int(code + (uintptr_t)at);
}

/* Is this frame the last of those that one call of the interpreter's loop runs? */
static bool ends_run(const struct vg_python_layout *l, uintptr_t frame)
{
    if (l->frame_entry != VG_PYTHON_ABSENT)
        return *(const bool *)(frame + (uintptr_t)l->frame_entry);
    return l->frame_owner == VG_PYTHON_ABSENT; /* else markers end it */
}

static void walk_frames(uintptr_t frame, struct vg_python_stack *out)
{
    const struct vg_python_layout layout = *python.layout; /* nothing written below can change it */
    const struct vg_python_layout *const l = &layout;
    const uintptr_t code_type = python.code_type;
    uint32_t depth = 0, runs = 0;
    for (; frame && runs < RUNS_MAX; frame = vg_python_word(frame + (uintptr_t)l->frame_back)) {
        if (is_marker(l, frame)) {
            runs++;
            continue;
        }
        const uintptr_t code = code_of(l, frame);
        if (code == 0 || vg_python_word(code + VG_OBJECT_TYPE) != code_type)
            continue;
        const int64_t instruction_bytes = instruction_of(l, frame, code);
        if (is_shown(l, frame, code, instruction_bytes)) {
            if (depth == VG_PYTHON_FRAMES) {
                out->truncated = true;
                break;
            }
            out->frames[depth++] = (struct vg_python_frame){
                .identity = vg_python_code_identity(l, code),
                .code = code,
                .instruction_bytes = (int32_t)instruction_bytes,
                .run = runs,
            };
        }
        runs += ends_run(l, frame);
    }
    out->depth = depth;
    out->run_count = runs;
}

void vg_python_capture(struct vg_python_stack *out)
{
    out->depth = out->run_count = 0;
    out->truncated = false;
    const uint32_t seen = atomic_load_explicit(&stage, memory_order_acquire);
    if (seen != READY && seen != FOUND)
        return;
    /* Finalisation frees the states of other threads, which may still be inside a CUDA call. */
    if (python.is_finalizing() && syscall(SYS_gettid) != getpid())
        return;
    const uintptr_t thread = (uintptr_t)python.current_thread();
    if (thread && is_ready(seen, thread))
        walk_frames(innermost_frame(thread), out);
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
        const uintptr_t code = is_marker(l, frame) ? 0 : code_of(l, frame);
        if (code == 0 || vg_python_word(code + VG_OBJECT_TYPE) != python.code_type)
            continue;
        const int64_t instruction_bytes = instruction_of(l, frame, code);
        if (is_shown(l, frame, code, instruction_bytes))
            out[depth++] = (struct vg_python_running){
                .frame = frame,
                .code = code,
                .line = vg_python_code_line(l, code, instruction_bytes),
            };
    }
    return depth;
}

uint64_t vg_python_hash(const struct vg_python_stack *stack, uint64_t hash)
{
    for (uint32_t i = 0; i < stack->depth; i++) {
        const struct vg_python_frame *const frame = &stack->frames[i];
        const uint64_t place = (uint64_t)frame->instruction_bytes * UINT64_C(0xd6e8feb86659fd93);
        hash = (hash + frame->identity + place) * UINT64_C(0x9e3779b97f4a7c15);
    }
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
