#include "view/batch_text.h"

#include "analyze/account.h"
#include "analyze/holder.h"
#include "base/amount.h"
#include "view/wrap.h"

/* What the batch needs, at least, and what there is for it. */
struct need {
    const struct vg_census_batch *batch; /* NULL: it cannot be told */
    uint64_t needed_bytes, room_bytes;
    bool is_by_layers;
};

/* Do nearly all tensors whose shape is known, and which are no part of a model, grow with it? One
 * of the others may grow faster, as similarities of all pairs do. */
static bool grows_with(const struct vg_census_batch *batch)
{
    return batch->bytes / 16 >= batch->other_bytes;
}

/* All that there is for the batch: what it has, what nobody knows the shape of, what is free. The
 * model's part may be smaller, too. */
static uint64_t room_for_batch(const struct vg_run_failure *f, const struct vg_census *census)
{
    uint64_t fixed_bytes = 0;
    for (int kind = 0; kind < VG_CENSUS_MODEL_KINDS; kind++)
        fixed_bytes += census->kinds[kind].bytes;
    const uint64_t all_bytes = f->torch.reserved_bytes + vg_report_available(f);
    fixed_bytes -=
        fixed_bytes < census->batch.model_bytes ? fixed_bytes : census->batch.model_bytes;
    return all_bytes > fixed_bytes ? all_bytes - fixed_bytes : 0;
}

/* PyTorch asks the driver for a segment, of 2 MiB or 20 MiB for a small tensor, and else of the
 * tensor's size up to the next 2 MiB (c10/cuda/CUDACachingAllocator.cpp, get_allocation_size): what
 * the tensor takes of that at least, if the batch has others of this size. Any other may be of all
 * pairs, and nobody knows its shape. */
static uint64_t tensor_bytes(const struct vg_run_failure *f, const struct vg_census_batch *batch)
{
    if (f->asked_bytes <= 20 * VG_MIB || vg_census_are_pairs(f->asked_bytes, batch->size))
        return 0;
    for (int i = 0; i < VG_CENSUS_BLOCK_SIZES; i++)
        if (batch->block_bytes[i] <= f->asked_bytes &&
            f->asked_bytes - batch->block_bytes[i] < 2 * VG_MIB)
            return batch->block_bytes[i];
    return 0;
}

static struct need find_need(const struct vg_run_failure *f)
{
    const struct vg_census *const census = vg_holder_census(f);
    const struct vg_census_batch *const batch = census ? &census->batch : NULL;
    struct need need = { 0 };
    if (!batch || census->state != VG_CENSUS_COMPLETE || batch->size == 0 || !grows_with(batch) ||
        f->refused_by == VG_REFUSED_BY_PYTORCH || !vg_amount_known(vg_report_available(f)) ||
        !vg_amount_known(f->asked_bytes))
        return need;
    const uint64_t asked_bytes = tensor_bytes(f, batch);
    need.batch = batch;
    need.is_by_layers = batch->coming_bytes > asked_bytes;
    need.needed_bytes = batch->bytes + batch->alike_bytes + batch->model_bytes +
                        (need.is_by_layers ? batch->coming_bytes : asked_bytes);
    need.room_bytes = room_for_batch(f, census);
    if (need.needed_bytes == 0)
        need.batch = NULL;
    return need;
}

/* How many fit at most; the whole batch where that is too much to be counted. */
static uint64_t fitting(const struct need *need)
{
    uint64_t product;
    if (__builtin_mul_overflow(need->batch->size, need->room_bytes, &product))
        return need->batch->size;
    return product / need->needed_bytes;
}

/* Of a forward pass more is still to come. Where it is not known how much, only what says
 * something. */
static bool is_worth_telling(const struct need *need, uint64_t fits)
{
    const uint64_t size = need->batch->size;
    const bool is_whole = need->batch->layer_bytes > 0 || !need->batch->is_in_forward;
    return fits < size && (is_whole || fits <= size - size / 8);
}

static void add_condition(const struct need *need, struct vg_text *out)
{
    if (need->is_by_layers)
        vg_text_addf(out, "if the other layers keep as much as the first %u",
                     need->batch->layers_done);
    else
        vg_text_add(out, "by what it has taken so far");
}

void vg_batch_text_add_smaller(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct need need = find_need(f);
    const uint64_t fits = need.batch ? fitting(&need) : 0;
    const char *const smaller = "a smaller batch (with gradient accumulation)";
    if (!need.batch || (need.batch->size > 1 && !is_worth_telling(&need, fits))) {
        vg_text_add(out, smaller);
    } else if (need.batch->size == 1) {
        vg_text_add(out, "shorter or smaller inputs (the batch is 1 already)");
    } else if (fits == 0) {
        vg_text_addf(out, "shorter or smaller inputs: not even 1 of this batch's %llu fits, ",
                     (unsigned long long)need.batch->size);
        add_condition(&need, out);
    } else {
        vg_text_addf(out, "%s: of this one's %llu at most %llu fit, ", smaller,
                     (unsigned long long)need.batch->size, (unsigned long long)fits);
        add_condition(&need, out);
    }
}

void vg_batch_text_render(struct vg_text *out, const struct vg_run_failure *f, size_t indent,
                          size_t columns)
{
    char data[256];
    struct vg_text text = vg_text_over(data, sizeof data);
    const struct vg_census *const census = vg_holder_census(f);
    const struct vg_census_batch *const batch = census ? &census->batch : NULL;
    if (!batch || batch->size == 0)
        return;
    vg_text_addf(&text, "%llu, the first dimension of tensors of %s",
                 (unsigned long long)batch->size, VG_AMOUNT(batch->bytes));
    if (batch->layers > 0)
        vg_text_addf(&text, "; the forward pass is in layer %u of %u", batch->layers_done + 1,
                     batch->layers);
    if (batch->layer_bytes > 0)
        vg_text_addf(&text, ", and each one before it keeps %s", VG_AMOUNT(batch->layer_bytes));
    vg_wrap_add_keyed(out, "Batch", data, indent, columns, VG_WRAP_WORDS);
}
