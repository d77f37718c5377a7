#include "analyze/torch_call.h"

#include <string.h>

#include "analyze/frame.h"
#include "base/text.h"

/* ---- frames ---- */

static bool is_at(const struct vg_run_frame *frame, const char *part)
{
    return vg_frame_is_python(frame) && strstr(frame->file, part) != NULL;
}

/* A program's own folder may have such a name, too. */
static bool is_torchs(const struct vg_run_frame *frame)
{
    return vg_frame_is_library(frame) && is_at(frame, "/torch/");
}

static bool has_name(const struct vg_run_frame *frame, const char *name)
{
    return strcmp(vg_frame_short_name(frame->function), name) == 0;
}

/* torch.nn.Module.__call__ goes through _wrapped_call_impl and _call_impl of this file. */
bool vg_torch_call_is_module(const struct vg_run_frame *frame)
{
    return vg_frame_is_python(frame) && strstr(frame->function, "_call_impl") != NULL &&
           vg_text_ends_with(frame->file, "nn/modules/module.py");
}

bool vg_torch_call_is_in_module(const struct vg_run_failure *f)
{
    for (uint32_t i = 0; i < f->stack.frame_count; i++)
        if (vg_torch_call_is_module(&f->stack.frames[i]))
            return true;
    return false;
}

/* ---- optimizers ---- */

/* swa_utils.py is there for copies of models. */
static bool is_optimizers(const struct vg_run_frame *frame)
{
    return is_torchs(frame) && is_at(frame, "/torch/optim/") &&
           !is_at(frame, "/torch/optim/swa_utils.py");
}

/* Is `inner` a part of the step() that is at `step`: in the same file of a library, or by its name
 * of the same class? The closure of a step comes from elsewhere. */
static bool is_part_of_step(const struct vg_run_frame *inner, const struct vg_run_frame *step)
{
    const size_t class_length = (size_t)(vg_frame_short_name(step->function) - step->function);
    if (inner == step)
        return true;
    return strcmp(inner->file, step->file) == 0 &&
           (vg_frame_is_library(step) ||
            (class_length > 0 && strncmp(inner->function, step->function, class_length) == 0));
}

/* Where the step() begins that PyTorch has called: optimizer.py wraps that of each class of
 * optimizers. `called_by`: the frame of that file. Decorators as torch.no_grad may lie between. */
static uint32_t step_frame(const struct vg_run_stack *stack, uint32_t called_by)
{
    uint32_t at = called_by;
    while (at > 0 && (is_torchs(&stack->frames[at]) || !vg_frame_is_python(&stack->frames[at])))
        at--;
    return at;
}

/* Of an optimizer that is none of PyTorch's: is all that lies within `called_by` its step()? */
static bool is_others_step(const struct vg_run_stack *stack, uint32_t called_by)
{
    const uint32_t step = step_frame(stack, called_by);
    if (!is_at(&stack->frames[called_by], "/torch/optim/optimizer.py") ||
        !has_name(&stack->frames[step], "step"))
        return false;
    for (uint32_t i = 0; i < step; i++) {
        const struct vg_run_frame *const frame = &stack->frames[i];
        if (vg_frame_is_python(frame) && !is_torchs(frame) &&
            !is_part_of_step(frame, &stack->frames[step]))
            return false;
    }
    return true;
}

/* The innermost frame of torch.optim, with an optimizer's own work between it and the failing call
 * and nothing else; NULL for none. */
static const struct vg_run_frame *optimizer_frame(const struct vg_run_failure *f)
{
    bool has_other = false;
    for (uint32_t i = 0; i < f->stack.frame_count; i++) {
        const struct vg_run_frame *const frame = &f->stack.frames[i];
        if (is_optimizers(frame))
            return !has_other || is_others_step(&f->stack, i) ? frame : NULL;
        if (is_at(frame, "/torch/nn/") && is_torchs(frame))
            return NULL;
        has_other |= vg_frame_is_python(frame) && !is_torchs(frame);
    }
    return NULL;
}

bool vg_torch_call_is_optimizers(const struct vg_run_failure *f)
{
    return optimizer_frame(f) != NULL;
}

