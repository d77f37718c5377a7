/* CPython's line tables: from an instruction of a code object to the line of the source. Pure. */
#ifndef VRAMGUARD_UNWIND_PYTHON_LINES_H
#define VRAMGUARD_UNWIND_PYTHON_LINES_H

#include <stddef.h>
#include <stdint.h>

enum vg_python_lines_format {
    VG_PYTHON_LNOTAB,    /* 3.8, 3.9: Objects/lnotab_notes.txt */
    VG_PYTHON_RANGES,    /* 3.10: PEP 626, Objects/lnotab_notes.txt */
    VG_PYTHON_LOCATIONS, /* from 3.11: InternalDocs/code_objects.md, "Format of the locations
                            table" */
};

/* The line of the instruction at `instruction_bytes` from the start of the bytecode, in a code
 * object whose first line is `first_line`. `table` has `table_bytes` bytes and may be cut off. An
 * instruction before the first one counts as the first line; 0 when the instruction has no line or
 * the table does not reach it. */
int32_t vg_python_line(enum vg_python_lines_format format, const unsigned char *table,
                       size_t table_bytes, int32_t first_line, int64_t instruction_bytes);

#endif
