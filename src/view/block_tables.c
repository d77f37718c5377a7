#include "view/block_tables.h"

#include <stdio.h>
#include <string.h>

#include "analyze/holder.h"
#include "base/amount.h"
#include "view/line_text.h"
#include "view/row_table.h"
#include "view/wrap.h"

enum {
    SIDE_BY_SIDE_MIN = 130, /* columns from which two tables have room beside each other */
    GAP = 3,
    HOLDERS_SHARE = 20, /* less than a twentieth of all is not shown */
};

/* Too large for a thread's stack; one report is made at a time (oom/emit.c). */
static struct vg_row_table kinds_table, lines_table, holders_table;

bool vg_block_tables_are_known(const struct vg_run_failure *failure)
{
    return failure->torch.tells_blocks && failure->torch.block_count > 0;
}

/* ---- filling ---- */

static const char *const kind_labels[VG_CENSUS_KINDS] = {
    [VG_CENSUS_PARAMETER] = "parameters",      [VG_CENSUS_GRADIENT] = "gradients",
    [VG_CENSUS_OPTIMIZER] = "optimizer state", [VG_CENSUS_BUFFER] = "buffers of modules",
    [VG_CENSUS_OTHER] = "other tensors",       [VG_CENSUS_GRAPH] = "kept for the backward pass",
};

static uint64_t remainder_of(uint64_t whole, uint64_t parts)
{
    return whole > parts ? whole - parts : 0;
}

/* Parameters of models of one class: those of the largest. */
static uint64_t parameters_of_class(const struct vg_census *census)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < census->module_count; i++)
        if (census->modules[i].depth == 0 &&
            strcmp(census->modules[i].path, census->modules[0].path) == 0)
            bytes += census->modules[i].amount[VG_CENSUS_PARAMETER].bytes;
    return bytes;
}

static void add_model_name(struct vg_row *row, const struct vg_census *census)
{
    const uint64_t all_bytes = census->kinds[VG_CENSUS_PARAMETER].bytes;
    if (row && census->module_count > 0 && census->modules[0].depth == 0)
        snprintf(row->label, sizeof row->label, "parameters of %s%s", census->modules[0].path,
                 parameters_of_class(census) < all_bytes - all_bytes / 8 ? " and others" : "");
}

static void fill_kinds(struct vg_row_table *table, const struct vg_run_failure *f)
{
    const struct vg_census *const census = vg_holder_census(f);
    table->count = 0;
    if (!census)
        return;
    uint64_t bytes = 0, blocks = 0;
    snprintf(table->title, sizeof table->title, "What they are%s",
             census->state == VG_CENSUS_COMPLETE ? "" : " (as far as there was time to look)");
    for (enum vg_census_kind kind = 0; kind < VG_CENSUS_KINDS; kind++) {
        const struct vg_census_amount *const amount = &census->kinds[kind];
        bytes += amount->bytes;
        blocks += amount->blocks;
        if (amount->blocks == 0)
            continue;
        vg_row_table_add(table, amount->bytes, amount->blocks, kind_labels[kind]);
        if (kind == VG_CENSUS_PARAMETER)
            add_model_name(&table->rows[table->count - 1], census);
    }
    vg_row_table_sort(table);
    if (census->total.blocks > blocks)
        vg_row_table_add(table, remainder_of(census->total.bytes, bytes),
                         census->total.blocks - blocks, "held by C++ code or unknown");
}

/* Does the site begin in what the failing call begins in, neither in a line of the program's? A
 * pool of threads works for the main thread then, which waits for it at a line that is known. */
static bool is_in_same_pool(const struct vg_run_failure *f, const struct vg_run_site *site)
{
    const size_t length = strcspn(f->where, ">");
    return !site->own.file[0] && f->main_line.line > 0 && f->where[length] != '\0' &&
           strncmp(f->where, site->label, length) == 0;
}

