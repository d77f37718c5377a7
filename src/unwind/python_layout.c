#include "unwind/python_layout.h"

#include <stddef.h>

static const struct vg_python_layout layouts[] = {
#define VG_PYTHON_LAYOUT(number, ...) { .minor = number, __VA_ARGS__ },
#include "unwind/python_layout_table.h"
#undef VG_PYTHON_LAYOUT
};

const struct vg_python_layout *vg_python_layout_of(unsigned minor)
{
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++)
        if (layouts[i].minor == minor)
            return &layouts[i];
    return NULL;
}
