#include "view/advice_blocks.h"

#include <string.h>

#include "analyze/account.h"
#include "analyze/holder.h"
#include "analyze/torch_call.h"
#include "analyze/torch_facts.h"
#include "base/amount.h"
#include "view/advice_text.h"
#include "view/advice_waste.h"
#include "view/batch_text.h"
#include "view/line_text.h"

uint64_t vg_advice_missing_bytes(const struct vg_run_failure *f)
{
    const uint64_t deficit = vg_report_deficit(f);
    return deficit == VG_BYTES_UNKNOWN ? 0 : deficit;
}

bool vg_advice_blocks_hold_missing(const struct vg_run_failure *f)
{
    return f->torch.tells_blocks && f->torch.allocated_bytes > 0 &&
           (vg_advice_missing_bytes(f) > 0 || f->refused_by == VG_REFUSED_BY_PYTORCH) &&
           f->torch.allocated_bytes >= vg_advice_missing_bytes(f);
}

bool vg_advice_outweighs_others(const struct vg_run_failure *f, uint64_t bytes)
{
    return !vg_amount_known(f->device.others_bytes) || bytes >= f->device.others_bytes;
}

uint64_t vg_advice_kind_bytes(const struct vg_run_failure *f, enum vg_census_kind kind)
{
    const struct vg_census *const census = vg_holder_census(f);
    return census ? census->kinds[kind].bytes : 0;
}

bool vg_advice_is_wide(const struct vg_run_failure *f, enum vg_census_kind kind)
{
    const struct vg_census *const census = vg_holder_census(f);
    return census && census->wide_bytes[kind] > census->kinds[kind].bytes / 2;
}

bool vg_advice_is_most(const struct vg_run_failure *f, uint64_t bytes)
{
    return bytes > f->torch.allocated_bytes / 2;
}

void vg_advice_add_origin(const struct vg_run_failure *f, enum vg_holder_part part,
                          const struct vg_census_variable *variable, struct vg_text *out)
{
    uint64_t bytes;
    const struct vg_run_line *const line = vg_holder_origin(f, part, variable, &bytes);
    if (!line || !line->file[0] || bytes < f->torch.allocated_bytes / 8)
        return;
    vg_text_addf(out, "; %s comes from ", VG_AMOUNT(bytes));
    vg_line_add(out, line);
}

/* ---- PyTorch's own limit ---- */

static bool fraction_applies(const struct vg_run_failure *f)
{
    return f->refused_by == VG_REFUSED_BY_PYTORCH;
}

static void fraction_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const char *const limit = strstr(f->torch.settings, "per_process_memory_fraction")
                                  ? "per_process_memory_fraction"
                                  : "set_per_process_memory_fraction";
    if (f->torch.fraction_bytes > 0)
        vg_text_addf(out, "PyTorch's own limit: %s allows this process %s of the GPU, and PyTorch",
                     limit, VG_AMOUNT(f->torch.fraction_bytes));
    else
        vg_text_addf(out, "PyTorch's own limit: %s allows no more, and PyTorch", limit);
    vg_text_addf(out, " has reserved %s; the driver was not asked",
                 VG_AMOUNT(f->torch.reserved_bytes));
    if (vg_amount_known(f->device.gpu.free_bytes))
        vg_text_addf(out, ", the GPU has %s free", VG_AMOUNT(f->device.gpu.free_bytes));
    vg_text_add(out, ".");
}

static void fraction_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    if (strstr(f->torch.settings, "per_process_memory_fraction"))
        vg_text_addf(out, "a larger per_process_memory_fraction in %s", vg_torch_variable(f));
    else
        vg_text_add(out, "a larger fraction in torch.cuda.set_per_process_memory_fraction()");
    if (!vg_advice_add_of_tensors(f, "; or, to fit into it, ", out))
        vg_text_add(out, ", or keep less: the lines below hold most");
}

/* ---- the optimizer ---- */

/* What a model and its optimizer hold. */
static uint64_t training_bytes(const struct vg_run_failure *f)
{
    return vg_advice_kind_bytes(f, VG_CENSUS_PARAMETER) +
           vg_advice_kind_bytes(f, VG_CENSUS_GRADIENT) +
           vg_advice_kind_bytes(f, VG_CENSUS_OPTIMIZER);
}

