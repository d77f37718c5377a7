/* Reading code objects and strings of a CPython interpreter. The objects must be alive: those of
 * the calling thread's frames are while it is in this library. */
#ifndef VRAMGUARD_UNWIND_PYTHON_CODE_H
#define VRAMGUARD_UNWIND_PYTHON_CODE_H

#include <stddef.h>

#include "unwind/python_layout.h"

static inline int32_t vg_python_code_first_line(const struct vg_python_layout *layout,
                                                uintptr_t code)
{
    return vg_python_int(code + (uintptr_t)layout->first_line);
}

/* Of a file name, which the interpreter does not always hash: its length and last eight bytes. */
static inline uint64_t vg_python_text_tail(const struct vg_python_layout *layout, uintptr_t string)
{
    const uintptr_t length = vg_python_object_word(layout, string, VG_STR_LENGTH);
    const uintptr_t skipped = length > sizeof(uintptr_t) ? length - sizeof(uintptr_t) : 0;
    return vg_python_word(string + (uintptr_t)layout->ascii_data + skipped) ^ length << 48;
}

/* 64 bits that tell code objects apart, also when one has been freed and another one lies at its
 * address: mixed from the addresses of the object, its name, file name and line table, the first
 * line, and samples of the contents of the three. The multiplications are independent, so that the
 * processor does them side by side: this runs for every frame of every stack. */
static inline uint64_t vg_python_code_identity(const struct vg_python_layout *layout,
                                               uintptr_t code)
{
    const uintptr_t name = vg_python_word(code + (uintptr_t)layout->name);
    const uintptr_t file = vg_python_word(code + (uintptr_t)layout->file);
    const uintptr_t lines = vg_python_word(code + (uintptr_t)layout->lines);
    const uint64_t first_line = (uint32_t)vg_python_code_first_line(layout, code);
    const uint64_t line_bytes = vg_python_object_word(layout, lines, VG_BYTES_SIZE);
    const uint64_t a = code * UINT64_C(0x9e3779b97f4a7c15) + name * UINT64_C(0xbf58476d1ce4e5b9);
    const uint64_t b = file * UINT64_C(0x94d049bb133111eb) + lines * UINT64_C(0xd6e8feb86659fd93);
    const uint64_t c =
        vg_python_object_word(layout, name, VG_STR_HASH) * UINT64_C(0xff51afd7ed558ccd) +
        vg_python_text_tail(layout, file) * UINT64_C(0xc4ceb9fe1a85ec53);
    const uint64_t d =
        vg_python_object_word(layout, lines, VG_BYTES_DATA) * UINT64_C(0x2545f4914f6cdd1d) +
        (line_bytes << 32 ^ first_line) * UINT64_C(0xa0761d6478bd642f);
    const uint64_t all = (a ^ b >> 31) + (c ^ d >> 29) + (b << 7) + d;
    return all ^ all >> 32;
}

/* The line of the instruction at `instruction_bytes`; 0 unknown. */
int32_t vg_python_code_line(const struct vg_python_layout *layout, uintptr_t code,
                            int64_t instruction_bytes);

/* Writes the str at address `string` as UTF-8 to `out` (`cap` >= 1 bytes); of one that does not
 * fit, its end. Returns the length. */
size_t vg_python_text(const struct vg_python_layout *layout, uintptr_t string, char *out,
                      size_t cap);

#endif
