#include "unwind/stack.h"

#include <errno.h>
#include <execinfo.h>
#include <stdatomic.h>
#include <string.h>

#include "base/hashing.h"
#include "base/log.h"
#include "os/elf_symbol.h"
#include "os/fork_gate.h"
#include "unwind/libunwind.h"
#include "unwind/python_stack.h"

enum {
    OWN_FRAMES_MAX = 8,
    RAW_FRAMES = VG_STACK_FRAMES + OWN_FRAMES_MAX,
    ROOT_FRAMES = 6, /* the C library's two, the C++ library's, and what the program does in it */
};

/* Begins the hash of a stack without native frames: that of no native frames is another. */
static const uint64_t python_only = UINT64_C(0x51a7b10c5);

static _Atomic vg_backtrace_function unwinder;
static uintptr_t own_start, own_end;

static void open_unwinder(void)
{
    if (atomic_load_explicit(&unwinder, memory_order_acquire))
        return;
    struct vg_elf_object self;
    const char *why = "unknown reason";
    if (vg_elf_find_address((uintptr_t)&vg_stack_open, &self) == 0) {
        /* Several threads may come here at once; all of them store the same values. */
        __atomic_store_n(&own_start, self.start, __ATOMIC_RELAXED);
        __atomic_store_n(&own_end, self.end, __ATOMIC_RELAXED);
    }
    vg_backtrace_function capture = vg_libunwind_open(&why);
    if (!capture) {
        /* That it is not installed costs time and loses nothing: `vramguard doctor` tells. */
        if (why)
            vg_warn_once(VG_FAULT_LIBUNWIND,
                         "cannot use libunwind (%s): stacks are captured by glibc's backtrace, at "
                         "several times the cost",
                         why);
        capture = backtrace;
        void *warm[1];
        vg_fork_gate_enter();
        backtrace(warm, 1); /* loads libgcc_s now rather than inside an allocation */
        vg_fork_gate_leave();
    }
    atomic_store_explicit(&unwinder, capture, memory_order_release);
}

void vg_stack_open(struct vg_stack_choice choice)
{
    if (choice.native)
        open_unwinder();
    if (choice.python)
        vg_python_look();
}

/* Apart: its buffer is not in the way of what comes later. */
static __attribute__((noinline)) void capture_native(struct vg_stack *out)
{
    const vg_backtrace_function capture = atomic_load_explicit(&unwinder, memory_order_acquire);
    if (!capture)
        return;
    void *raw[RAW_FRAMES];
    vg_fork_gate_enter(); /* both have locks of their own, and take the loader's */
    const int captured = capture(raw, RAW_FRAMES);
    vg_fork_gate_leave();
    const uintptr_t start = __atomic_load_n(&own_start, __ATOMIC_RELAXED);
    const uintptr_t end = __atomic_load_n(&own_end, __ATOMIC_RELAXED);
    int first = 0;
    while (first < captured && (uintptr_t)raw[first] >= start && (uintptr_t)raw[first] < end)
        first++;
    int depth = captured - first;
    if (depth > VG_STACK_FRAMES)
        depth = VG_STACK_FRAMES;
    if (depth <= 0)
        return;
    out->depth = (uint32_t)depth;
    out->truncated = first + depth < captured || captured == RAW_FRAMES;
    memcpy(out->frames, raw + first, (size_t)depth * sizeof out->frames[0]);
}

void vg_stack_capture(struct vg_stack *out)
{
    out->depth = 0;
    out->truncated = false;
    if (atomic_load_explicit(&unwinder, memory_order_acquire)) {
        capture_native(out);
        return;
    }
    /* No stacks are wanted, so libunwind and its cache for each thread are not. */
    void *raw[VG_STACK_FRAMES];
    vg_fork_gate_enter();
    const int captured = backtrace(raw, VG_STACK_FRAMES);
    vg_fork_gate_leave();
    out->depth = captured > 0 ? (uint32_t)captured : 0;
    memcpy(out->frames, raw, out->depth * sizeof out->frames[0]);
}

static uint32_t record_native(const struct vg_stack *stack, struct vg_recorder *recorder)
{
    return vg_recorder_stack(recorder, stack->frames, stack->depth, stack->truncated);
}

/* Apart, so that the common case needs no room for the records. */
static __attribute__((noinline)) uint32_t record_new(const struct vg_stack *stack,
                                                     const struct vg_python_stack *python,
                                                     uint64_t hash, struct vg_recorder *recorder)
{
    struct vg_journal_python frames[VG_PYTHON_FRAMES];
    const struct vg_recorder_frames added = {
        .native = stack->frames,
        .depth = stack->depth,
        .python = frames,
        .python_depth = vg_python_resolve(python, recorder, stack->frames, stack->depth,
                                          stack->truncated, frames),
        .truncated = stack->truncated || python->truncated,
    };
    return vg_recorder_add_stack(recorder, hash, &added);
}

/* Apart, so that the unwinder has what room a small stack has. */
static __attribute__((noinline)) uint32_t record_with_python(struct vg_stack *stack,
                                                             struct vg_recorder *recorder)
{
    struct vg_python_stack python;
    vg_python_capture(&python);
    if (python.depth == 0) {
        /* Python may have been loaded since the last look, which is worth while now and then. */
        const uint64_t hash = vg_hash_words(stack->frames, stack->depth);
        const uint32_t known = stack->depth ? vg_recorder_find_stack(recorder, hash) : 0;
        if (known)
            return known;
        vg_python_look();
        vg_python_capture(&python); /* another thread may have found it since */
        if (python.depth == 0)
            return record_native(stack, recorder);
    }
    const uint64_t hash = vg_python_hash(&python, vg_hash_words(stack->frames, stack->depth));
    const uint32_t known = vg_recorder_find_stack(recorder, hash);
    const uint32_t id = known ? known : record_new(stack, &python, hash, recorder);
    stack->truncated = stack->truncated || python.truncated;
    return id;
}

uint32_t vg_stack_take(struct vg_stack_choice choice, struct vg_recorder *recorder,
                       struct vg_stack *out)
{
    const int saved_errno = errno; /* the first stack makes libunwind open things */
    out->depth = 0;
    out->truncated = false;
    if (choice.native)
        capture_native(out);
    const uint32_t id =
        choice.python ? record_with_python(out, recorder) : record_native(out, recorder);
    errno = saved_errno;
    return id;
}

uint64_t vg_stack_hash_python(void)
{
    uint32_t depth;
    const uint64_t hash = vg_python_hash_now(python_only, &depth);
    if (depth == 0)
        return 0;
    return hash ? hash : 1;
}

uint32_t vg_stack_record_python(uint64_t hash, struct vg_recorder *recorder)
{
    const struct vg_stack no_native = { .depth = 0 };
    struct vg_python_stack python;
    const uint32_t known = vg_recorder_find_stack(recorder, hash);
    if (known)
        return known;
    vg_python_capture(&python);
    return record_new(&no_native, &python, hash, recorder);
}

uint32_t vg_stack_take_root(struct vg_recorder *recorder)
{
    struct vg_stack stack = { .depth = 0 };
    capture_native(&stack);
    const uint32_t kept = stack.depth < ROOT_FRAMES ? stack.depth : ROOT_FRAMES;
    return vg_recorder_stack(recorder, stack.frames + stack.depth - kept, kept, false);
}
