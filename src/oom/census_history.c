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

/* Backward passes that had begun by the newest of the live blocks. */
static uint64_t newest_passes(const struct vg_census_work *work)
{
    uint64_t newest = 0;
    for (size_t i = 0; i < work->storages.count; i++) {
        const uint64_t passes = vg_census_storage_number(work, i)->passes;
        newest = passes > newest ? passes : newest;
    }
    return newest;
}

/* For the variables that have it: what is of an earlier step, or of no model any more. */
static void sum_leftovers(struct vg_census_work *work)
{
    struct vg_census *const out = work->out;
    const uint64_t passes = newest_passes(work);
    for (size_t i = 0; i < work->storages.count; i++) {
        const struct vg_census_storage *const storage = vg_census_storage_number(work, i);
        const uint8_t teller = vg_census_teller_of(work, storage);
        if (teller == 0)
            continue;
        if (vg_census_is_activation(storage) && storage->is_row_graph && storage->number > 0 &&
            storage->passes < passes)
            out->earlier_graph_bytes[teller - 1] += storage->bytes;
        if (storage->kind <= VG_CENSUS_OPTIMIZER && storage->module == VG_CENSUS_NO_MODULE)
            out->homeless_bytes[teller - 1] += storage->bytes;
    }
}

void vg_census_write_histories(struct vg_census_work *work)
{
    const struct vg_census_source *const source = work->source;
    struct vg_census_history *const out = work->out->histories;
    struct vg_census_list entries[VG_CENSUS_VARIABLES];
    if (!source->given)
        return;
    sum_leftovers(work);
    const uint64_t given = source->given(source->argument);
    for (uint32_t i = 0; i < VG_CENSUS_VARIABLES; i++)
        entries[i] = (struct vg_census_list){ .item_bytes = sizeof(struct entry) };
    for (size_t i = 0; i < work->storages.count; i++) {
        const struct vg_census_storage *const storage = vg_census_storage_number(work, i);
        const uint8_t teller =
            vg_census_is_activation(storage) ? vg_census_teller_of(work, storage) : 0;
        if (teller > 0)
            count_block(&out[teller - 1], &entries[teller - 1], storage);
    }
    for (uint32_t i = 0; i < VG_CENSUS_VARIABLES; i++) {
        vg_sort(entries[i].items, entries[i].count, sizeof(struct entry), compare_entries);
        if (!entries[i].failed)
            measure(&out[i], &entries[i], given);
        vg_census_list_close(&entries[i]);
    }
}
