#include "view/render_torch.h"

#include "analyze/torch_facts.h"
#include "base/amount.h"
#include "view/wrap.h"

static const char *const backend_texts[VG_TORCH_BACKENDS] = {
    [VG_TORCH_NATIVE] = "native allocator",
    [VG_TORCH_EXPANDABLE] = "expandable segments",
    [VG_TORCH_ASYNC] = "cudaMallocAsync",
};

/* "reserved 6.10 GiB in 41 segments (native allocator" */
static void add_held(struct vg_text *out, const struct vg_run_failure *s)
{
    const struct vg_run_torch *const t = &s->torch;
    uint64_t count = 0;
    for (uint32_t i = 0; i < VG_TORCH_BACKENDS; i++)
        count += t->count[i];
    /* That backend keeps nothing: its cache is the driver's pool. */
    const bool allocates = count == t->count[VG_TORCH_ASYNC];
    vg_text_addf(out, "%s %s in %llu %s%s", allocates ? "allocated" : "reserved",
                 VG_AMOUNT(vg_torch_reserved_bytes(s)), (unsigned long long)count,
                 t->count[VG_TORCH_NATIVE] == count ? "segment" : "piece", count == 1 ? "" : "s");
    const char *separator = " (";
    for (uint32_t i = 0; i < VG_TORCH_BACKENDS; i++)
        if (t->count[i] > 0) {
            vg_text_addf(out, "%s%s", separator, backend_texts[i]);
            separator = " and ";
        }
}

static void add_settings(struct vg_text *out, const struct vg_run_failure *s)
{
    if (s->torch.count[VG_TORCH_NATIVE] > 0 && s->torch.count[VG_TORCH_EXPANDABLE] == 0)
        vg_text_addf(out, "; expandable_segments %s", vg_torch_is_expandable(s) ? "on" : "off");
    if (s->torch.settings[0])
        vg_text_addf(out, "; %s)", s->torch.settings);
    else
        vg_text_add(out, "; PYTORCH_CUDA_ALLOC_CONF not set)");
}

/* How much of it is used by no tensor only PyTorch knows, and what it has shown by giving back. */
static void add_cached(struct vg_text *out, const struct vg_run_failure *s)
{
    uint64_t flushed_bytes;
    const struct vg_run_torch *const t = &s->torch;
    if (t->tells_blocks) {
        vg_text_addf(out, "; allocated %s in %llu blocks, unused %s", VG_AMOUNT(t->allocated_bytes),
                     (unsigned long long)t->block_count, VG_AMOUNT(t->unused_bytes));
        if (t->hole_count > 0 && t->hole_count != VG_COUNT_UNKNOWN)
            vg_text_addf(out, ", the largest hole between blocks %s",
                         VG_AMOUNT(t->largest_hole_bytes));
        return;
    }
    if (t->silence == VG_TORCH_UNHEARD)
        vg_text_add(out, "; its tensors are not recorded: VRAMGUARD_TENSORS=off");
    if (t->silence == VG_TORCH_SILENT)
        vg_text_add(out,
                    "; it has told of none of its tensors: its cache is switched off, or this "
                    "version names its functions in a way that vramguard does not know");
    if (!vg_torch_flushed(s, &flushed_bytes)) {
        if (s->torch.count[VG_TORCH_NATIVE] + s->torch.count[VG_TORCH_EXPANDABLE] > 0)
            vg_text_add(out, "; how much of it is cached and unused is unknown");
        return;
    }
    if (vg_amount_known(flushed_bytes))
        vg_text_addf(out, "; its flush gave back %s", VG_AMOUNT(flushed_bytes));
    else
        vg_text_add(out, "; what its flush gave back is unknown");
}

void vg_render_torch(struct vg_text *out, const struct vg_run_failure *s, size_t indent,
                     size_t columns)
{
    char data[512];
    struct vg_text text = vg_text_over(data, sizeof data);
    if (vg_torch_reserved_bytes(s) > 0) {
        add_held(&text, s);
        add_settings(&text, s);
        add_cached(&text, s);
    } else if (s->torch.loaded && s->torch.unjudged) {
        vg_text_add(&text, "what it holds is unknown: no native stacks are recorded");
    } else {
        return;
    }
    vg_wrap_add_keyed(out, "PyTorch", data, indent, columns, VG_WRAP_WORDS);
}
