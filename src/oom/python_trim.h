/* Gives back what Python code only keeps: the caches of PyTorch and CuPy, and, where the user
 * allows it, what a garbage collection finds. It runs in the helper (helper.h), takes the GIL there
 * and holds nothing else, so all that can happen to it is that it waits: for the GIL, or inside
 * torch.cuda.empty_cache() for the mutex of PyTorch's allocator.
 *
 * Two things must never wait for it:
 * - A call that lacks memory inside PyTorch's allocator holds that mutex as long as we wait for
 *   memory, and older PyTorch does not give the GIL up in empty_cache: a trim behind such a call
 * would stop the whole program. So none begins while a call of the process lacks memory, and a call
 * that begins to in that very moment gives up waiting (vg_python_trim_is_stuck).
 * - The end of the interpreter: a thread that comes back to the GIL then is ended, in the middle of
 *   C++ code that cannot bear it. Python's own exit handlers wait for a trim that is under way, and
 *   none begins after them. */
#ifndef VRAMGUARD_OOM_PYTHON_TRIM_H
#define VRAMGUARD_OOM_PYTHON_TRIM_H

#include <stdbool.h>
#include <stdint.h>

enum { VG_PYTHON_TRIM_WHY_CAP = 96 };

enum vg_python_trim_end {
    VG_PYTHON_TRIM_LATE,    /* the GIL came too late, or never: nothing was done */
    VG_PYTHON_TRIM_REFUSED, /* `may_begin` said no, or the interpreter is ending */
    VG_PYTHON_TRIM_DONE,
};

/* What is to be done. It must outlive the caller's patience: static memory. */
struct vg_python_trim {
    bool collect;                      /* the garbage first */
    uint64_t until_ns;                 /* CLOCK_MONOTONIC: nothing begins after that */
    bool (*may_begin)(void *argument); /* asked with the GIL, right before */
    void *argument;
    enum vg_python_trim_end end;
    char why[VG_PYTHON_TRIM_WHY_CAP]; /* what raised an exception; "" nothing did */
};

/* Is there a Python interpreter in this process that has loaded PyTorch or CuPy, as far as the
 * loaded objects tell? Walks their list once or twice; takes no GIL. Any thread. */
bool vg_python_trim_is_possible(void);

/* Does the calling thread hold the GIL? Then it must not wait for a trim. */
bool vg_python_trim_holds_gil(void);

/* Does the work of `task`, a struct vg_python_trim. To be run in the helper. */
void vg_python_trim_run(void *task);

/* Has a trim of this process been inside Python's functions for longer than a second? */
bool vg_python_trim_is_stuck(void);

/* At the end of the process: no trim begins any more. Waits for one that is inside Python's
 * functions, two seconds at the most. */
void vg_python_trim_close(void);

#endif
