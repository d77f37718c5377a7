/* Taking the census of this process (analyze/census.h): what its live tensors are, and which of the
 * program's variables hold them.
 *
 * It is taken with the GIL held by the calling thread and runs nothing of the program's: objects
 * are told apart by their types, and read through the functions with which Python's garbage
 * collector visits them, through dictionaries' storage and through PyTorch's own C functions.
 * Nothing is compared, represented, called or looked up by attribute on an object of the program's.
 * The collector stands still meanwhile, so that no finaliser runs either. */
#ifndef VRAMGUARD_OOM_CENSUS_H
#define VRAMGUARD_OOM_CENSUS_H

#include <stdbool.h>
#include <stdint.h>

#include "analyze/census.h"

struct vg_recorder;

/* A live block, and when it came. */
struct vg_census_block {
    uint64_t bytes;
    uint64_t number;       /* which of all that were given out it was, from 1; 0 not known */
    uint64_t passes;       /* backward passes that had begun by then, as far as they are seen */
    uint64_t monotonic_ns; /* when that was */
    uint32_t eighth;       /* of its stack's allocations; VG_CENSUS_EIGHTHS not known */
    uint32_t stack_id;     /* which of the recorder's stacks made it; 0 not known */
    bool is_of_backward;   /* a backward pass did */
};

/* Where the census gets the rest of its facts from. The functions are called with the GIL held,
 * must not wait for it, and must not call into Python. */
struct vg_census_source {
    /* Is `address` the start of a live block that the question is about (one device's)? */
    bool (*find_block)(void *argument, uintptr_t address, struct vg_census_block *out);
    /* All such blocks. */
    void (*total)(void *argument, struct vg_census_amount *out);
    /* Calls `visit` for each, as far as it did not come or go meanwhile. NULL: they cannot be gone
     * through. */
    void (*each_block)(void *argument,
                       void (*visit)(uintptr_t address, uint64_t bytes, void *visit_argument),
                       void *visit_argument);
    /* How many were given out up to now. NULL: that is not counted. */
    uint64_t (*given)(void *argument);
    /* Asked first: no while a CUDA graph is captured. NULL: always. */
    bool (*may_begin)(void *argument);
    /* Whose stacks these are. NULL, or none: what is held is not told by lines. */
    struct vg_recorder *(*recorder)(void *argument);
    void *argument;
    /* Arrays of other libraries count where their memory is that of this GPU, CUDA's ordinal, and
     * no other's or the host's; -1: all do. */
    int32_t device;
    const char *jax_platform; /* with a device, what JAX calls its kind: "gpu" */
    /* The PyThreadState of the thread that has failed: to be compared, not read. NULL: the calling
     * one's. */
    const void *failing_thread;
};

/* Takes the census within `budget_ns` into `out`, of which every field is set. The calling thread
 * holds the GIL, keeps it throughout, and has no exception to lose: a pending one is put aside and
 * comes back. Takes memory from the kernel and gives it back. One at a time, which the GIL sees to;
 * no lock of ours may be held that `source` needs. Sources: "Object Implementation Support" and
 * "Supporting Cyclic Garbage Collection" of the Python/C API Reference Manual. */
void vg_census_take(const struct vg_census_source *source, uint64_t budget_ns,
                    struct vg_census *out);

#endif
