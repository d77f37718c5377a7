#include "unwind/python_handled.h"

#include "os/mapped.h"

enum {
    ITEMS_MAX = 1024,  /* generators that run for each other */
    OBJECT_BYTES = 16, /* PyObject: what can be asked of any */
};

static bool may_hold(uintptr_t at, size_t bytes)
{
    return at % sizeof at == 0 && vg_is_mapped((const void *)at, bytes);
}

bool vg_python_handled_read(const struct vg_python_layout *layout, uintptr_t thread,
                            struct vg_python_handled *out)
{
    const uintptr_t last = thread + (uintptr_t)layout->thread_own_item;
    const size_t item_bytes = (size_t)layout->handled_outer + sizeof(uintptr_t);
    uintptr_t item = vg_python_word(thread + (uintptr_t)layout->thread_handled);
    out->count = 0;
    for (size_t i = 0; i < ITEMS_MAX && (item == last || may_hold(item, item_bytes)); i++) {
        const uintptr_t value = vg_python_word(item + (uintptr_t)layout->handled_value);
        const uintptr_t outer = vg_python_word(item + (uintptr_t)layout->handled_outer);
        if (value && !may_hold(value, OBJECT_BYTES))
            return false;
        if (value && out->count < VG_PYTHON_HANDLED)
            out->values[out->count++] = value;
        if (item == last)
            return outer == 0;
        item = outer;
    }
    return false;
}
