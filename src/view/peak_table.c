#include "view/peak_table.h"

#include <stdbool.h>
#include <string.h>

#include "base/amount.h"
#include "view/line_text.h"
#include "view/wrap.h"

enum { ROWS_MAX = 16, LINE_CAP = 512 };

static bool has_peak(const struct vg_run_site *site)
{
    return vg_amount_known(site->peak_bytes) && site->peak_bytes > 0;
}

static uint64_t peak_of(const struct vg_run_sites *sites)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; sites->is_known && i < sites->count; i++)
        bytes += has_peak(&sites->entries[i]) ? sites->entries[i].peak_bytes : 0;
    return bytes;
}

/* The `rows` sites with the largest peaks, largest first. Returns their number. */
static size_t choose_sites(const struct vg_run_sites *sites, size_t rows,
                           const struct vg_run_site **out)
{
    size_t count = 0;
    for (uint32_t i = 0; i < sites->count; i++) {
        const struct vg_run_site *const site = &sites->entries[i];
        size_t at = count;
        if (!has_peak(site))
            continue;
        while (at > 0 && out[at - 1]->peak_bytes < site->peak_bytes)
            at--;
        if (at == rows)
            continue;
        count += count < rows;
        memmove(&out[at + 1], &out[at], (count - 1 - at) * sizeof out[0]);
        out[at] = site;
    }
    return count;
}

static void add_row(struct vg_text *out, uint64_t bytes, uint64_t count, const char *label,
                    uint64_t whole_bytes, size_t columns)
{
    char line[LINE_CAP], cut[LINE_CAP], amount[VG_SIZE_TEXT_CAP], times[24];
    struct vg_text text = vg_text_over(times, sizeof times);
    vg_text_addf(&text, "%llux", (unsigned long long)count);
    text = vg_text_over(line, sizeof line);
    vg_text_addf(&text, "  %10s %9s  %s",
                 vg_amount_format_column(amount, (int64_t)bytes, whole_bytes), times, label);
    vg_wrap_cut(cut, sizeof cut, line, columns);
    vg_text_addf(out, "%s\n", cut);
}

static void add_site(struct vg_text *out, const struct vg_run_site *site, uint64_t whole_bytes,
                     size_t columns)
{
    char label[LINE_CAP];
    struct vg_text text = vg_text_over(label, sizeof label);
    vg_line_add_site(&text, site);
    if (site->own.text[0])
        vg_text_addf(&text, "  %s", site->own.text);
    add_row(out, site->peak_bytes, site->peak_count, label, whole_bytes, columns);
}

void vg_peak_table_add(struct vg_text *out, const struct vg_run_device *device, size_t rows,
                       size_t columns)
{
    const struct vg_run_site *chosen[ROWS_MAX + 1];
    const bool tensors = peak_of(&device->sites[VG_LEVEL_BLOCKS]) > 0;
    const struct vg_run_sites *const sites =
        &device->sites[tensors ? VG_LEVEL_BLOCKS : VG_LEVEL_ALLOCATIONS];
    const uint64_t whole_bytes = peak_of(sites);
    uint64_t shown_bytes = 0, shown_count = 0, count = 0;
    if (whole_bytes == 0)
        return;
    const size_t shown = choose_sites(sites, rows < ROWS_MAX ? rows : ROWS_MAX, chosen);
    for (uint32_t i = 0; i < sites->count; i++)
        count += has_peak(&sites->entries[i]) ? sites->entries[i].peak_count : 0;
    vg_text_addf(out, "  The peak of GPU %d: %s of %s, by line\n", device->gpu.ordinal,
                 VG_AMOUNT(whole_bytes), tensors ? "PyTorch tensors" : "allocations");
    for (size_t i = 0; i < shown; i++) {
        add_site(out, chosen[i], whole_bytes, columns);
        shown_bytes += chosen[i]->peak_bytes;
        shown_count += chosen[i]->peak_count;
    }
    if (shown_bytes < whole_bytes)
        add_row(out, whole_bytes - shown_bytes, count - shown_count, "(other lines)", whole_bytes,
                columns);
}
