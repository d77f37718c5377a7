#include "view/array_tables.h"

#include <stdio.h>

#include "analyze/array_holder.h"
#include "base/amount.h"
#include "view/array_text.h"
#include "view/line_text.h"
#include "view/row_table.h"
#include "view/wrap.h"

enum { HOLDERS_SHARE = 20 /* less than a twentieth of all is not shown */ };

/* Too large for a thread's stack; one report is made at a time (oom/emit.c). */
static struct vg_row_table shapes_table, holders_table;

bool vg_array_tables_are_known(const struct vg_run_failure *failure)
{
    return vg_array_holder_census(failure) != NULL;
}

/* "Arrays on this GPU: CuPy 1.00 GiB (3x), numba 3.51 GiB (15x)": pieces of memory. */
static void write_title(struct vg_row_table *table, const struct vg_census *census)
{
    struct vg_text text = vg_text_over(table->title, sizeof table->title);
    const char *separator = ": ";
    vg_text_add(&text, "Arrays on this GPU");
    for (enum vg_census_array_library i = 0; i < VG_CENSUS_ARRAY_LIBRARIES; i++) {
        const struct vg_census_amount *const amount = &census->arrays[i];
        if (amount->blocks == 0)
            continue;
        vg_text_addf(&text, "%s%s %s (%llux)", separator, vg_array_text_of(i)->name,
                     VG_AMOUNT(amount->bytes), (unsigned long long)amount->blocks);
        separator = ", ";
    }
    if (census->state != VG_CENSUS_COMPLETE)
        vg_text_add(&text, " (as far as there was time to look)");
}

static void fill_shapes(struct vg_row_table *table, const struct vg_census *census, size_t rows)
{
    const struct vg_census_amount total = vg_array_holder_total(census);
    uint64_t bytes = 0, blocks = 0;
    table->count = 0;
    write_title(table, census);
    for (uint32_t i = 0; i < census->array_shape_count && table->count + 1 < rows; i++) {
        const struct vg_census_array_shape *const shape = &census->array_shapes[i];
        const struct vg_census_amount *const amount = &shape->shape.amount;
        struct vg_row *const row = shape->from < VG_CENSUS_ARRAY_LIBRARIES
                                       ? vg_row_table_next(table, amount->bytes, amount->blocks)
                                       : NULL;
        if (!row)
            continue;
        struct vg_text label = vg_text_over(row->label, sizeof row->label);
        vg_text_addf(&label, "%s ", vg_array_text_of(shape->from)->name);
        vg_array_text_add_shape(&label, &shape->shape);
        bytes += amount->bytes;
        blocks += amount->blocks;
    }
    if (total.bytes > bytes && total.blocks > blocks)
        vg_row_table_add(table, total.bytes - bytes, total.blocks - blocks, "(other shapes)");
}

static void fill_holders(struct vg_row_table *table, const struct vg_census *census, size_t rows)
{
    const uint64_t total_bytes = vg_array_holder_total(census).bytes;
    table->count = 0;
    snprintf(table->title, sizeof table->title, "Which variables hold these arrays");
    for (uint32_t i = 0; i < census->variable_count && table->count < rows; i++) {
        const struct vg_census_variable *const variable = &census->variables[i];
        const struct vg_census_amount held = vg_array_holder_held(census, variable);
        struct vg_row *const row = held.bytes >= total_bytes / HOLDERS_SHARE && held.bytes > 0
                                       ? vg_row_table_next(table, held.bytes, held.blocks)
                                       : NULL;
        if (!row)
            continue;
        struct vg_text label = vg_text_over(row->label, sizeof row->label);
        vg_line_add_variable(&label, variable);
    }
    vg_row_table_sort(table);
}

/* Why a census that was asked for has told nothing; NULL: it has. */
static const char *silence_of(const struct vg_census *census)
{
    switch (census->state) {
    case VG_CENSUS_NO_GIL: return "another thread kept Python's lock (GIL)";
    case VG_CENSUS_BUSY: return "vramguard's own thread was busy";
    case VG_CENSUS_REFUSED: return "a CUDA graph was being captured";
    case VG_CENSUS_ENDING: return "Python was ending";
    case VG_CENSUS_UNREADABLE: return "this Python is not known";
    case VG_CENSUS_NO_COLLECTOR: return "before Python 3.12 the program has to import gc";
    case VG_CENSUS_UNKNOWN_TORCH: return "this PyTorch is not known";
    default: return NULL;
    }
}

static void add_silence(struct vg_text *out, const struct vg_run_failure *failure, size_t columns)
{
    const struct vg_census *const census = vg_array_holder_asked(failure);
    const char *const why = census ? silence_of(census) : NULL;
    char line[VG_ROW_TEXT_CAP], cut[VG_ROW_TEXT_CAP];
    if (!why)
        return;
    snprintf(line, sizeof line, "  Arrays on this GPU: not looked at, %s", why);
    vg_wrap_cut(cut, sizeof cut, line, columns);
    vg_text_addf(out, "%s\n", cut);
}

void vg_array_tables_add(struct vg_text *out, const struct vg_run_failure *failure, size_t rows,
                         size_t columns)
{
    const struct vg_census *const census = vg_array_holder_census(failure);
    if (!census) {
        add_silence(out, failure, columns);
        return;
    }
    const uint64_t whole_bytes = vg_array_holder_total(census).bytes;
    fill_shapes(&shapes_table, census, rows < VG_ROW_TABLE_ROWS ? rows : VG_ROW_TABLE_ROWS);
    fill_holders(&holders_table, census, rows);
    vg_row_table_print(out, &shapes_table, columns, whole_bytes);
    vg_row_table_print(out, &holders_table, columns, whole_bytes);
}
