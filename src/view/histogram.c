#include "view/histogram.h"

#include <string.h>

#include "base/size.h"

struct group {
    unsigned low, high; /* classes, both inclusive */
    uint64_t count;
};

enum { GROUP_CAP = 96 };

static const char gap[] = "   ";

static size_t collect_groups(const uint64_t *counts, struct group *groups)
{
    size_t used = 0;
    for (unsigned n = 0; n < VG_RUN_SIZE_CLASSES; n++)
        if (counts[n] > 0)
            groups[used++] = (struct group){ .low = n, .high = n, .count = counts[n] };
    return used;
}

/* "2-4 MiB: 311", "512 KiB-1 MiB: 3". Returns its length. */
static size_t format_group(char *out, const struct group *group)
{
    struct vg_text text = vg_text_over(out, GROUP_CAP);
    const unsigned low = group->low, high = group->high + 1;
    vg_text_addf(&text, "%u", 1u << low % 10);
    if (low / 10 != high / 10)
        vg_text_addf(&text, " %s", vg_size_unit(low / 10));
    vg_text_addf(&text, "-%u %s: %llu", 1u << high % 10, vg_size_unit(high / 10),
                 (unsigned long long)group->count);
    return text.length;
}

static size_t total_width(const struct group *groups, size_t used)
{
    char data[GROUP_CAP];
    size_t width = 0;
    for (size_t i = 0; i < used; i++)
        width += format_group(data, &groups[i]) + (i > 0 ? sizeof gap - 1 : 0);
    return width;
}

/* Joins the two neighbours that hold the fewest allocations together. */
static void join_smallest(struct group *groups, size_t *used)
{
    size_t best = 0;
    for (size_t i = 1; i + 1 < *used; i++)
        if (groups[i].count + groups[i + 1].count < groups[best].count + groups[best + 1].count)
            best = i;
    groups[best].high = groups[best + 1].high;
    groups[best].count += groups[best + 1].count;
    (*used)--;
    memmove(&groups[best + 1], &groups[best + 2], (*used - best - 1) * sizeof *groups);
}

void vg_histogram_add(struct vg_text *out, const uint64_t *counts, size_t width)
{
    struct group groups[VG_RUN_SIZE_CLASSES];
    char data[GROUP_CAP];
    size_t used = collect_groups(counts, groups);
    while (used > 1 && total_width(groups, used) > width)
        join_smallest(groups, &used);
    for (size_t i = 0; i < used; i++) {
        if (i > 0)
            vg_text_add(out, gap);
        vg_text_add_bytes(out, data, format_group(data, &groups[i]));
    }
}
