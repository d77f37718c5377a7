#include "view/advice_torch.h"

#include <string.h>

#include "analyze/frame.h"
#include "analyze/holder.h"
#include "analyze/label.h"
#include "analyze/torch_call.h"
#include "analyze/torch_facts.h"
#include "base/amount.h"
#include "view/advice_text.h"

/* What is shorter may be one step. */
static const uint64_t growing_span_ns = UINT64_C(3) * 1000000000;

/* ---- what is loaded ---- */

static uint64_t weights_bytes(const struct vg_run_failure *s)
{
    return vg_advice_or_zero(s->checkpoint.f32_bytes) +
           vg_advice_or_zero(s->checkpoint.half_bytes) +
           vg_advice_or_zero(s->checkpoint.other_bytes);
}

/* Nine tenths: files hold some tensors of other types, positions and masks. */
static bool is_most(uint64_t part_bytes, uint64_t all_bytes)
{
    return part_bytes > 0 && part_bytes <= all_bytes && all_bytes - part_bytes <= all_bytes / 10;
}

static bool is_wide(const struct vg_run_failure *s)
{
    return is_most(vg_advice_or_zero(s->checkpoint.f32_bytes), weights_bytes(s));
}

static bool is_half(const struct vg_run_failure *s)
{
    return is_most(vg_advice_or_zero(s->checkpoint.half_bytes), weights_bytes(s));
}

/* Is what this process holds, for the most part, weights that take `bytes` when all are there? A
 * quarter more: PyTorch rounds, and a model has buffers. */
static bool is_near(const struct vg_run_failure *s, uint64_t bytes)
{
    const uint64_t live_bytes = vg_advice_or_zero(s->device.live_bytes);
    return bytes > 0 && live_bytes >= bytes / 2 && live_bytes <= bytes + bytes / 4;
}

/* What this process has and what is free: the most that its allocations could take. */
static uint64_t obtainable_bytes(const struct vg_run_failure *s)
{
    return vg_advice_or_zero(s->device.live_bytes) + vg_advice_or_zero(vg_report_available(s));
}

/* What this process could have of a GPU that it has for itself. More than a GiB is no context that
 * any process would have. */
static uint64_t whole_bytes(const struct vg_run_failure *s)
{
    const struct vg_report_account a = vg_advice_account(s);
    const uint64_t total_bytes = vg_advice_or_zero(a.total_bytes);
    const uint64_t context_bytes = vg_advice_or_zero(a.context_bytes);
    return total_bytes > context_bytes && context_bytes <= VG_GIB ? total_bytes - context_bytes
                                                                  : total_bytes;
}

/* Its weights, 4-byte numbers as 2-byte ones. */
static uint64_t halved_bytes(const struct vg_run_failure *s)
{
    return weights_bytes(s) - vg_advice_or_zero(s->checkpoint.f32_bytes) / 2;
}

static void add_name(struct vg_text *out, const struct vg_run_failure *s)
{
    const uint32_t files = s->checkpoint.file_count;
    vg_text_add(out, s->checkpoint.name[0] ? s->checkpoint.name : "the mapped .safetensors file");
    if (files > 1)
        vg_text_addf(out, " and %u more file%s", files - 1, files == 2 ? "" : "s");
}

/* ---- the model is larger than the GPU ---- */

static bool model_size_applies(const struct vg_run_failure *s)
{
    uint64_t deficit;
    const uint64_t whole = whole_bytes(s);
    return vg_advice_lacks_memory(s, &deficit) && whole > 0 && weights_bytes(s) > whole &&
           vg_advice_or_zero(s->device.live_bytes) >= whole / 2;
}

static void model_size_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    vg_text_add(out, "the weights in ");
    add_name(out, s);
    vg_text_addf(out, " are %s, more than the %s that one process can have of this GPU.",
                 VG_AMOUNT(weights_bytes(s)), VG_AMOUNT(whole_bytes(s)));
}

static void model_size_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    const uint64_t numbers = vg_advice_or_zero(s->checkpoint.f32_bytes) / 4 +
                             vg_advice_or_zero(s->checkpoint.half_bytes) / 2;
    const uint64_t other_bytes = vg_advice_or_zero(s->checkpoint.other_bytes);
    if (halved_bytes(s) < weights_bytes(s) && halved_bytes(s) <= whole_bytes(s))
        vg_text_addf(out, "dtype=torch.float16 makes them %s (torch_dtype in older transformers); ",
                     VG_AMOUNT(halved_bytes(s)));
    vg_text_add(out,
                "device_map=\"auto\" spreads them over GPUs and host memory (with max_memory to "
                "leave room)");
    if (numbers > 0)
        vg_text_addf(out, "; quantised they take about %s (8 bits) or %s (4 bits)",
                     VG_AMOUNT(numbers + other_bytes), VG_AMOUNT(numbers / 2 + other_bytes));
    vg_advice_add_larger_gpu(out, s);
}

