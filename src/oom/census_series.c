/* Modules that a program calls one after the other by itself, as the layers of a model: what it
 * collects of them may all be of one pass. */
#include <string.h>

#include "oom/census_work.h"

/* Of one that is part of a model: those beside it, and of a call those of its class in that model,
 * too. Of another: those of its class that are no part, either. */
static bool is_of_series(const struct vg_census_work *work, uint32_t number, uint32_t other,
                         enum vg_census_series_of of)
{
    const struct vg_census_model *const one = vg_census_model_number(work, number);
    const struct vg_census_model *const two = vg_census_model_number(work, other);
    const bool is_alike = vg_object_type(one->object) == vg_object_type(two->object);
    if (one->parent == VG_CENSUS_NO_MODULE || two->parent == VG_CENSUS_NO_MODULE)
        return one->parent == two->parent && is_alike;
    return one->parent == two->parent ||
           (of == VG_SERIES_OF_CALL && is_alike &&
            vg_census_outermost(work, number) == vg_census_outermost(work, other));
}

uint32_t vg_census_series_of(struct vg_census_work *work, uintptr_t module,
                             enum vg_census_series_of of)
{
    const uint64_t *const number = vg_census_map_get(&work->model_of, module);
    uint32_t count = 0;
    for (uint32_t i = 0; number && i < work->modules.count && !vg_census_is_late(work); i++)
        count += is_of_series(work, (uint32_t)*number, i, of);
    return count;
}

static bool is_called(const struct vg_census_python *python, uintptr_t qualified, const char *name)
{
    char text[VG_CENSUS_TYPE_CAP];
    vg_census_str_write(python, qualified, text, sizeof text);
    const char *const dot = strrchr(text, '.');
    return strcmp(dot ? dot + 1 : text, name) == 0;
}

static bool is_model(struct vg_census_work *work, uintptr_t object)
{
    return object && vg_census_class_of(work, vg_object_type(object)) == VG_CLASS_MODEL;
}

uintptr_t vg_census_module_argument(struct vg_census_work *work,
                                    const struct vg_python_running *running)
{
    const struct vg_python_layout *const layout = work->python->layout;
    if (vg_census_code_number(work->python, running->code, "co_argcount") < 1)
        return 0;
    uintptr_t object = vg_census_variable_value(
        vg_python_word(running->frame + (uintptr_t)layout->frame_variables));
    if (object && vg_object_type(object) == (uintptr_t)work->python->cell)
        object = vg_python_word(object + VG_CELL_CONTENT);
    return is_model(work, object) ? object : 0;
}

/* PyTorch's own call (torch.nn.Module._call_impl, to which _wrapped_call_impl may lead), or the
 * module's `forward` itself. */
uintptr_t vg_census_called_module(struct vg_census_work *work,
                                  const struct vg_python_running *running)
{
    const struct vg_python_layout *const layout = work->python->layout;
    const uintptr_t name = vg_python_word(running->code + (uintptr_t)layout->name);
    const bool is_call =
        is_called(work->python, name, "_call_impl") || is_called(work->python, name, "forward");
    return is_call ? vg_census_module_argument(work, running) : 0;
}

static uint32_t longer(struct vg_census_work *work, uintptr_t object, uint32_t than)
{
    const uint32_t series =
        is_model(work, object) ? vg_census_series_of(work, object, VG_SERIES_OF_VARIABLE) : 0;
    return series > than ? series : than;
}

uint32_t vg_census_series_of_variables(struct vg_census_work *work,
                                       const struct vg_python_running *running, uintptr_t names)
{
    const struct vg_python_layout *const layout = work->python->layout;
    const uintptr_t first = running->frame + (uintptr_t)layout->frame_variables;
    const size_t count = vg_census_variable_count(layout, running->code);
    uint32_t longest = 0;
    intptr_t position = 0;
    void *name, *value;
    for (size_t i = 0; i < count; i++)
        longest = longer(
            work, vg_census_variable_value(vg_python_word(first + i * sizeof(uintptr_t))), longest);
    while (names && work->python->next_item((void *)names, &position, &name, &value))
        longest = longer(work, (uintptr_t)value, longest);
    return longest;
}
