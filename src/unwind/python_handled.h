/* The exceptions that a thread is handling, in an `except` block or on the way out of a `with` or
 * `finally`: CPython's stack of them, read from the thread's state. sys.exc_info() tells the
 * calling thread's alone; sys._current_exceptions() tells all threads', and the program's audit
 * hooks. One item of the stack is the thread's own, and each generator that runs puts one of its
 * own on top: what a function handled before is kept by its frame alone. */
#ifndef VRAMGUARD_UNWIND_PYTHON_HANDLED_H
#define VRAMGUARD_UNWIND_PYTHON_HANDLED_H

#include <stdbool.h>
#include <stdint.h>

#include "unwind/python_layout.h"

enum { VG_PYTHON_HANDLED = 16 };

struct vg_python_handled {
    uint32_t count;
    uintptr_t values[VG_PYTHON_HANDLED]; /* objects, innermost first; of more, the innermost. None
                                            where an item has no exception, in some versions */
};

/* Reads the stack of the thread with the state `thread` (a PyThreadState). Returns false where it
 * does not end, as it must, at the item in that state: this build keeps it elsewhere. The caller
 * holds the GIL, so that no thread's can change. */
bool vg_python_handled_read(const struct vg_python_layout *layout, uintptr_t thread,
                            struct vg_python_handled *out);

#endif