/* ---- 4-byte numbers ---- */

static bool is_wide_load(const struct vg_run_failure *s)
{
    return is_wide(s) && is_near(s, weights_bytes(s)) && halved_bytes(s) <= obtainable_bytes(s);
}

/* A file of 2-byte numbers, and the process holds well more than these take. */
static bool is_widened_load(const struct vg_run_failure *s)
{
    const uint64_t bytes = weights_bytes(s);
    return is_half(s) && is_near(s, 2 * bytes) &&
           vg_advice_or_zero(s->device.live_bytes) >= bytes + bytes / 4 &&
           bytes <= obtainable_bytes(s);
}

static bool wide_load_applies(const struct vg_run_failure *s)
{
    uint64_t deficit;
    return vg_advice_lacks_memory(s, &deficit) && (is_wide_load(s) || is_widened_load(s));
}

static void wide_load_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    const bool wide = is_wide(s);
    add_name(out, s);
    if (wide)
        vg_text_addf(out,
                     ": its %s of weights are loaded as 4-byte numbers, and this process can have "
                     "%s; as 2-byte numbers they take %s.",
                     VG_AMOUNT(weights_bytes(s)), VG_AMOUNT(obtainable_bytes(s)),
                     VG_AMOUNT(halved_bytes(s)));
    else
        vg_text_addf(out,
                     ": its weights are %s of 2-byte numbers, and this process holds %s and asks "
                     "for more, as if they were loaded as 4-byte numbers.",
                     VG_AMOUNT(weights_bytes(s)), VG_AMOUNT(s->device.live_bytes));
}

static void wide_load_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    const uint64_t saved_bytes = is_wide(s) ? weights_bytes(s) - halved_bytes(s) : weights_bytes(s);
    vg_text_addf(out,
                 "load it with dtype=torch.float16 or torch.bfloat16 (torch_dtype in older "
                 "transformers), which saves %s",
                 VG_AMOUNT(saved_bytes));
    vg_advice_add_larger_gpu(out, s);
}

void vg_advice_add_halving(struct vg_text *out, const struct vg_run_failure *s)
{
    if (!is_wide_load(s))
        return;
    vg_text_add(out, "; or load ");
    add_name(out, s);
    vg_text_addf(out, " with dtype=torch.float16, which takes %s instead of %s",
                 VG_AMOUNT(halved_bytes(s)), VG_AMOUNT(weights_bytes(s)));
}

/* ---- one place keeps some more with each step ---- */

/* The largest place of that kind which holds what is missing; NULL for none. While a checkpoint is
 * loaded every place keeps what it takes. */
static const struct vg_run_site *growing_site(const struct vg_run_failure *s, uint64_t deficit)
{
    const uint64_t loaded_bytes = weights_bytes(s) + vg_advice_or_zero(s->checkpoint.half_bytes);
    if (is_near(s, loaded_bytes))
        return NULL;
    for (uint32_t i = 0; i < s->device.sites[VG_LEVEL_ALLOCATIONS].count; i++) {
        const struct vg_run_site *const site = &s->device.sites[VG_LEVEL_ALLOCATIONS].entries[i];
        if (site->growth.kind == VG_GROWTH_STEADY && site->oldest_ns >= growing_span_ns &&
            site->label[0] && site->live_bytes >= deficit)
            return site;
    }
    return NULL;
}

static bool growing_site_applies(const struct vg_run_failure *s)
{
    uint64_t deficit;
    return !s->torch.tells_blocks && vg_advice_lacks_memory(s, &deficit) &&
           growing_site(s, deficit);
}

/* The program's innermost line and its caller's: "train.py:40 main > train.py:14 step". */
static void add_place(struct vg_text *out, const struct vg_run_site *site)
{
    const struct vg_run_line *const lines[] = { &site->caller, &site->own };
    if (!site->own.path[0]) {
        vg_advice_add_label(out, site->label);
        return;
    }
    for (int i = 0; i < 2; i++)
        if (lines[i]->path[0])
            vg_text_addf(out, "%s%s:%u %s", i > 0 && site->caller.path[0] ? VG_LABEL_SEPARATOR : "",
                         lines[i]->file, lines[i]->line, vg_frame_short_name(lines[i]->function));
}

