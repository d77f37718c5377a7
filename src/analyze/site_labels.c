/* The labels of sites: made for those that are shown, and none twice. */
#include <string.h>

#include "analyze/frame.h"
#include "analyze/label.h"
#include "analyze/sites.h"
#include "analyze/source_line.h"
#include "base/text.h"

enum { LOOKED_AT_TIMES = 16 }; /* so many times as many sites as are wanted with a label */

static void label_site(struct vg_stack_names *names, struct vg_run_site *site)
{
    char label[VG_LABEL_CAP];
    const struct vg_run_stack stack = vg_stack_names_get(names, site->stack_id);
    vg_label_from_frames(stack.frames, stack.frame_count, label, sizeof label);
    if (label[0])
        site->label = vg_region_string(names->region, label);
    else if (!site->label[0]) /* of an older record it may be known */
        site->label = stack.frame_count > 0 ? "(stack without names)" : "(no stack was recorded)";
    site->is_labelled = true;
    vg_source_line_read(names->region, names->source->header, &site->own);
}

/* The first of the `count` labelled sites with this label, `count` when it is new. */
static uint32_t find_label(const struct vg_run_sites *sites, uint32_t count, const char *label)
{
    uint32_t i = 0;
    while (i < count && strcmp(sites->entries[i].label, label) != 0)
        i++;
    return i;
}

static bool has_line(const struct vg_run_site *site)
{
    return site->own.path[0] != '\0';
}

static uint64_t add_known(uint64_t a, uint64_t b)
{
    return a == VG_COUNT_UNKNOWN || b == VG_COUNT_UNKNOWN ? VG_COUNT_UNKNOWN : a + b;
}

/* Adds `other` to `site`: for the reader they are one place. The times in `made` are of different
 * spans where the two began at different moments, so growth is not told of both together. */
static void merge_sites(struct vg_run_site *site, const struct vg_run_site *other)
{
    const bool same_span = site->oldest_ns == other->oldest_ns;
    site->live_bytes += other->live_bytes;
    site->live_count += other->live_count;
    site->allocation_count = add_known(site->allocation_count, other->allocation_count);
    site->free_count = add_known(site->free_count, other->free_count);
    site->peak_bytes = add_known(site->peak_bytes, other->peak_bytes);
    site->peak_count = add_known(site->peak_count, other->peak_count);
    site->stack_count += other->stack_count;
    if (other->oldest_ns > site->oldest_ns)
        site->oldest_ns = other->oldest_ns;
    if (other->newest_ns < site->newest_ns)
        site->newest_ns = other->newest_ns;
    if (site->oldest_count == VG_COUNT_UNKNOWN ||
        (other->oldest_count != VG_COUNT_UNKNOWN && other->oldest_count > site->oldest_count))
        site->oldest_count = other->oldest_count;
    if (other->newest_count < site->newest_count)
        site->newest_count = other->newest_count;
    for (int i = 0; i < VG_RUN_EIGHTHS; i++)
        site->made[i] += other->made[i];
    if (!same_span && site->growth.kind != other->growth.kind)
        site->growth = (struct vg_run_growth){ .kind = VG_GROWTH_UNKNOWN };
    if (site->owner != other->owner)
        site->owner = VG_OWNER_UNKNOWN;
}

/* Adds `site` to the one at `into`, which moves up to its place. */
static void fold_site(struct vg_run_sites *sites, uint32_t into, const struct vg_run_site *site)
{
    merge_sites(&sites->entries[into], site);
    for (; into > 0 && sites->entries[into].live_bytes > sites->entries[into - 1].live_bytes;
         into--) {
        const struct vg_run_site larger = sites->entries[into];
        sites->entries[into] = sites->entries[into - 1];
        sites->entries[into - 1] = larger;
    }
}

/* Two places whose labels were cut to the same text: the line itself goes first. */
static void prefix_label(struct vg_stack_names *names, struct vg_run_site *site)
{
    char data[VG_LABEL_CAP + 128], label[VG_LABEL_CAP];
    struct vg_text text = vg_text_over(data, sizeof data);
    if (has_line(site))
        vg_text_addf(&text, "%s:%u %s", site->own.file, site->own.line,
                     vg_frame_short_name(site->own.function));
    else
        vg_text_addf(&text, "stack %u", site->stack_id);
    vg_text_addf(&text, VG_LABEL_SEPARATOR "..." VG_LABEL_SEPARATOR "%s", site->label);
    vg_label_fit(label, sizeof label, data, sizeof label - 1);
    site->label = vg_region_string(names->region, label);
}

void vg_sites_label(struct vg_stack_names *names, struct vg_run_sites *sites, uint32_t count)
{
    /* Of a recursion's thousands of stacks all may have one label, and each costs a look-up of its
     * frames: a program waits for this. */
    const uint64_t looked_at_max = (uint64_t)LOOKED_AT_TIMES * count;
    uint32_t kept = 0, next = 0;
    for (uint32_t i = 0; i < count && i < sites->count; i++)
        vg_stack_names_note(names, sites->entries[i].stack_id);
    for (; kept < count && next < sites->count && next < looked_at_max; next++) {
        struct vg_run_site *const site = &sites->entries[next];
        if (!site->is_labelled)
            label_site(names, site);
        const uint32_t same = find_label(sites, kept, site->label);
        if (same < kept && !has_line(site) && !has_line(&sites->entries[same])) {
            fold_site(sites, same, site);
            continue;
        }
        if (same < kept)
            prefix_label(names, site);
        if (kept < next)
            sites->entries[kept] = *site;
        kept++;
    }
    if (kept < next)
        memmove(&sites->entries[kept], &sites->entries[next],
                (sites->count - next) * sizeof *sites->entries);
    sites->count -= next - kept;
}
