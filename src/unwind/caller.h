/* Which kind of program code made a failing call: frameworks differ in what they do when an
 * allocation fails, and so in what may be done about it. */
#ifndef VRAMGUARD_UNWIND_CALLER_H
#define VRAMGUARD_UNWIND_CALLER_H

#include <stdbool.h>
#include <stdint.h>

#include "record/recorder.h"

enum vg_caller {
    VG_CALLER_OTHER,
    VG_CALLER_PYTORCH,  /* its caching allocator: it empties its cache and asks again */
    VG_CALLER_ARENA,    /* asks for less and less until it gets something */
    VG_CALLER_XLA,      /* JAX: which of these it is, its settings tell */
    VG_CALLER_FLUSHING, /* empties a cache of its own and asks again, as PyTorch does */
    VG_CALLER_ABORTING, /* a failure ends the program */
};

/* Judges by the module that called the runtime or the driver: the first of `frames` (program
 * counters, innermost first, `count` of them) that is in neither. One library that
 * has functions of CUDA's names may stand between: a logger or limiter that was preloaded, too.
 * VG_CALLER_FLUSHING is not told here. Only looks loaded objects up; takes the loader's object-list
 * lock, so no lock of ours may be held. Any thread. */
enum vg_caller vg_caller_classify(const uint64_t *frames, uint32_t count);

/* The name of the framework that made the call and empties a cache of its own when it fails, and
 * asks again; NULL for all others. To be asked for VG_CALLER_OTHER. By the native `frames`, `count`
 * of them, and the Python frames of stack `stack_id`, where they were recorded. Any thread; no lock
 * of ours may be held. */
const char *vg_caller_flusher(struct vg_recorder *recorder, uint32_t stack_id,
                              const uint64_t *frames, uint32_t count);

/* Is the failing call made by Python code that tries how much fits, and answers a failure with a
 * smaller batch: accelerate's find_executable_batch_size, Lightning's batch size scaler? Judges by
 * the Python frames of stack `stack_id` of `recorder`; false when none were recorded. Any thread.
 */
bool vg_caller_searches_batch_size(struct vg_recorder *recorder, uint32_t stack_id);

/* Where the modules that tell PyTorch's calls lie, looked up once for many stacks. */
struct vg_caller_map {
    struct {
        uint64_t start, end; /* end exclusive */
        bool between; /* the CUDA runtime or driver, vramguard, or a library that has put itself
                         before them; else it is PyTorch's */
    } ranges[24];
    uint32_t count;
    bool pytorch; /* PyTorch's allocator is loaded */
};

/* Fills `out`; takes the loader's object-list lock. More runtimes and drivers than fit are left
 * out. Any thread. */
void vg_caller_map_modules(struct vg_caller_map *out);

/* Would vg_caller_classify answer VG_CALLER_PYTORCH? Pure. */
bool vg_caller_is_pytorch(const struct vg_caller_map *map, const uint64_t *frames, uint32_t count);

/* Is any of the frames in a module of that kind? Where PyTorch's is one, its allocator may hold its
 * mutex although it was an allocator plugged into it that called the driver. */
bool vg_caller_is_below(enum vg_caller caller, const uint64_t *frames, uint32_t count);

#endif
