#include "analyze/model_holder.h"

#include <string.h>

#include "analyze/frame.h"
#include "analyze/holder.h"
#include "analyze/torch_call.h"

/* Of a function of PyTorch's that moves a model, `self` is one, too. */
static bool is_of_program(const struct vg_census_variable *variable)
{
    return (variable->place == VG_CENSUS_LOCAL || variable->place == VG_CENSUS_GLOBAL) &&
           !vg_frame_is_library_path(variable->file);
}

uint32_t vg_model_holders(const struct vg_run_failure *failure,
                          const struct vg_census_module *model,
                          const struct vg_census_variable *out[VG_MODEL_HOLDERS])
{
    const struct vg_census *const census = vg_holder_census(failure);
    uint32_t count = 0;
    for (uint32_t i = 0; census && i < census->variable_count && count < VG_MODEL_HOLDERS; i++) {
        const struct vg_census_variable *const variable = &census->variables[i];
        if (is_of_program(variable) && strcmp(variable->type, model->path) == 0 &&
            variable->model.bytes >= model->amount[VG_CENSUS_PARAMETER].bytes)
            out[count++] = variable;
    }
    return count;
}

static bool is_outermost(const struct vg_census_module *module)
{
    return module->depth == 0 && module->amount[VG_CENSUS_PARAMETER].bytes > 0;
}

const struct vg_census_variable *vg_model_holder(const struct vg_run_failure *failure,
                                                 const struct vg_census_module *model)
{
    const struct vg_census *const census = vg_holder_census(failure);
    const struct vg_census_variable *found = NULL;
    uint64_t most_bytes = 0;
    for (int kind = 0; kind < VG_CENSUS_MODEL_KINDS; kind++)
        most_bytes += model->amount[kind].bytes;
    for (uint32_t i = 0; census && i < census->variable_count; i++) {
        const struct vg_census_variable *const variable = &census->variables[i];
        if (!is_of_program(variable) || strcmp(variable->type, model->path) != 0 ||
            variable->model.bytes < model->amount[VG_CENSUS_PARAMETER].bytes ||
            variable->model.bytes > most_bytes)
            continue;
        if (found)
            return NULL;
        found = variable;
    }
    return found;
}

uint32_t vg_model_count(const struct vg_run_failure *failure, const struct vg_census_module *model)
{
    const struct vg_census *const census = vg_holder_census(failure);
    uint32_t count = 0;
    for (uint32_t i = 0; census && i < census->module_count; i++) {
        const struct vg_census_module *const other = &census->modules[i];
        count +=
            is_outermost(other) && strcmp(other->path, model->path) == 0 &&
            other->amount[VG_CENSUS_PARAMETER].bytes == model->amount[VG_CENSUS_PARAMETER].bytes;
    }
    return count;
}

/* The largest of models of which there are many, and whose parameters fit many times into `bytes`.
 */
static const struct vg_census_module *many_within(const struct vg_run_failure *failure,
                                                  uint64_t bytes)
{
    const struct vg_census *const census = vg_holder_census(failure);
    for (uint32_t i = 0; i < census->module_count; i++) {
        const struct vg_census_module *const model = &census->modules[i];
        if (is_outermost(model) && vg_model_count(failure, model) >= VG_MODEL_MANY &&
            bytes >= VG_MODEL_MANY * model->amount[VG_CENSUS_PARAMETER].bytes)
            return model;
    }
    return NULL;
}

const struct vg_census_variable *vg_model_collection(const struct vg_run_failure *failure,
                                                     uint64_t at_least_bytes,
                                                     const struct vg_census_module **out_model)
{
    const struct vg_census *const census = vg_holder_census(failure);
    const struct vg_census_variable *best = NULL;
    for (uint32_t i = 0; census && i < census->variable_count; i++) {
        const struct vg_census_variable *const variable = &census->variables[i];
        const uint64_t bytes = variable->model.bytes;
        if (variable->length < VG_MODEL_MANY || bytes < at_least_bytes || census->in_module[i] ||
            vg_holder_is_librarys(variable) || variable->traceback.bytes > bytes / 2 ||
            (best && best->model.bytes >= bytes))
            continue;
        const struct vg_census_module *const model = many_within(failure, bytes);
        if (!model)
            continue;
        best = variable;
        *out_model = model;
    }
    return best;
}

const struct vg_census_variable *vg_model_lone_optimizer(const struct vg_run_failure *failure,
                                                         uint64_t at_least_bytes,
                                                         uint64_t *out_bytes)
{
    const struct vg_census *const census = vg_holder_census(failure);
    const struct vg_census_variable *best = NULL;
    *out_bytes = 0;
    for (uint32_t i = 0; census && i < census->variable_count; i++) {
        const uint64_t bytes = census->homeless_bytes[i];
        if (!census->is_optimizer[i] || bytes < at_least_bytes || bytes <= *out_bytes ||
            vg_holder_is_librarys(&census->variables[i]))
            continue;
        best = &census->variables[i];
        *out_bytes = bytes;
    }
    return best;
}

uint64_t vg_model_elsewhere_bytes(const struct vg_run_failure *failure,
                                  const struct vg_census_module *model)
{
    const struct vg_census *const census = vg_holder_census(failure);
    return census ? census->elsewhere_bytes[model - census->modules] : 0;
}

const struct vg_census_module *vg_model_under_way(const struct vg_run_failure *failure)
{
    const struct vg_census *const census = vg_holder_census(failure);
    const struct vg_census_module *found = NULL;
    if (!census || !vg_torch_call_moves_model(failure))
        return NULL;
    for (uint32_t i = 0; i < census->module_count; i++) {
        if (!is_outermost(&census->modules[i]) || census->elsewhere_bytes[i] == 0)
            continue;
        if (found)
            return NULL;
        found = &census->modules[i];
    }
    return found;
}

const struct vg_census_module *vg_model_second(const struct vg_run_failure *failure)
{
    const struct vg_census *const census = vg_holder_census(failure);
    const struct vg_census_module *const under_way = vg_model_under_way(failure);
    if (!census || census->module_count < 2 || !is_outermost(&census->modules[0]))
        return NULL;
    const struct vg_census_module *const second = &census->modules[1];
    if (under_way && under_way != &census->modules[0])
        return under_way;
    return is_outermost(second) && second->amount[VG_CENSUS_PARAMETER].bytes >=
                                       census->kinds[VG_CENSUS_PARAMETER].bytes / 8
               ? second
               : NULL;
}
