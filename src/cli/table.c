#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "view/wrap.h"

enum { FLEXIBLE_MIN = 20, FLEXIBLE_MAX = 160, GAP = 2 };

struct vg_table_row *vg_table_add(struct vg_table *table)
{
    if (table->row_count == table->row_cap) {
        table->row_cap = table->row_cap ? 2 * table->row_cap : 32;
        table->rows = realloc(table->rows, table->row_cap * sizeof *table->rows);
        if (!table->rows)
            abort();
    }
    struct vg_table_row *const row = &table->rows[table->row_count++];
    for (size_t c = 0; c < table->column_count; c++)
        row->cells[c][0] = '\0';
    return row;
}

void vg_table_start(struct vg_table *table, const char *const *titles, size_t column_count,
                    size_t flexible)
{
    *table = (struct vg_table){ .column_count = column_count, .flexible = flexible };
    struct vg_table_row *const heading = vg_table_add(table);
    for (size_t c = 0; c < column_count; c++)
        snprintf(heading->cells[c], VG_TABLE_CELL_CAP, "%s", titles[c]);
}

static void measure_widths(const struct vg_table *table, unsigned columns, size_t *widths)
{
    size_t others = GAP * (table->column_count - 1);
    for (size_t c = 0; c < table->column_count; c++) {
        widths[c] = 0;
        for (size_t i = 0; i < table->row_count; i++)
            if (vg_wrap_width(table->rows[i].cells[c]) > widths[c])
                widths[c] = vg_wrap_width(table->rows[i].cells[c]);
        others += c == table->flexible ? 0 : widths[c];
    }
    size_t room = FLEXIBLE_MAX;
    if (columns > 0)
        room = columns > others + FLEXIBLE_MIN ? columns - others : FLEXIBLE_MIN;
    if (widths[table->flexible] > room)
        widths[table->flexible] = room;
}

static void print_row(const struct vg_table *table, const struct vg_table_row *row,
                      const size_t *widths)
{
    for (size_t c = 0; c < table->column_count; c++) {
        char cell[VG_TABLE_CELL_CAP];
        vg_wrap_cut(cell, sizeof cell, row->cells[c],
                    c == table->flexible ? widths[c] : VG_TABLE_CELL_CAP);
        printf("%s", cell);
        if (c < table->column_count - 1)
            printf("%*s", (int)(widths[c] - vg_wrap_width(cell)) + GAP, "");
    }
    putchar('\n');
}

void vg_table_print(struct vg_table *table, unsigned columns)
{
    size_t widths[VG_TABLE_COLUMNS];
    for (size_t i = 0; i < table->row_count; i++)
        for (size_t c = 0; c < table->column_count; c++)
            vg_text_repair(table->rows[i].cells[c], VG_TABLE_CELL_CAP);
    measure_widths(table, columns, widths);
    for (size_t i = 0; i < table->row_count; i++)
        print_row(table, &table->rows[i], widths);
    free(table->rows);
    table->rows = NULL;
}