static bool optimizer_applies(const struct vg_run_failure *f)
{
    if (!vg_advice_blocks_hold_missing(f))
        return false;
    return (vg_torch_call_is_optimizers(f) && vg_advice_is_most(f, training_bytes(f))) ||
           (vg_holder_largest_kind(f) == VG_CENSUS_OPTIMIZER &&
            vg_advice_kind_bytes(f, VG_CENSUS_OPTIMIZER) >= vg_advice_missing_bytes(f));
}

static void optimizer_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const bool is_optimizers = vg_torch_call_is_optimizers(f);
    const bool makes_state = vg_torch_call_makes_state(f);
    if (is_optimizers)
        vg_text_addf(out, "the optimizer's %s does not fit beside the model: ",
                     makes_state ? "state" : "step");
    vg_text_addf(out, "parameters take %s, gradients %s, and the optimizer's state %s",
                 VG_AMOUNT(vg_advice_kind_bytes(f, VG_CENSUS_PARAMETER)),
                 VG_AMOUNT(vg_advice_kind_bytes(f, VG_CENSUS_GRADIENT)),
                 VG_AMOUNT(vg_advice_kind_bytes(f, VG_CENSUS_OPTIMIZER)));
    vg_text_add(out, makes_state ? " so far" : "");
    if (is_optimizers && f->own.file[0]) {
        vg_text_add(out, makes_state ? "; it grows in " : "; more is asked for in ");
        vg_line_add(out, &f->own);
    }
    vg_text_add(out, ".");
}

static void optimizer_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    vg_text_add(out, "an optimizer with less state (8-bit Adam of bitsandbytes, Adafactor, SGD)");
    if (vg_torch_call_is_multi_tensor(f))
        vg_text_add(out, "; foreach=False, which needs no copies");
    if (vg_advice_is_wide(f, VG_CENSUS_PARAMETER))
        vg_text_add(out, "; weights in bfloat16");
    vg_text_add(out, "; or offload the state to the host");
}

/* ---- activations ---- */

static bool activations_applies(const struct vg_run_failure *f)
{
    const uint64_t bytes = vg_holder_activation_bytes(f);
    return vg_advice_blocks_hold_missing(f) && bytes >= vg_advice_missing_bytes(f) &&
           vg_advice_is_most(f, bytes);
}

static void activations_why(const struct vg_run_failure *f, struct vg_text *out)
{
    vg_text_addf(out,
                 "activations: what the forward pass makes and what is kept for the backward pass "
                 "take %s of PyTorch's %s, the parameters %s",
                 VG_AMOUNT(vg_holder_activation_bytes(f)), VG_AMOUNT(f->torch.allocated_bytes),
                 VG_AMOUNT(vg_advice_kind_bytes(f, VG_CENSUS_PARAMETER)));
    vg_advice_add_origin(f, VG_HELD_AS_ACTIVATIONS, NULL, out);
    vg_text_add(out, ".");
}

/* Weights of 4-byte numbers, and activations of 2-byte ones: more than a quarter, since autocast
 * leaves some operations as they are. */
static bool runs_under_autocast(const struct vg_run_failure *f)
{
    const struct vg_census *const census = vg_holder_census(f);
    const uint64_t *const wide = census->wide_bytes, *const narrow = census->narrow_bytes;
    return 4 * (narrow[VG_CENSUS_OTHER] + narrow[VG_CENSUS_GRAPH]) >
           wide[VG_CENSUS_OTHER] + wide[VG_CENSUS_GRAPH];
}

static void activations_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    vg_batch_text_add_smaller(f, out);
    vg_text_add(out, "; activation checkpointing");
    if (vg_holder_stack_is_in(f, "/transformers/"))
        vg_text_add(out, " (model.gradient_checkpointing_enable())");
    if (vg_advice_is_wide(f, VG_CENSUS_PARAMETER) && !runs_under_autocast(f))
        vg_text_add(out, "; bfloat16 autocast");
    vg_text_add(out, "; torch.no_grad() where nothing is trained");
}

