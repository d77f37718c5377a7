/* What CPython itself publishes about where it keeps things, from 3.13 on: _Py_DebugOffsets, with
 * which _PyRuntime begins (Include/internal/pycore_debug_offsets.h). All of it is words of 64 bits:
 * a cookie, the version, whether the build has no GIL, and then group after group the sizes of
 * structures and the offsets of members. Pure reads of the interpreter's memory. */
#ifndef VRAMGUARD_UNWIND_PYTHON_OFFSETS_H
#define VRAMGUARD_UNWIND_PYTHON_OFFSETS_H

#include <stdbool.h>
#include <stdint.h>

#include "unwind/python_layout.h"

/* Does `runtime`, the address of _PyRuntime or NULL, begin with such a table? */
bool vg_python_offsets_exist(const uint64_t *runtime);

/* Of a table that exists: is it a build without the GIL? Its objects have another header. */
bool vg_python_offsets_free_threaded(const uint64_t *runtime);

/* Of a table that exists: what it says of frames, code objects and tuples, put in the place of what
 * `row`, the version's, says; what it says nothing of lies as far from its neighbours as in the
 * row.
 * `*out` is the row itself where the table says the same. Returns false, with the row in `*out`,
 * for a version whose order of groups is not known here. */
bool vg_python_offsets_read(const uint64_t *runtime, const struct vg_python_layout *row,
                            struct vg_python_layout *out);

#endif
