/* Causes that lie in models: two of them, or one that is large. */
#include "analyze/model_holder.h"
#include "analyze/torch_call.h"
#include "base/amount.h"
#include "view/advice_blocks.h"
#include "view/line_text.h"

static bool is_narrow(const struct vg_run_failure *f, enum vg_census_kind kind)
{
    const struct vg_census *const census = vg_holder_census(f);
    return census && census->narrow_bytes[kind] > census->kinds[kind].bytes / 2;
}

/* ---- the optimizer of a model that is gone ---- */

/* While the next model comes: parameters that a program trains by themselves are in no module, too.
 */
static const struct vg_census_variable *lone_optimizer_of(const struct vg_run_failure *f,
                                                          uint64_t *out_bytes)
{
    return vg_advice_blocks_hold_missing(f) &&
                   (vg_torch_call_moves_model(f) || vg_torch_call_makes_weights(f))
               ? vg_model_lone_optimizer(f, vg_advice_missing_bytes(f), out_bytes)
               : NULL;
}

static bool lone_optimizer_applies(const struct vg_run_failure *f)
{
    uint64_t bytes;
    return lone_optimizer_of(f, &bytes) && bytes >= f->torch.allocated_bytes / 4;
}

static void lone_optimizer_why(const struct vg_run_failure *f, struct vg_text *out)
{
    uint64_t bytes;
    vg_line_add_variable(out, lone_optimizer_of(f, &bytes));
    vg_text_addf(
        out,
        " keeps parameters that are in no model, with their gradients and its state: %s of "
        "PyTorch's %s.",
        VG_AMOUNT(bytes), VG_AMOUNT(f->torch.allocated_bytes));
}

static void lone_optimizer_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    uint64_t bytes;
    vg_text_add(out,
                "if their model is one that you have deleted or made anew: delete its optimizer, "
                "too, before the next model is made: del ");
    vg_line_add_variable_path(out, lone_optimizer_of(f, &bytes));
    vg_text_add(out, " (and a scheduler that has it)");
}

/* ---- many models ---- */

static const struct vg_census_variable *collection_of(const struct vg_run_failure *f,
                                                      const struct vg_census_module **out_model)
{
    return vg_advice_blocks_hold_missing(f)
               ? vg_model_collection(f, vg_advice_missing_bytes(f), out_model)
               : NULL;
}

static bool kept_models_applies(const struct vg_run_failure *f)
{
    const struct vg_census_module *model;
    const struct vg_census_variable *const variable = collection_of(f, &model);
    return variable && vg_advice_is_most(f, variable->model.bytes);
}

/* "12 or more": a census tells no more of them. */
static void add_count(const struct vg_run_failure *f, const struct vg_census_module *model,
                      struct vg_text *out)
{
    const uint32_t count = vg_model_count(f, model);
    vg_text_addf(out, "%u%s", count, count >= VG_CENSUS_MODULES / 2 ? " or more" : "");
}

static void kept_models_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_census_module *model = NULL;
    const struct vg_census_variable *const variable = collection_of(f, &model);
    vg_line_add_variable(out, variable);
    vg_text_addf(out, " holds modules with %s of PyTorch's %s: ", VG_AMOUNT(variable->model.bytes),
                 VG_AMOUNT(f->torch.allocated_bytes));
    add_count(f, model, out);
    vg_text_addf(out, " of class %s are on the GPU, with %s of parameters each", model->path,
                 VG_AMOUNT(model->amount[VG_CENSUS_PARAMETER].bytes));
    if (vg_advice_kind_bytes(f, VG_CENSUS_OPTIMIZER) > 0)
        vg_text_addf(out, "; optimizers have %s of state",
                     VG_AMOUNT(vg_advice_kind_bytes(f, VG_CENSUS_OPTIMIZER)));
    vg_text_add(out, ".");
}

