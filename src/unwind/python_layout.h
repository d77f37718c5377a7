/* Where CPython keeps what a stack is read from: one row for each minor version, in which from 3.13
 * on what the interpreter itself publishes takes the row's place (python_offsets.h). */
#ifndef VRAMGUARD_UNWIND_PYTHON_LAYOUT_H
#define VRAMGUARD_UNWIND_PYTHON_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "unwind/python_lines.h"

enum { VG_PYTHON_ABSENT = -1 };

enum vg_python_counter {
    VG_PYTHON_COUNTS_BYTES, /* an int, in bytes of bytecode */
    VG_PYTHON_COUNTS_UNITS, /* an int, in code units of two bytes */
    VG_PYTHON_POINTS,       /* a pointer into the bytecode */
};

/* _frameowner of pycore_frame.h (internal). */
enum vg_python_owner {
    VG_PYTHON_OWNED_BY_GENERATOR = 1,
    VG_PYTHON_MARKER = 3, /* this and above: no frame of Python code, but the outer end of one call
                             of the interpreter's loop */
};

/* Offsets in bytes. 64-bit builds. */
struct vg_python_layout {
    unsigned minor; /* of CPython 3 */
    int16_t head;   /* by how much the header of an object is longer than PyObject's 16 bytes */

    /* Thread state. */
    int16_t thread_frame;    /* the innermost frame, or the structure that holds it */
    int16_t holder_frame;    /* in that structure; VG_PYTHON_ABSENT: there is none */
    int16_t thread_handled;  /* exc_info: the innermost item of the stack of exceptions that it is
                                handling, _PyErr_StackItem */
    int16_t thread_own_item; /* exc_state: the outermost item, which is in the state itself */
    int16_t handled_value, handled_outer; /* of an item: its exception and the item further out */

    /* Frame. */
    int16_t frame_code, frame_back, frame_instruction;
    int16_t frame_entry; /* bool: the outermost frame of one call of the interpreter's loop */
    int16_t frame_owner; /* char, enum vg_python_owner */
    enum vg_python_counter counter;
    int16_t frame_globals, frame_namespace; /* dictionaries; the second where names are looked up
                                               when they are no variables of a function, or NULL */
    int16_t frame_variables;                /* the first of the function's variables */
    int16_t frame_object;                   /* the object that Python shows, or NULL;
                                               VG_PYTHON_ABSENT: the frame itself */
    int16_t frame_copy; /* int: which of its code's copies it runs; 0: the code has one bytecode */

    /* Code object. */
    int16_t first_line, file, name, lines, bytecode;
    int16_t copies; /* with frame_copy: the array of the bytecode's copies, one for each thread */
    int16_t first_traceable; /* int, in code units: before it Python does not show the frame */
    enum vg_python_lines_format lines_format;
    int16_t variables, cells, frees; /* tuples with the names of a frame's variables, in their
                                        order; all in the first: the others are VG_PYTHON_ABSENT */

    int16_t tuple_items; /* the first item of a tuple */

    /* str. */
    int16_t ascii_data, compact_data;
    /* Of the bits kind:3, compact:1, ascii:1 in the word at VG_STR_STATE; `other`: where some
     * releases of this version have them, 0: none has. */
    unsigned kind_shift, other_kind_shift;
};

/* The same in all versions, but for the head of an object (Include/object.h, unicodeobject.h,
 * bytesobject.h). */
enum {
    VG_OBJECT_TYPE = 8,
    VG_STR_LENGTH = 16,
    VG_STR_HASH = 24,
    VG_STR_STATE = 32,
    VG_BYTES_SIZE = 16,
    VG_BYTES_DATA = 32,
};

/* The row of CPython 3.`minor`, NULL for versions that are not known. */
const struct vg_python_layout *vg_python_layout_of(unsigned minor);

/* Reads the interpreter's memory. */
static inline uintptr_t vg_python_word(uintptr_t at)
{
    uintptr_t word;
    memcpy(&word, (const void *)at, sizeof word);
    return word;
}

static inline int32_t vg_python_int(uintptr_t at)
{
    int32_t number;
    memcpy(&number, (const void *)at, sizeof number);
    return number;
}

/* A word of an object, at one of the offsets that are the same in all versions. */
static inline uintptr_t vg_python_object_word(const struct vg_python_layout *layout,
                                              uintptr_t object, uintptr_t offset)
{
    return vg_python_word(object + (uintptr_t)layout->head + offset);
}

static inline uintptr_t vg_python_tuple_item(const struct vg_python_layout *layout, uintptr_t tuple,
                                             size_t index)
{
    return vg_python_word(tuple + (uintptr_t)layout->tuple_items + index * sizeof(uintptr_t));
}

enum { VG_STR_KIND = 7, VG_STR_COMPACT = 8, VG_STR_ASCII = 16 };

/* Those bits of a str: the bytes of a character in VG_STR_KIND, and the two flags. */
static inline uint32_t vg_python_str_bits(const struct vg_python_layout *layout, uintptr_t string)
{
    const uint32_t state = (uint32_t)vg_python_object_word(layout, string, VG_STR_STATE);
    const bool is_elsewhere =
        layout->other_kind_shift && (state >> layout->kind_shift & VG_STR_KIND) == 0;
    return state >> (is_elsewhere ? layout->other_kind_shift : layout->kind_shift);
}

#endif