static void fill_lines(struct vg_row_table *table, const struct vg_run_failure *f, size_t rows)
{
    const struct vg_run_sites *const sites = &f->device.sites[VG_LEVEL_BLOCKS];
    uint64_t bytes = 0, count = 0;
    char amount[VG_SIZE_TEXT_CAP];
    table->count = 0;
    snprintf(table->title, sizeof table->title,
             "The %s of PyTorch tensors of this process: %llu live, by line",
             vg_amount_format(amount, f->torch.allocated_bytes),
             (unsigned long long)f->torch.block_count);
    for (uint32_t i = 0; i < sites->count && table->count < rows; i++) {
        const struct vg_run_site *const site = &sites->entries[i];
        if (site->live_count == 0)
            break;
        struct vg_row *const row = vg_row_table_next(table, site->live_bytes, site->live_count);
        if (!row)
            break;
        struct vg_text label = vg_text_over(row->label, sizeof row->label);
        if (site->own.text[0]) { /* the text says more than the function's name */
            vg_text_addf(&label, "%s:%u", site->own.file, site->own.line);
        } else {
            if (is_in_same_pool(f, site))
                vg_line_add_main(&label, f);
            vg_line_add_site(&label, site);
        }
        snprintf(row->note, sizeof row->note, "%s", site->own.text);
        bytes += site->live_bytes;
        count += site->live_count;
    }
    size_t more = 0;
    for (uint32_t i = (uint32_t)table->count; i < sites->count; i++)
        more += sites->entries[i].live_count > 0;
    if (f->torch.block_count > count) {
        char label[64];
        snprintf(label, sizeof label, "(%zu more line%s)", more, more == 1 ? "" : "s");
        vg_row_table_add(table, remainder_of(f->torch.allocated_bytes, bytes),
                         f->torch.block_count - count, more > 0 ? label : "(line not recorded)");
    }
}

static void add_garbage(struct vg_row_table *table, const struct vg_census *census)
{
    struct vg_row *const row =
        census->garbage.bytes > census->total.bytes / HOLDERS_SHARE
            ? vg_row_table_next(table, census->garbage.bytes, census->garbage.blocks)
            : NULL;
    if (!row)
        return;
    struct vg_text label = vg_text_over(row->label, sizeof row->label);
    vg_text_add(&label, "garbage: objects that only refer to each other");
    if (census->garbage_type[0])
        vg_text_addf(&label, " (%s)", census->garbage_type);
}

/* The variables that hold most; what is part of a model is told as that. */
static void fill_holders(struct vg_row_table *table, const struct vg_run_failure *f, size_t rows)
{
    const struct vg_census *const census = vg_holder_census(f);
    table->count = 0;
    snprintf(table->title, sizeof table->title, "Which variables hold them");
    for (uint32_t i = 0; census && i < census->variable_count && table->count < rows; i++) {
        const struct vg_census_variable *const variable = &census->variables[i];
        const uint64_t bytes = variable->direct.bytes + variable->graph.bytes;
        if (bytes < census->total.bytes / HOLDERS_SHARE)
            continue;
        struct vg_row *const row =
            vg_row_table_next(table, bytes, variable->direct.blocks + variable->graph.blocks);
        if (!row)
            break;
        struct vg_text label = vg_text_over(row->label, sizeof row->label);
        vg_line_add_variable(&label, variable);
        if (variable->graph.bytes > bytes / 2)
            vg_text_add(&label, ", most of it in autograd graphs");
    }
    if (census && table->count < rows)
        add_garbage(table, census);
    vg_row_table_sort(table);
}

/* ---- side by side ---- */

static void add_side_by_side(struct vg_text *out, size_t columns, uint64_t whole_bytes)
{
    char line[VG_ROW_TEXT_CAP];
    const size_t left = vg_row_table_width(&kinds_table, columns / 2, whole_bytes) + GAP;
    const size_t count =
        kinds_table.count > lines_table.count ? kinds_table.count : lines_table.count;
    for (size_t at = 0; at <= count; at++) {
        vg_row_table_lay_out(&kinds_table, at, columns / 2, line, whole_bytes);
        const size_t width = vg_wrap_width(line);
        vg_text_add(out, line);
        vg_row_table_lay_out(&lines_table, at, columns - left, line, whole_bytes);
        vg_text_pad(out, ' ', line[0] ? (long)left - (long)width : 0);
        vg_text_addf(out, "%s\n", line);
    }
}

void vg_block_tables_add(struct vg_text *out, const struct vg_run_failure *failure, size_t rows,
                         size_t columns)
{
    if (!vg_block_tables_are_known(failure))
        return;
    fill_kinds(&kinds_table, failure);
    fill_holders(&holders_table, failure, rows / 2);
    fill_lines(&lines_table, failure, rows < VG_ROW_TABLE_ROWS ? rows : VG_ROW_TABLE_ROWS - 1);
    const uint64_t whole_bytes = failure->torch.allocated_bytes;
    if (kinds_table.count > 0 && lines_table.count > 0 && columns >= SIDE_BY_SIDE_MIN) {
        add_side_by_side(out, columns, whole_bytes);
    } else {
        vg_row_table_print(out, &lines_table, columns, whole_bytes);
        vg_row_table_print(out, &kinds_table, columns, whole_bytes);
    }
    vg_row_table_print(out, &holders_table, columns, whole_bytes);
}
