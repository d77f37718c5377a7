/* Tables of amounts: bytes, how many, what they are, and perhaps a note. Internal to the view
 * floor. Pure, no malloc. */
#ifndef VRAMGUARD_VIEW_ROW_TABLE_H
#define VRAMGUARD_VIEW_ROW_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/text.h"

enum { VG_ROW_TEXT_CAP = 1024, VG_ROW_TABLE_ROWS = 24 };

/* One row, still without its place on the line. */
struct vg_row {
    uint64_t bytes, count;
    char label[256];
    char note[256]; /* "" none */
};

struct vg_row_table {
    char title[160];
    size_t count;
    struct vg_row rows[VG_ROW_TABLE_ROWS];
};

/* Appends "  4.31 GiB      276x  net.py:9 Net.forward": one row. The amount has the unit of
 * `whole_bytes`. */
void vg_row_add(struct vg_text *out, uint64_t bytes, uint64_t count, uint64_t whole_bytes,
                const char *label);

/* A new last row without texts; NULL: there is no room. */
struct vg_row *vg_row_table_next(struct vg_row_table *table, uint64_t bytes, uint64_t count);

/* Adds one with a label, where there is room. */
void vg_row_table_add(struct vg_row_table *table, uint64_t bytes, uint64_t count,
                      const char *label);

/* The largest first. */
void vg_row_table_sort(struct vg_row_table *table);

/* Writes line `at` to `out` (VG_ROW_TEXT_CAP), cut to `columns`: 0 is the title, then come the
 * rows, "" is behind the last. Amounts have the unit of `whole_bytes`. */
void vg_row_table_lay_out(const struct vg_row_table *table, size_t at, size_t columns, char *out,
                          uint64_t whole_bytes);

/* Appends all lines; nothing for a table without rows. */
void vg_row_table_print(struct vg_text *out, const struct vg_row_table *table, size_t columns,
                        uint64_t whole_bytes);

/* How wide the widest line is. */
size_t vg_row_table_width(const struct vg_row_table *table, size_t columns, uint64_t whole_bytes);

#endif
