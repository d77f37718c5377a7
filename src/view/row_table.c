#include "view/row_table.h"

#include <stdio.h>

#include "base/amount.h"
#include "base/size.h"
#include "view/wrap.h"

enum { LABEL_MIN = 12, LABEL_MAX = 44 };

struct vg_row *vg_row_table_next(struct vg_row_table *table, uint64_t bytes, uint64_t count)
{
    if (table->count == VG_ROW_TABLE_ROWS)
        return NULL;
    struct vg_row *const row = &table->rows[table->count++];
    row->bytes = bytes;
    row->count = count;
    row->label[0] = row->note[0] = '\0';
    return row;
}

void vg_row_table_add(struct vg_row_table *table, uint64_t bytes, uint64_t count, const char *label)
{
    struct vg_row *const row = vg_row_table_next(table, bytes, count);
    if (row)
        snprintf(row->label, sizeof row->label, "%s", label);
}

void vg_row_table_sort(struct vg_row_table *table)
{
    for (size_t i = 1; i < table->count; i++)
        for (size_t k = i; k > 0 && table->rows[k].bytes > table->rows[k - 1].bytes; k--) {
            const struct vg_row smaller = table->rows[k - 1];
            table->rows[k - 1] = table->rows[k];
            table->rows[k] = smaller;
        }
}

static size_t label_width(const struct vg_row_table *table)
{
    size_t width = LABEL_MIN;
    for (size_t i = 0; i < table->count; i++) {
        const size_t wanted = vg_wrap_width(table->rows[i].label);
        if (table->rows[i].note[0])
            width = wanted > width ? wanted : width;
    }
    return width < LABEL_MAX ? width : LABEL_MAX;
}

void vg_row_add(struct vg_text *out, uint64_t bytes, uint64_t count, uint64_t whole_bytes,
                const char *label)
{
    char amount[VG_SIZE_TEXT_CAP], times[24];
    vg_amount_format_column(amount, (int64_t)bytes, whole_bytes);
    snprintf(times, sizeof times, "%llux", (unsigned long long)count);
    vg_text_addf(out, "  %10s %9s  %s", amount, times, label);
}

void vg_row_table_lay_out(const struct vg_row_table *table, size_t at, size_t columns, char *out,
                          uint64_t whole_bytes)
{
    char line[VG_ROW_TEXT_CAP];
    struct vg_text text = vg_text_over(line, sizeof line);
    out[0] = '\0';
    if (at > table->count)
        return;
    if (at == 0) {
        vg_text_addf(&text, "  %s", table->title);
    } else {
        const struct vg_row *const row = &table->rows[at - 1];
        vg_row_add(&text, row->bytes, row->count, whole_bytes, row->label);
        if (row->note[0]) {
            vg_text_pad(&text, ' ', (long)label_width(table) - (long)vg_wrap_width(row->label));
            vg_text_addf(&text, "  %s", row->note);
        }
    }
    vg_wrap_cut(out, VG_ROW_TEXT_CAP, line, columns);
}

void vg_row_table_print(struct vg_text *out, const struct vg_row_table *table, size_t columns,
                        uint64_t whole_bytes)
{
    char line[VG_ROW_TEXT_CAP];
    for (size_t at = 0; table->count > 0 && at <= table->count; at++) {
        vg_row_table_lay_out(table, at, columns, line, whole_bytes);
        vg_text_addf(out, "%s\n", line);
    }
}

size_t vg_row_table_width(const struct vg_row_table *table, size_t columns, uint64_t whole_bytes)
{
    char line[VG_ROW_TEXT_CAP];
    size_t widest = 0;
    for (size_t at = 0; at <= table->count; at++) {
        vg_row_table_lay_out(table, at, columns, line, whole_bytes);
        const size_t width = vg_wrap_width(line);
        widest = width > widest ? width : widest;
    }
    return widest;
}
