#include "view/line_table.h"

#include <stdbool.h>
#include <string.h>

#include "base/amount.h"
#include "view/line_text.h"
#include "view/row_table.h"
#include "view/wrap.h"

enum { ROWS_MAX = 16, LINE_CAP = 512 };

struct line_amount {
    uint64_t bytes, count;
};

/* Which amount of a site a table is about; 0 where it is not known. */
typedef struct line_amount amount_function(const struct vg_run_site *site);

static struct line_amount amount_live(const struct vg_run_site *site)
{
    return (struct line_amount){ .bytes = site->live_bytes, .count = site->live_count };
}

static struct line_amount amount_at_peak(const struct vg_run_site *site)
{
    if (!vg_amount_known(site->peak_bytes))
        return (struct line_amount){ .bytes = 0 };
    return (struct line_amount){ .bytes = site->peak_bytes, .count = site->peak_count };
}

static struct line_amount sum_of_sites(const struct vg_run_sites *sites, amount_function *amount)
{
    struct line_amount sum = { .bytes = 0 };
    for (uint32_t i = 0; sites->is_known && i < sites->count; i++) {
        const struct line_amount one = amount(&sites->entries[i]);
        sum.bytes += one.bytes;
        sum.count += one.bytes > 0 ? one.count : 0;
    }
    return sum;
}

/* The `rows` sites with the largest amounts, largest first. Returns their number. */
static size_t choose_sites(const struct vg_run_sites *sites, amount_function *amount, size_t rows,
                           const struct vg_run_site **out)
{
    size_t count = 0;
    for (uint32_t i = 0; i < sites->count; i++) {
        const struct vg_run_site *const site = &sites->entries[i];
        size_t at = count;
        if (amount(site).bytes == 0)
            continue;
        while (at > 0 && amount(out[at - 1]).bytes < amount(site).bytes)
            at--;
        if (at == rows)
            continue;
        count += count < rows;
        memmove(&out[at + 1], &out[at], (count - 1 - at) * sizeof out[0]);
        out[at] = site;
    }
    return count;
}

static void add_row(struct vg_text *out, struct line_amount row, const char *label,
                    uint64_t whole_bytes, size_t columns)
{
    char line[LINE_CAP], cut[LINE_CAP];
    struct vg_text text = vg_text_over(line, sizeof line);
    vg_row_add(&text, row.bytes, row.count, whole_bytes, label);
    vg_wrap_cut(cut, sizeof cut, line, columns);
    vg_text_addf(out, "%s\n", cut);
}

static void add_site(struct vg_text *out, const struct vg_run_site *site, struct line_amount amount,
                     uint64_t whole_bytes, size_t columns)
{
    char label[LINE_CAP];
    struct vg_text text = vg_text_over(label, sizeof label);
    vg_line_add_site(&text, site);
    if (site->own.text[0])
        vg_text_addf(&text, "  %s", site->own.text);
    add_row(out, amount, label, whole_bytes, columns);
}

/* The rows, and what the others hold. `whole`: the sum of all. */
static void add_rows(struct vg_text *out, const struct vg_run_sites *sites, amount_function *amount,
                     struct line_amount whole, size_t rows, size_t columns)
{
    const struct vg_run_site *chosen[ROWS_MAX + 1];
    const size_t shown = choose_sites(sites, amount, rows < ROWS_MAX ? rows : ROWS_MAX, chosen);
    struct line_amount others = whole;
    for (size_t i = 0; i < shown; i++) {
        const struct line_amount one = amount(chosen[i]);
        add_site(out, chosen[i], one, whole.bytes, columns);
        others.bytes -= one.bytes;
        others.count -= one.count;
    }
    if (others.bytes > 0)
        add_row(out, others, "(other lines)", whole.bytes, columns);
}

void vg_line_table_add_live(struct vg_text *out, const struct vg_run_device *device,
                            const char *moment, size_t rows, size_t columns)
{
    const struct vg_run_sites *const sites = &device->sites[VG_LEVEL_BLOCKS];
    const struct line_amount whole = sum_of_sites(sites, amount_live);
    if (whole.bytes == 0)
        return;
    vg_text_addf(out, "  %s of PyTorch tensors on GPU %d %s, by line\n", VG_AMOUNT(whole.bytes),
                 device->gpu.ordinal, moment);
    add_rows(out, sites, amount_live, whole, rows, columns);
}

void vg_line_table_add_peak(struct vg_text *out, const struct vg_run_device *device,
                            const struct vg_run_device *told, size_t rows, size_t columns)
{
    const bool tensors = sum_of_sites(&device->sites[VG_LEVEL_BLOCKS], amount_at_peak).bytes > 0;
    const enum vg_run_level level = tensors ? VG_LEVEL_BLOCKS : VG_LEVEL_ALLOCATIONS;
    const struct vg_run_sites *const sites = &device->sites[level];
    const struct line_amount whole = sum_of_sites(sites, amount_at_peak);
    if (whole.bytes == 0)
        return;
    const struct line_amount above =
        told ? sum_of_sites(&told->sites[level], amount_live) : (struct line_amount){ .bytes = 0 };
    const bool is_told = above.bytes == whole.bytes && above.count == whole.count;
    vg_text_addf(out, "  The peak of GPU %d: %s of %s, %s\n", device->gpu.ordinal,
                 VG_AMOUNT(whole.bytes), tensors ? "PyTorch tensors" : "allocations",
                 is_told ? "those above" : "by line");
    if (!is_told)
        add_rows(out, sites, amount_at_peak, whole, rows, columns);
}
