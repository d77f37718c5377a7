/* Reading code objects and strings of a CPython interpreter. The objects must be alive: those of
 * the calling thread's frames are while it is in this library. */
#ifndef VRAMGUARD_GUARD_PYTHON_CODE_H
#define VRAMGUARD_GUARD_PYTHON_CODE_H

#include <stddef.h>

#include "guard/python_layout.h"

/* 64 bits that tell code objects apart, also when one has been freed and another one lies at its
 * address: mixed from the addresses of the object, its name, file name and line table, the first
 * line, and samples of the contents of the three. */
uint64_t vg_python_code_identity(const struct vg_python_layout *layout, uintptr_t code);

int32_t vg_python_code_first_line(const struct vg_python_layout *layout, uintptr_t code);

/* The line of the instruction at `instruction_bytes`; 0 unknown. */
int32_t vg_python_code_line(const struct vg_python_layout *layout, uintptr_t code,
                            int64_t instruction_bytes);

/* Writes the str at address `string` as UTF-8 to `out` (`cap` >= 1 bytes); of one that does not
 * fit, its end. Returns the length. */
size_t vg_python_text(const struct vg_python_layout *layout, uintptr_t string, char *out,
                      size_t cap);

#endif
