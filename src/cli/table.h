/* Tables for people: columns as wide as their cells, one of which gives way on a narrow terminal.
 */
#ifndef VRAMGUARD_CLI_TABLE_H
#define VRAMGUARD_CLI_TABLE_H

#include <stddef.h>

enum { VG_TABLE_COLUMNS = 10, VG_TABLE_CELL_CAP = 256 };

struct vg_table_row {
    char cells[VG_TABLE_COLUMNS][VG_TABLE_CELL_CAP];
};

struct vg_table {
    size_t column_count;
    size_t flexible; /* the column that is cut when there is no room */
    size_t row_count, row_cap;
    struct vg_table_row *rows; /* the first is the heading */
};

/* An empty table with the heading `titles`. The program ends when there is no memory for it. */
void vg_table_start(struct vg_table *table, const char *const *titles, size_t column_count,
                    size_t flexible);

/* A new row, empty; valid until the next one. */
struct vg_table_row *vg_table_add(struct vg_table *table);

/* Prints all rows to standard output, `columns` wide (0: no limit), and frees them. */
void vg_table_print(struct vg_table *table, unsigned columns);

#endif
