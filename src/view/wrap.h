/* Text in columns: wrapping with a hanging indent. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_WRAP_H
#define VRAMGUARD_VIEW_WRAP_H

#include <stddef.h>

#include "base/text.h"

enum vg_wrap_at {
    VG_WRAP_WORDS,  /* at any space */
    VG_WRAP_LABEL,  /* of a label: before a " > " */
    VG_WRAP_COLUMNS /* where three spaces part columns; the spaces disappear at a line's end */
};

/* Columns that `text` takes on a terminal: bytes, UTF-8 letters counted once. */
size_t vg_wrap_width(const char *text);

/* Appends `text` in lines of at most `columns`: the caller has written the first `indent` columns
 * of the first line, further lines begin with `indent` spaces. A piece too long for a line is split
 * where it must be. Ends with a newline. */
void vg_wrap_add(struct vg_text *out, const char *text, size_t indent, size_t columns,
                 enum vg_wrap_at at);

/* The same with a key: "  <key padded to indent - 2>text...". */
void vg_wrap_add_keyed(struct vg_text *out, const char *key, const char *text, size_t indent,
                       size_t columns, enum vg_wrap_at at);

/* Copies `text` to `out` (`cap` >= 1 bytes), at most `width` columns; cut texts end in "...". */
void vg_wrap_cut(char *out, size_t cap, const char *text, size_t width);

#endif