static void growing_site_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    const struct vg_run_site *const site = growing_site(s, vg_report_deficit(s));
    vg_text_addf(out, "one place has taken more and more and kept it: %s in %llu pieces over ",
                 VG_AMOUNT(site->live_bytes), (unsigned long long)site->live_count);
    vg_amount_add_duration(out, site->oldest_ns);
    vg_text_add(out, ", evenly until now: ");
    add_place(out, site);
    vg_text_add(out, ".");
}

static void growing_site_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    if (vg_torch_is_used(s))
        vg_text_add(out,
                    "if each step keeps some of it: keep numbers (loss.item()) and tensors without "
                    "their graph (.detach()), and evaluate under torch.no_grad()");
    else
        vg_text_add(out, "if each step keeps some of it: free there what the step before took");
}

/* ---- a cache that was of no use ---- */

/* More than a fifth of what PyTorch had, or all that was asked for. */
static bool fragments_applies(const struct vg_run_failure *s)
{
    uint64_t deficit, flushed_bytes;
    /* Where the blocks are known, the holes between them tell (view/advice_blocks.c). */
    if (s->torch.tells_blocks || s->asked_bytes <= 2 * VG_MIB ||
        !vg_advice_lacks_memory(s, &deficit) || vg_torch_is_expandable(s) ||
        !vg_torch_flushed(s, &flushed_bytes) || !vg_amount_known(flushed_bytes) ||
        flushed_bytes == 0)
        return false;
    return flushed_bytes >= s->asked_bytes ||
           flushed_bytes > (vg_torch_reserved_bytes(s) + flushed_bytes) / 5;
}

static void fragments_cause(const struct vg_run_failure *s, struct vg_text *out)
{
    uint64_t flushed_bytes = 0;
    vg_torch_flushed(s, &flushed_bytes);
    vg_text_addf(
        out,
        "PyTorch had %s cached that no tensor used and could not use them for the %s asked "
        "for: fragmentation; given back, %s are still missing.",
        VG_AMOUNT(flushed_bytes), VG_AMOUNT(s->asked_bytes), VG_AMOUNT(vg_report_deficit(s)));
}

static void fragments_advice(const struct vg_run_failure *s, struct vg_text *out)
{
    vg_advice_add_expandable(out, s);
    if (vg_torch_call_is_in_module(s))
        vg_text_add(out, "; or a smaller batch");
    vg_advice_add_larger_gpu(out, s);
}

/* ---- one tensor that is larger than the GPU ---- */

/* device_map moves whole tensors: it does not help. */
void vg_advice_add_one_tensor(struct vg_text *out, const struct vg_run_failure *s)
{
    if (vg_torch_call_makes_weights(s)) {
        vg_text_add(out,
                    "this is one tensor of a model: a smaller layer, one that is split "
                    "over several GPUs, or one that stays in host memory");
        if (s->asked_bytes / 2 < whole_bytes(s))
            vg_text_add(out,
                        "; or dtype=torch.bfloat16, which halves it where it is of 4-byte "
                        "numbers");
    } else if (vg_torch_call_is_in_module(s)) {
        vg_text_add(out,
                    "this is asked for in a forward pass: if its size follows the batch or the "
                    "length of the input, a smaller batch or shorter inputs");
    } else if (vg_holder_stack_is_in(s, "/torch/serialization.py")) {
        vg_text_add(out, "read the file into host memory: torch.load(..., map_location=\"cpu\")");
    } else {
        vg_text_add(out,
                    "look whether the sizes of this tensor are as meant; if they are, make it in "
                    "parts, of numbers of fewer bytes, or in host memory");
    }
    vg_advice_add_larger_gpu(out, s);
}

const struct vg_advice_row vg_advice_model_size = { "model-size", model_size_applies,
                                                    model_size_cause, model_size_advice };
const struct vg_advice_row vg_advice_wide_load = { "wide-load", wide_load_applies, wide_load_cause,
                                                   wide_load_advice };
const struct vg_advice_row vg_advice_growing_site = { "growing-site", growing_site_applies,
                                                      growing_site_cause, growing_site_advice };
const struct vg_advice_row vg_advice_fragments = { "fragments", fragments_applies, fragments_cause,
                                                   fragments_advice };