static void kept_models_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_census_module *model;
    vg_text_add(out, "of models that are not in use, as those of earlier rounds, keep in ");
    vg_line_add_variable_name(out, collection_of(f, &model));
    vg_text_add(out,
                " only numbers, or weights in host memory: {k: v.cpu() for k, v in "
                "model.state_dict().items()}");
    if (vg_advice_kind_bytes(f, VG_CENSUS_OPTIMIZER) > 0)
        vg_text_add(out, "; and no optimizer, which keeps its state and the parameters");
    else
        vg_text_add(out, "; if all are in use: weights of fewer bytes");
}

/* ---- two models ---- */

static bool model_twice_applies(const struct vg_run_failure *f)
{
    const struct vg_census_module *const second =
        vg_advice_blocks_hold_missing(f) ? vg_holder_model_twice(f) : NULL;
    return second && second->amount[VG_CENSUS_PARAMETER].bytes >= vg_advice_missing_bytes(f) &&
           second->amount[VG_CENSUS_PARAMETER].bytes >= f->torch.allocated_bytes / 4;
}

static void model_twice_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_census_module *const second = vg_holder_model_twice(f);
    const struct vg_census_variable *holders[VG_MODEL_HOLDERS];
    const uint32_t count = vg_model_holders(f, second, holders);
    const bool are_more = vg_model_count(f, second) > VG_MODEL_HOLDERS;
    vg_text_add(out, "there are ");
    if (are_more)
        add_count(f, second, out);
    else
        vg_text_add(out, "two");
    vg_text_addf(out, " models of class %s on the GPU, with %s of parameters each", second->path,
                 VG_AMOUNT(second->amount[VG_CENSUS_PARAMETER].bytes));
    for (uint32_t i = 0; i < count; i++) {
        vg_text_add(out, i > 0        ? " and "
                         : count == 1 ? "; one of them is "
                         : are_more   ? "; two of them are "
                                      : ": ");
        vg_line_add_variable(out, holders[i]);
    }
    vg_text_add(out, ".");
}

/* Two that variables have may both be needed; what no variable has is a leftover, or just being
 * made. */
static void model_twice_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_census_variable *holders[VG_MODEL_HOLDERS];
    if (vg_model_holders(f, vg_holder_model_twice(f), holders) < VG_MODEL_HOLDERS) {
        vg_text_add(out,
                    "if one of them is no longer needed: delete the variables that lead to it "
                    "before you load the other one");
        return;
    }
    vg_text_add(out,
                "if both are needed (a teacher and its student, a moving average): keep the one "
                "that is not trained in host memory");
    vg_text_add(out, vg_advice_is_wide(f, VG_CENSUS_PARAMETER) ? " or in bfloat16" : "");
    vg_text_add(out, "; if one is left over: del ");
    vg_line_add_variable_path(out, holders[0]);
    vg_text_add(out, " or del ");
    vg_line_add_variable_path(out, holders[1]);
}

/* ---- the model itself ---- */

/* Without a census: the line that has moved most, where that is a model. */
static const struct vg_run_site *moved_model(const struct vg_run_failure *f)
{
    const struct vg_run_site *const site = vg_holder_census(f) ? NULL : vg_holder_largest_site(f);
    return site && site->own.file[0] && vg_torch_call_is_models_move(site->called) ? site : NULL;
}

static bool parameters_applies(const struct vg_run_failure *f)
{
    const struct vg_run_site *const moved = moved_model(f);
    const uint64_t bytes = moved ? moved->live_bytes : vg_advice_kind_bytes(f, VG_CENSUS_PARAMETER);
    return vg_advice_blocks_hold_missing(f) && vg_advice_is_most(f, bytes) &&
           bytes >= vg_advice_missing_bytes(f);
}

static void moved_model_why(const struct vg_run_failure *f, const struct vg_run_site *moved,
                            struct vg_text *out)
{
    vg_text_addf(out, "the model itself: %s of PyTorch's %s come from ",
                 VG_AMOUNT(moved->live_bytes), VG_AMOUNT(f->torch.allocated_bytes));
    vg_line_add(out, &moved->own);
    vg_text_addf(out, " (%s).", moved->called);
}

