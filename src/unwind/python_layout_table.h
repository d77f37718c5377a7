/* Where each version of CPython keeps what a stack is read from:
 *
 *   VG_PYTHON_LAYOUT(minor, initialisers of struct vg_python_layout)
 *
 * From the headers of each version (Include/cpython/pystate.h, frameobject.h, code.h,
 * internal/pycore_frame.h, unicodeobject.h); of 3.14 and 3.15 from the _Py_DebugOffsets that they
 * publish, and what these say nothing of (exc_info) as seen in the running interpreters. Function
 * names are qualified where the code object has them: from 3.11 on. */
/* clang-format off */
#define VG_FRAME_OBJECT(instruction, counts)                                                          \
    .thread_frame = 24, .holder_frame = VG_PYTHON_ABSENT, .frame_code = 32, .frame_back = 24,      \
    .frame_instruction = instruction, .frame_entry = VG_PYTHON_ABSENT,                             \
    .frame_owner = VG_PYTHON_ABSENT, .counter = counts, .first_line = 40, .file = 104,             \
    .name = 112, .lines = 120, .bytecode = 0, .first_traceable = VG_PYTHON_ABSENT,                 \
    .ascii_data = 48, .compact_data = 72, .kind_shift = 2, .frame_globals = 48,                    \
    .frame_namespace = 56, .frame_object = VG_PYTHON_ABSENT, .variables = 72, .cells = 88,         \
    .frees = 80, .tuple_items = 24, .thread_handled = 144, .thread_own_item = 112,                 \
    .handled_value = 8, .handled_outer = 24
VG_PYTHON_LAYOUT(8,
    VG_FRAME_OBJECT(104, VG_PYTHON_COUNTS_BYTES),
    .frame_variables = 360,
    .lines_format = VG_PYTHON_LNOTAB)
VG_PYTHON_LAYOUT(9,
    VG_FRAME_OBJECT(104, VG_PYTHON_COUNTS_BYTES),
    .frame_variables = 360,
    .lines_format = VG_PYTHON_LNOTAB)
VG_PYTHON_LAYOUT(10,
    VG_FRAME_OBJECT(96, VG_PYTHON_COUNTS_UNITS),
    .frame_variables = 352,
    .lines_format = VG_PYTHON_RANGES)
#undef VG_FRAME_OBJECT
VG_PYTHON_LAYOUT(11,
    .thread_frame = 56,
    .holder_frame = 8,
    .thread_handled = 120,
    .thread_own_item = 320,
    .handled_value = 0,
    .handled_outer = 8,
    .frame_code = 32,
    .frame_back = 48,
    .frame_instruction = 56,
    .frame_entry = 68,
    .frame_owner = 69,
    .counter = VG_PYTHON_POINTS,
    .first_line = 72,
    .file = 112,
    .name = 128,
    .lines = 136,
    .bytecode = 184,
    .first_traceable = 168,
    .lines_format = VG_PYTHON_LOCATIONS,
    .ascii_data = 48,
    .compact_data = 72,
    .kind_shift = 2,
    .frame_globals = 8,
    .frame_namespace = 24,
    .frame_variables = 72,
    .frame_object = 40,
    .variables = 96,
    .cells = VG_PYTHON_ABSENT,
    .frees = VG_PYTHON_ABSENT,
    .tuple_items = 24)
#define VG_INTERPRETER_FRAME                                                                          \
    .frame_code = 0, .frame_back = 8, .frame_instruction = 56, .frame_entry = VG_PYTHON_ABSENT,    \
    .counter = VG_PYTHON_POINTS, .first_line = 68, .file = 112, .name = 128, .lines = 136,         \
    .lines_format = VG_PYTHON_LOCATIONS, .ascii_data = 40, .compact_data = 56,                     \
    .frame_globals = 24, .frame_namespace = 40, .frame_object = 48, .variables = 96,               \
    .cells = VG_PYTHON_ABSENT, .frees = VG_PYTHON_ABSENT, .handled_value = 0, .handled_outer = 8
VG_PYTHON_LAYOUT(12,
    VG_INTERPRETER_FRAME,
    .thread_frame = 56,
    .holder_frame = 0,
    .thread_handled = 104,
    .thread_own_item = 256,
    .frame_owner = 70,
    .bytecode = 192,
    .frame_variables = 72,
    .first_traceable = 176,
    .tuple_items = 24,
    .kind_shift = 2)
VG_PYTHON_LAYOUT(13,
    VG_INTERPRETER_FRAME,
    .thread_frame = 72,
    .holder_frame = VG_PYTHON_ABSENT,
    .thread_handled = 120,
    .thread_own_item = 256,
    .frame_owner = 70,
    .bytecode = 200,
    .frame_variables = 72,
    .first_traceable = 184,
    .tuple_items = 24,
    .kind_shift = 2)
#define VG_STACK_REFERENCES                                                                           \
    VG_INTERPRETER_FRAME, .thread_frame = 72, .holder_frame = VG_PYTHON_ABSENT, .frame_owner = 74, \
    .bytecode = 208, .frame_variables = 80, .first_traceable = 192, .tuple_items = 32
/* Releases of 3.14 differ in whether `interned` has 16 bits (unicodeobject.h). */
VG_PYTHON_LAYOUT(14,
    VG_STACK_REFERENCES,
    .thread_handled = 120,
    .thread_own_item = 256,
    .kind_shift = 2,
    .other_kind_shift = 16)
VG_PYTHON_LAYOUT(15,
    VG_STACK_REFERENCES,
    .thread_handled = 144,
    .thread_own_item = 288,
    .kind_shift = 2)
#undef VG_STACK_REFERENCES
#undef VG_INTERPRETER_FRAME
/* clang-format on */