bool vg_torch_call_makes_state(const struct vg_run_failure *f)
{
    /* Before 2.0 they make it in step() itself. LBFGS computes there, too. */
    const struct vg_run_frame *const frame = optimizer_frame(f);
    return frame && (has_name(frame, "_init_group") || has_name(frame, "__init__") ||
                     strstr(frame->function, "load_state_dict") ||
                     has_name(frame, "_process_value_according_to_param_policy") ||
                     (has_name(frame, "step") && !is_at(frame, "/lbfgs.py")));
}

bool vg_torch_call_is_multi_tensor(const struct vg_run_failure *f)
{
    const struct vg_run_frame *const frame = optimizer_frame(f);
    return frame && vg_text_starts_with(vg_frame_short_name(frame->function), "_multi_tensor_");
}

/* ---- weights ---- */

/* By parts of paths and of functions' names. */
static const struct {
    const char *file, *function;
} makers[] = {
    { "/torch/nn/init.py", "" },
    { "/torch/nn/parameter.py", "" },
    { "/torch/nn/modules/module.py", "_apply" },
    { "/torch/nn/modules/module.py", "load" },
    { "/torch/nn/modules/", "__init__" },
    { "/torch/nn/modules/", "reset_parameters" },
    { "/transformers/modeling_utils.py", "load" },
    { "/transformers/core_model_loading.py", "load" },
    { "/accelerate/utils/modeling.py", "" },
};

static bool is_maker(const struct vg_run_frame *frame)
{
    if (!vg_frame_is_library(frame))
        return false;
    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++)
        if (is_at(frame, makers[i].file) && strstr(frame->function, makers[i].function))
            return true;
    return false;
}

/* ---- a model on its way ---- */

/* Methods of torch.nn.Module and of transformers' models. Before Python 3.11 a function's class is
 * not known: these names only a model's function has. */
bool vg_torch_call_is_models_move(const char *function)
{
    static const char *const of_classes[] = { "Module.", "PreTrainedModel." };
    static const char *const names[] = { "_apply",   "cuda",     "to",     "half", "float",
                                         "bfloat16", "to_empty", "double", "type" };
    static const char *const alone[] = { "half", "bfloat16", "to_empty" };
    const char *name = function;
    for (size_t i = 0; i < sizeof of_classes / sizeof of_classes[0]; i++)
        if (vg_text_starts_with(function, of_classes[i]))
            name = function + strlen(of_classes[i]);
    for (size_t i = 0; name > function && i < sizeof names / sizeof names[0]; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++)
        if (strcmp(function, alone[i]) == 0)
            return true;
    return false;
}

static bool is_apply(const struct vg_run_frame *frame)
{
    return has_name(frame, "_apply");
}

static bool is_narrowing(const struct vg_run_frame *frame)
{
    return has_name(frame, "half") || has_name(frame, "bfloat16");
}

/* Does the program's innermost line call such a method of torch.nn.Module? */
static bool calls_method(const struct vg_run_failure *f,
                         bool (*is_wanted)(const struct vg_run_frame *frame))
{
    for (uint32_t i = 0; i < f->stack.frame_count; i++) {
        const struct vg_run_frame *const frame = &f->stack.frames[i];
        if (is_torchs(frame) && is_at(frame, "/torch/nn/modules/module.py") && is_wanted(frame))
            return true;
        if (vg_frame_is_own(frame))
            return false;
    }
    return false;
}

bool vg_torch_call_moves_model(const struct vg_run_failure *f)
{
    return calls_method(f, is_apply);
}

bool vg_torch_call_narrows_model(const struct vg_run_failure *f)
{
    return calls_method(f, is_narrowing);
}

bool vg_torch_call_makes_weights(const struct vg_run_failure *f)
{
    for (uint32_t i = 0; i < f->stack.frame_count; i++) {
        const struct vg_run_frame *const frame = &f->stack.frames[i];
        if (is_maker(frame))
            return true;
        /* What calls the program's innermost line is not what the line does. */
        if (vg_frame_is_own(frame) || vg_torch_call_is_module(frame))
            return false;
    }
    return false;
}