/* "`teacher` (Net, train.py:9 main)". */
static void add_model(const struct vg_run_failure *f, const struct vg_census_module *model,
                      struct vg_text *out)
{
    const struct vg_census_variable *const holder = vg_model_holder(f, model);
    if (holder)
        vg_line_add_variable(out, holder);
    else
        vg_text_addf(out, "a %s", model->path);
}

/* "343 MiB so far (its other 1.01 GiB are not on this GPU)". */
static void add_parameters(const struct vg_run_failure *f, const struct vg_census_module *model,
                           struct vg_text *out)
{
    vg_text_add(out, VG_AMOUNT(model->amount[VG_CENSUS_PARAMETER].bytes));
    if (model == vg_model_under_way(f))
        vg_text_addf(out, " so far (its other %s are not on this GPU)",
                     VG_AMOUNT(vg_model_elsewhere_bytes(f, model)));
}

static void several_models_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_census_module *const first = &vg_holder_census(f)->modules[0];
    const struct vg_census_module *const second = vg_model_second(f);
    vg_text_add(out, "the models themselves: parameters of ");
    add_model(f, first, out);
    vg_text_add(out, " take ");
    add_parameters(f, first, out);
    vg_text_add(out, ", those of ");
    add_model(f, second, out);
    vg_text_add(out, " ");
    add_parameters(f, second, out);
    vg_text_addf(out, "; in all they take %s of PyTorch's %s.",
                 VG_AMOUNT(vg_advice_kind_bytes(f, VG_CENSUS_PARAMETER)),
                 VG_AMOUNT(f->torch.allocated_bytes));
}

static void one_model_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_census *const census = vg_holder_census(f);
    const struct vg_census_module *const model = &census->modules[0];
    vg_text_addf(out, "the model itself: parameters take %s of PyTorch's %s",
                 VG_AMOUNT(vg_advice_kind_bytes(f, VG_CENSUS_PARAMETER)),
                 VG_AMOUNT(f->torch.allocated_bytes));
    if (census->module_count > 0 && model->depth == 0)
        vg_text_addf(out, " (%s)", model->path);
    if (model == vg_model_under_way(f))
        vg_text_addf(out, " so far; its other %s are not on this GPU",
                     VG_AMOUNT(vg_model_elsewhere_bytes(f, model)));
    vg_text_add(out, ".");
}

static void parameters_why(const struct vg_run_failure *f, struct vg_text *out)
{
    if (!vg_holder_census(f))
        moved_model_why(f, moved_model(f), out);
    else if (vg_model_second(f))
        several_models_why(f, out);
    else
        one_model_why(f, out);
}

static void parameters_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    if (vg_model_second(f))
        vg_text_add(out, "keep a model that is not used at the same time in host memory; ");
    if (vg_torch_call_narrows_model(f) && vg_advice_is_wide(f, VG_CENSUS_PARAMETER))
        vg_text_add(out,
                    "convert the model before it is moved: model.bfloat16().cuda(); on the GPU a "
                    "parameter's old and new numbers take memory at the same time");
    else if (is_narrow(f, VG_CENSUS_PARAMETER))
        vg_text_add(out, "quantised weights");
    else
        vg_text_addf(out, "weights of fewer bytes (dtype=torch.bfloat16%s, or quantised)",
                     vg_advice_is_wide(f, VG_CENSUS_PARAMETER) ? ""
                                                               : " where they are 4-byte numbers");
    vg_text_add(out, ", or device_map=\"auto\", which spreads them over GPUs and host memory");
}

const struct vg_advice_row vg_advice_lone_optimizer = { "lone-optimizer", lone_optimizer_applies,
                                                        lone_optimizer_why, lone_optimizer_advice };
const struct vg_advice_row vg_advice_kept_models = { "kept-models", kept_models_applies,
                                                     kept_models_why, kept_models_advice };
const struct vg_advice_row vg_advice_model_twice = { "model-twice", model_twice_applies,
                                                     model_twice_why, model_twice_advice };
const struct vg_advice_row vg_advice_parameters = { "parameters", parameters_applies,
                                                    parameters_why, parameters_advice };