/* ---- a file that is loaded onto the GPU ---- */

/* torch.load puts a tensor where it was saved from, or where map_location says, as it reads it
 * (torch/serialization.py). */
static bool load_applies(const struct vg_run_failure *f)
{
    return vg_advice_blocks_hold_missing(f) && vg_holder_stack_is_in(f, "/torch/serialization.py");
}

static uint64_t loaded_bytes(const struct vg_run_failure *f)
{
    const struct vg_run_sites *const sites = &f->device.sites[VG_LEVEL_BLOCKS];
    for (uint32_t i = 0; f->own.line > 0 && i < sites->count; i++)
        if (sites->entries[i].own.line == f->own.line &&
            strcmp(sites->entries[i].own.path, f->own.path) == 0)
            return sites->entries[i].live_bytes;
    return 0;
}

static void load_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const uint64_t loaded = loaded_bytes(f);
    const uint64_t parameters = vg_advice_kind_bytes(f, VG_CENSUS_PARAMETER);
    vg_text_add(out, "torch.load puts the tensors of the file onto the GPU as it reads them");
    if (loaded > 0)
        vg_text_addf(out, ": %s so far", VG_AMOUNT(loaded));
    if (parameters > 0)
        vg_text_addf(out, ", beside parameters of %s that are there already",
                     VG_AMOUNT(parameters));
    vg_text_add(out, ".");
}

static void load_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    (void)f;
    vg_text_add(out,
                "read the file into host memory: torch.load(..., map_location=\"cpu\"); "
                "load_state_dict() copies from there to where the model is");
}

/* ---- what was read from a file is still there ---- */

/* Beside a model with as much: it is what load_state_dict() has copied, mostly. */
static const struct vg_census_variable *loaded_of(const struct vg_run_failure *f,
                                                  uint64_t *out_bytes)
{
    return vg_advice_blocks_hold_missing(f)
               ? vg_holder_of_loaded(f, vg_advice_missing_bytes(f), out_bytes)
               : NULL;
}

static bool loaded_applies(const struct vg_run_failure *f)
{
    uint64_t bytes;
    return loaded_of(f, &bytes) && bytes >= f->torch.allocated_bytes / 8 &&
           vg_advice_kind_bytes(f, VG_CENSUS_PARAMETER) > 0;
}

static void loaded_why(const struct vg_run_failure *f, struct vg_text *out)
{
    uint64_t bytes;
    vg_line_add_variable(out, loaded_of(f, &bytes));
    vg_text_addf(out,
                 " still holds %s that torch.load has put onto the GPU, beside parameters of %s, "
                 "gradients of %s and optimizer state of %s.",
                 VG_AMOUNT(bytes), VG_AMOUNT(vg_advice_kind_bytes(f, VG_CENSUS_PARAMETER)),
                 VG_AMOUNT(vg_advice_kind_bytes(f, VG_CENSUS_GRADIENT)),
                 VG_AMOUNT(vg_advice_kind_bytes(f, VG_CENSUS_OPTIMIZER)));
}

static void loaded_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    uint64_t bytes;
    vg_text_add(out,
                "read the file into host memory: torch.load(..., map_location=\"cpu\"); or, once "
                "load_state_dict() has copied what it takes, del ");
    vg_line_add_variable_path(out, loaded_of(f, &bytes));
}

/* ---- holes ---- */

/* Beneath 2 MiB there is nothing that expandable segments would bring. */
static const uint64_t holes_asked_min_bytes = 2 * VG_MIB;

static uint64_t hole_bytes(const struct vg_run_failure *f)
{
    const struct vg_run_torch *const t = &f->torch;
    return vg_amount_known(t->empty_bytes) && t->unused_bytes > t->empty_bytes
               ? t->unused_bytes - t->empty_bytes
               : 0;
}

static bool holes_applies(const struct vg_run_failure *f)
{
    const struct vg_run_torch *const t = &f->torch;
    return vg_advice_blocks_hold_missing(f) && t->count[VG_TORCH_EXPANDABLE] == 0 &&
           !strstr(t->settings, "expandable_segments:True") && vg_amount_known(f->asked_bytes) &&
           f->asked_bytes > holes_asked_min_bytes && hole_bytes(f) >= f->asked_bytes &&
           hole_bytes(f) >= t->reserved_bytes / 4 && t->largest_hole_bytes < f->asked_bytes;
}

