/* What the library reads of the exceptions that threads are handling, for a program that loads it
 * with ctypes and calls it with the GIL held (PyDLL). */
#include "unwind/python_handled.h"
#include "unwind/python_stack.h"

#define EXPORTED __attribute__((visibility("default")))

EXPORTED int handled_read(uintptr_t thread, uintptr_t *out, int wrong_by);

/* Those of the thread with this PyThreadState, innermost first, VG_PYTHON_HANDLED at the most.
 * `wrong_by`: with a layout whose offset is wrong by so much. Returns how many; -1: they are kept
 * in another way; -2: no Python can be read. */
int handled_read(uintptr_t thread, uintptr_t *out, int wrong_by)
{
    const struct vg_python_layout *const own = vg_python_layout_in_use(NULL);
    struct vg_python_handled handled;
    if (!own)
        return -2;
    struct vg_python_layout layout = *own;
    layout.thread_handled = (int16_t)(layout.thread_handled + wrong_by);
    if (!vg_python_handled_read(&layout, thread, &handled))
        return -1;
    memcpy(out, handled.values, handled.count * sizeof *out);
    return (int)handled.count;
}
