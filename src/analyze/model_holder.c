#include "analyze/model_holder.h"

#include <string.h>

#include "analyze/holder.h"

uint32_t vg_model_holders(const struct vg_run_failure *failure,
                          const struct vg_census_module *model,
                          const struct vg_census_variable *out[VG_MODEL_HOLDERS])
{
    const struct vg_census *const census = vg_holder_census(failure);
    uint32_t count = 0;
    for (uint32_t i = 0; census && i < census->variable_count && count < VG_MODEL_HOLDERS; i++) {
        const struct vg_census_variable *const variable = &census->variables[i];
        if ((variable->place == VG_CENSUS_LOCAL || variable->place == VG_CENSUS_GLOBAL) &&
            strcmp(variable->type, model->path) == 0 &&
            variable->model.bytes >= model->amount[VG_CENSUS_PARAMETER].bytes)
            out[count++] = variable;
    }
    return count;
}
