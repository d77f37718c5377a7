#include "analyze/sites.h"

#include <string.h>

#include "analyze/growth.h"
#include "base/hashing.h"
#include "base/sort.h"

/* ---- grouping ---- */

/* Lines of the program's own code, by the keys of vg_own_frame. */
struct line_key {
    uint64_t own;    /* the innermost; 0: none */
    uint64_t caller; /* what it was called from; 0: that does not matter, or is not known */
};

/* Which site they have: open addressing, twice as large as it ever gets full. */
struct line_table {
    struct line_entry {
        struct line_key key;
        uint32_t site;
    } * entries;
    uint32_t mask;
};

static bool make_line_table(struct vg_region *region, uint32_t count, struct line_table *out)
{
    uint32_t size = 16;
    while (size < 2 * count && size < UINT32_C(1) << 31)
        size *= 2;
    out->entries = vg_region_array(region, size, sizeof *out->entries);
    out->mask = size - 1;
    return out->entries != NULL;
}

static bool same_lines(const struct line_key *a, const struct line_key *b)
{
    return a->own == b->own && a->caller == b->caller;
}

static struct line_entry *find_line(const struct line_table *table, const struct line_key *key)
{
    const uint64_t words[] = { key->own, key->caller };
    uint32_t at = (uint32_t)vg_hash_words(words, 2) & table->mask;
    while (table->entries[at].key.own != 0 && !same_lines(&table->entries[at].key, key))
        at = (at + 1) & table->mask;
    return &table->entries[at];
}

static uint64_t add_counts(uint64_t a, uint64_t b)
{
    return a == VG_COUNT_UNKNOWN || b == VG_COUNT_UNKNOWN ? VG_COUNT_UNKNOWN : a + b;
}

static void start_site(struct vg_run_site *site, const struct vg_stack_sum *sum)
{
    *site = (struct vg_run_site){ .stack_id = sum->stack_id,
                                  .newest_ns = UINT64_MAX,
                                  .oldest_count = VG_COUNT_UNKNOWN,
                                  .newest_count = VG_COUNT_UNKNOWN,
                                  .owner = sum->owner,
                                  .own = vg_run_line_none(),
                                  .caller = vg_run_line_none(),
                                  .called = "",
                                  .called_path = "",
                                  .label = "" };
}

/* `largest_bytes`: what the stack that stands for the site holds. */
static void add_to_site(struct vg_run_site *site, const struct vg_stack_sum *sum,
                        uint64_t *largest_bytes)
{
    if (sum->bytes > *largest_bytes) {
        *largest_bytes = sum->bytes;
        site->stack_id = sum->stack_id;
    }
    site->stack_count++;
    site->live_bytes += sum->bytes;
    site->live_count += sum->count;
    site->allocation_count = add_counts(site->allocation_count, sum->allocation_count);
    site->free_count = add_counts(site->free_count, sum->free_count);
    site->peak_bytes = add_counts(site->peak_bytes, sum->peak_bytes);
    site->peak_count = add_counts(site->peak_count, sum->peak_count);
    if (sum->count > 0 && sum->oldest_ns > site->oldest_ns)
        site->oldest_ns = sum->oldest_ns;
    if (sum->count > 0 && sum->newest_ns < site->newest_ns)
        site->newest_ns = sum->newest_ns;
    if (sum->count > 0 && sum->oldest_count != VG_COUNT_UNKNOWN) {
        if (site->oldest_count == VG_COUNT_UNKNOWN || sum->oldest_count > site->oldest_count)
            site->oldest_count = sum->oldest_count;
        if (sum->newest_count < site->newest_count)
            site->newest_count = sum->newest_count;
    }
    if (site->owner != sum->owner)
        site->owner = VG_OWNER_UNKNOWN;
    for (int i = 0; i < VG_RUN_EIGHTHS; i++)
        site->made[i] += sum->made[i];
}

static bool is_empty_sum(const struct vg_stack_sum *sum)
{
    return sum->count == 0 &&
           (sum->allocation_count == 0 || sum->allocation_count == VG_COUNT_UNKNOWN);
}

/* The lines that tell a stack's site from others. PyTorch's blocks are made by the line that needs
 * the tensor; whoever calls the driver often has one function of his own for it, so there the line
 * that called it counts, too. */
static struct line_key key_of_stack(struct vg_stack_names *names, enum vg_run_level level,
                                    uint32_t stack_id)
{
    const struct vg_run_source *const source = names->source;
    const struct vg_journal_stack *const stack = source->stack(source->context, stack_id);
    const struct vg_own_frame own = vg_stack_names_own(names, stack, 0);
    struct line_key key = { .own = own.key };
    if (own.key && level == VG_LEVEL_ALLOCATIONS)
        key.caller = vg_stack_names_caller(names, stack, own).key;
    return key;
}