static void holes_why(const struct vg_run_failure *f, struct vg_text *out)
{
    vg_text_addf(out,
                 "fragmentation: %s that PyTorch has reserved are unused, but in %llu pieces of at "
                 "most %s, too small for the %s asked for.",
                 VG_AMOUNT(hole_bytes(f)), (unsigned long long)f->torch.hole_count,
                 VG_AMOUNT(f->torch.largest_hole_bytes), VG_AMOUNT(f->asked_bytes));
}

static void holes_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    vg_advice_add_expandable(out, f);
    vg_text_add(out, ", which lets PyTorch use these pieces together");
}

/* ---- PyTorch's cache is in another library's way ---- */

static bool cache_in_way_applies(const struct vg_run_failure *f)
{
    return f->torch.tells_blocks && !f->torch.is_caller && f->refused_by == VG_REFUSED_BY_DRIVER &&
           vg_advice_missing_bytes(f) > 0 && vg_amount_known(f->torch.empty_bytes) &&
           f->torch.empty_bytes >= vg_advice_missing_bytes(f);
}

static void cache_in_way_why(const struct vg_run_failure *f, struct vg_text *out)
{
    vg_text_addf(out,
                 "PyTorch caches %s of this GPU that no tensor uses; given back, this would "
                 "fit. The call comes from another library",
                 VG_AMOUNT(f->torch.empty_bytes));
    vg_text_addf(out, " (%s).", f->api[0] ? f->api : "unknown");
}

static void cache_in_way_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    (void)f;
    vg_text_add(out,
                "torch.cuda.empty_cache() before this call; or a limit on what PyTorch may "
                "reserve: torch.cuda.set_per_process_memory_fraction()");
}

/* ---- one line holds most ---- */

static bool largest_line_applies(const struct vg_run_failure *f)
{
    const struct vg_run_site *const site = vg_holder_largest_site(f);
    return vg_advice_blocks_hold_missing(f) && site && site->own.file[0] &&
           site->live_bytes >= vg_advice_missing_bytes(f) && vg_advice_is_most(f, site->live_bytes);
}

static void largest_line_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_run_site *const site = vg_holder_largest_site(f);
    vg_text_addf(out, "this process itself: tensors made at ");
    vg_line_add(out, &site->own);
    if (site->caller.file[0]) {
        vg_text_add(out, " (called from ");
        vg_line_add(out, &site->caller);
        vg_text_add(out, ")");
    }
    vg_text_addf(out, " hold %s of PyTorch's %s.", VG_AMOUNT(site->live_bytes),
                 VG_AMOUNT(f->torch.allocated_bytes));
}

static void largest_line_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    if (vg_advice_add_bounding(f, vg_holder_largest_site(f), out))
        return;
    vg_text_add(out,
                "free there what is no longer needed (del), keep it on the host (x.cpu()), or "
                "make fewer of them at a time");
}

const struct vg_advice_row vg_advice_torch_fraction = { "torch-fraction", fraction_applies,
                                                        fraction_why, fraction_advice };
const struct vg_advice_row vg_advice_optimizer = { "optimizer", optimizer_applies, optimizer_why,
                                                   optimizer_advice };
const struct vg_advice_row vg_advice_activations = { "activations", activations_applies,
                                                     activations_why, activations_advice };
const struct vg_advice_row vg_advice_loaded = { "loaded", loaded_applies, loaded_why,
                                                loaded_advice };
const struct vg_advice_row vg_advice_load = { "load-to-gpu", load_applies, load_why, load_advice };
const struct vg_advice_row vg_advice_holes = { "holes", holes_applies, holes_why, holes_advice };
const struct vg_advice_row vg_advice_cache_in_way = { "cache-in-way", cache_in_way_applies,
                                                      cache_in_way_why, cache_in_way_advice };
const struct vg_advice_row vg_advice_largest_line = { "largest-line", largest_line_applies,
                                                      largest_line_why, largest_line_advice };
