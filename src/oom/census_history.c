/* When what a variable holds was made: from the numbers of its blocks, in which time is what the
 * device has given out. */
#include "base/clock.h"
#include "base/sort.h"
#include "oom/census_work.h"

/* A block that a variable holds by references. */
struct entry {
    uint64_t number, passes, monotonic_ns;
};

static int compare_entries(const void *a, const void *b)
{
    const struct entry *const x = a, *const y = b;
    return (x->number > y->number) - (x->number < y->number);
}

static void count_block(struct vg_census_history *out, struct vg_census_list *entries,
                        const struct vg_census_storage *storage)
{
    if (storage->is_of_backward)
        out->backward_blocks++;
    if (storage->is_row_graph || storage->number == 0)
        return;
    struct entry *const entry = vg_census_list_add(entries);
    if (!entry)
        return;
    *entry = (struct entry){ .number = storage->number,
                             .passes = storage->passes,
                             .monotonic_ns = storage->monotonic_ns };
    if (storage->is_saved)
        out->saved_blocks++;
    if (storage->eighth < VG_CENSUS_EIGHTHS)
        out->made[storage->eighth]++;
}

/* `entries`: in the order in which they were made. */
static void measure(struct vg_census_history *out, const struct vg_census_list *entries,
                    uint64_t given)
{
    const struct entry *const all = entries->items;
    const size_t count = entries->count;
    if (count == 0 || given < all[count - 1].number)
        return;
    out->blocks = count;
    out->oldest_count = given - all[0].number;
    out->newest_count = given - all[count - 1].number;
    out->since_ns = vg_clock_monotonic_ns() - all[0].monotonic_ns;
    for (size_t i = 1; i < count; i++) {
        if ((all[i].number - all[i - 1].number) * 2 >= out->newest_count)
            out->pauses++;
        if (all[i].passes != all[i - 1].passes)
            out->passes++;
    }
}

static void write_history(struct vg_census_work *work, uint32_t variable, uint64_t given)
{
    struct vg_census_history *const out = &work->out->histories[variable];
    struct vg_census_list entries = { .item_bytes = sizeof(struct entry) };
    for (size_t i = 0; i < work->storages.count; i++) {
        const struct vg_census_storage *const storage = vg_census_storage_number(work, i);
        if (storage->kind >= VG_CENSUS_MODEL_KINDS && storage->kind < VG_CENSUS_KINDS &&
            vg_census_teller_of(work, storage) == variable + 1)
            count_block(out, &entries, storage);
    }
    vg_sort(entries.items, entries.count, sizeof(struct entry), compare_entries);
    if (!entries.failed)
        measure(out, &entries, given);
    vg_census_list_close(&entries);
}

void vg_census_write_histories(struct vg_census_work *work)
{
    const struct vg_census_source *const source = work->source;
    if (!source->given)
        return;
    const uint64_t given = source->given(source->argument);
    for (uint32_t i = 0; i < work->out->variable_count; i++)
        write_history(work, i, given);
}