/* The index of the site that a stack belongs to: of its lines, or one of its own. */
static uint32_t site_of_stack(const struct line_table *table, const struct line_key *key,
                              const struct vg_stack_sum *sum, struct vg_run_sites *sites)
{
    struct line_entry *const entry = key->own ? find_line(table, key) : NULL;
    if (entry && entry->key.own)
        return entry->site;
    const uint32_t site = sites->count++;
    start_site(&sites->entries[site], sum);
    if (entry)
        *entry = (struct line_entry){ .key = *key, .site = site };
    return site;
}

static uint32_t count_used_sums(const struct vg_stack_sum *sums, uint32_t count)
{
    uint32_t used = 0;
    for (uint32_t i = 0; i < count; i++)
        used += !is_empty_sum(&sums[i]);
    return used;
}

/* Without memory for sites: all of them as a sum. */
static void add_to_rest(const struct vg_stack_sum *sums, uint32_t count, struct vg_run_sites *out)
{
    for (uint32_t i = 0; i < count; i++) {
        out->rest_stack_count += sums[i].count > 0;
        out->rest_bytes += sums[i].bytes;
        out->rest_count += sums[i].count;
    }
}

void vg_sites_group(struct vg_stack_names *names, enum vg_run_level level,
                    struct vg_stack_sum *sums, uint32_t count, struct vg_run_sites *out)
{
    struct line_table table;
    *out = (struct vg_run_sites){ .is_known = true, .stacks = sums, .stack_count = count };
    const uint32_t used = count_used_sums(sums, count);
    uint64_t *const largest = vg_region_array(names->region, used, sizeof *largest);
    out->entries = vg_region_array(names->region, used, sizeof *out->entries);
    if (!largest || !out->entries || !make_line_table(names->region, used, &table)) {
        add_to_rest(sums, count, out);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (is_empty_sum(&sums[i]))
            continue;
        const struct line_key key = key_of_stack(names, level, sums[i].stack_id);
        const uint32_t site = site_of_stack(&table, &key, &sums[i], out);
        sums[i].site = site + 1;
        add_to_site(&out->entries[site], &sums[i], &largest[site]);
    }
}

/* ---- order ---- */

struct order {
    uint64_t live_bytes, peak_bytes;
    uint32_t index, stack_id;
};

static int compare_sizes(const void *a, const void *b)
{
    const struct order *const x = a, *const y = b;
    if (x->live_bytes != y->live_bytes)
        return x->live_bytes < y->live_bytes ? 1 : -1;
    if (x->peak_bytes != y->peak_bytes)
        return x->peak_bytes < y->peak_bytes ? 1 : -1;
    return (x->stack_id > y->stack_id) - (x->stack_id < y->stack_id);
}

/* The lines of the stack that stands for the site. */
static void find_lines(struct vg_stack_names *names, struct vg_run_site *site)
{
    const struct vg_run_source *const source = names->source;
    const struct vg_journal_stack *const stack = source->stack(source->context, site->stack_id);
    const struct vg_own_frame own = vg_stack_names_own(names, stack, 0);
    if (!own.key)
        return;
    site->own = vg_stack_names_line(names, stack, own.index);
    if (own.index > 0) {
        const struct vg_run_line called = vg_stack_names_line(names, stack, own.index - 1);
        site->called = called.function;
        site->called_path = called.path;
    }
    const struct vg_own_frame caller = vg_stack_names_caller(names, stack, own);
    if (caller.key)
        site->caller = vg_stack_names_line(names, stack, caller.index);
}

void vg_sites_order(struct vg_stack_names *names, struct vg_run_sites *sites)
{
    struct order *const order = vg_region_array(names->region, sites->count, sizeof *order);
    struct vg_run_site *const sorted = vg_region_array(names->region, sites->count, sizeof *sorted);
    for (uint32_t i = 0; i < sites->count; i++) {
        struct vg_run_site *const site = &sites->entries[i];
        if (site->live_count == 0)
            site->newest_ns = 0;
        vg_growth_judge(site);
        find_lines(names, site);
        if (order)
            order[i] = (struct order){ .live_bytes = site->live_bytes,
                                       .peak_bytes = site->peak_bytes,
                                       .index = i,
                                       .stack_id = site->stack_id };
    }
    if (!order || !sorted)
        return;
    vg_sort(order, sites->count, sizeof *order, compare_sizes);
    for (uint32_t i = 0; i < sites->count; i++)
        sorted[i] = sites->entries[order[i].index];
    sites->entries = sorted;
}
