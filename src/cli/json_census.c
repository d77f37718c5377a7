#include "cli/json_census.h"

#include "analyze/array_holder.h"
#include "cli/json_device.h"

static const char *const kind_names[VG_CENSUS_KINDS] = {
    [VG_CENSUS_PARAMETER] = "parameters", [VG_CENSUS_GRADIENT] = "gradients",
    [VG_CENSUS_OPTIMIZER] = "optimizer",  [VG_CENSUS_BUFFER] = "buffers",
    [VG_CENSUS_OTHER] = "other",          [VG_CENSUS_GRAPH] = "graph",
};

static void set_census_amount(json_t *object, const char *key,
                              const struct vg_census_amount *amount)
{
    json_t *const both = vg_json_object();
    vg_json_set_amount(both, "bytes", amount->bytes);
    vg_json_set_amount(both, "blocks", amount->blocks);
    vg_json_set(object, key, both);
}

static json_t *modules_array(const struct vg_census *census)
{
    json_t *const array = vg_json_array();
    for (uint32_t i = 0; i < census->module_count; i++) {
        const struct vg_census_module *const module = &census->modules[i];
        json_t *const object = vg_json_object();
        vg_json_set_text(object, "path", module->path);
        vg_json_set_amount(object, "depth", module->depth);
        for (int kind = 0; kind < VG_CENSUS_MODEL_KINDS; kind++)
            set_census_amount(object, kind_names[kind], &module->amount[kind]);
        vg_json_set_amount(object, "elsewhere_bytes", census->elsewhere_bytes[i]);
        vg_json_append(array, object);
    }
    return array;
}

static json_t *shape_object(const struct vg_census_shape *shape)
{
    json_t *const object = vg_json_object();
    json_t *const sizes = vg_json_array();
    for (uint32_t k = 0; k < shape->rank && k < VG_CENSUS_RANK; k++)
        vg_json_append(sizes, json_integer(shape->sizes[k]));
    vg_json_set(object, "shape", sizes);
    vg_json_set_text(object, "dtype", shape->dtype);
    set_census_amount(object, "amount", &shape->amount);
    return object;
}

static json_t *shapes_array(const struct vg_census *census)
{
    json_t *const array = vg_json_array();
    for (uint32_t i = 0; i < census->shape_count; i++)
        vg_json_append(array, shape_object(&census->shapes[i]));
    return array;
}

static json_t *variable_object(const struct vg_census_variable *variable)
{
    static const char *const places[] = {
        [VG_CENSUS_LOCAL] = "local",     [VG_CENSUS_GLOBAL] = "global",
        [VG_CENSUS_LIBRARY] = "library", [VG_CENSUS_WORK] = "work",
        [VG_CENSUS_HANDLED] = "handled", [VG_CENSUS_HANDLED_ELSEWHERE] = "handled_elsewhere"
    };
    json_t *const object = vg_json_object();
    vg_json_set_text(object, "variable", variable->path);
    VG_JSON_SET_NAME(object, "place", places, variable->place);
    vg_json_set_text(object, "type", variable->type);
    vg_json_set_known(object, "length", variable->length >= 0, variable->length);
    vg_json_set_text(object, "function", variable->function);
    vg_json_set_text(object, "file", variable->file);
    vg_json_set_number(object, "line", variable->line);
    vg_json_set_amount(object, "thread", variable->thread);
    return object;
}

/* When what it holds was made, counted in what the device has given out. */
static json_t *history_object(const struct vg_census_history *history)
{
    if (history->blocks == 0)
        return json_null();
    json_t *const object = vg_json_object();
    json_t *const made = vg_json_array();
    vg_json_set_amount(object, "blocks", history->blocks);
    vg_json_set_amount(object, "oldest_count", history->oldest_count);
    vg_json_set_amount(object, "newest_count", history->newest_count);
    vg_json_set_amount(object, "since_ns", history->since_ns);
    vg_json_set_amount(object, "pauses", history->pauses);
    vg_json_set_amount(object, "backward_passes", history->passes);
    vg_json_set_amount(object, "backward_blocks", history->backward_blocks);
    vg_json_set_amount(object, "saved_blocks", history->saved_blocks);
    for (int i = 0; i < VG_CENSUS_EIGHTHS; i++)
        vg_json_append(made, json_integer((json_int_t)history->made[i]));
    vg_json_set(object, "made", made);
    return object;
}

static json_t *variables_array(const struct vg_census *census)
{
    json_t *const array = vg_json_array();
    for (uint32_t i = 0; i < census->variable_count; i++) {
        const struct vg_census_variable *const variable = &census->variables[i];
        json_t *const object = variable_object(variable);
        set_census_amount(object, "direct", &variable->direct);
        set_census_amount(object, "graph", &variable->graph);
        set_census_amount(object, "model", &variable->model);
        set_census_amount(object, "traceback", &variable->traceback);
        vg_json_set_amount(object, "graph_uses", census->graph_uses[i]);
        vg_json_set_flag(object, "in_forward", census->in_forward[i]);
        vg_json_set_flag(object, "in_module", census->in_module[i]);
        vg_json_set_number(object, "series", census->series[i]);
        vg_json_set(object, "history", history_object(&census->histories[i]));
        vg_json_append(array, object);
    }
    return array;
}

/* What variables hold of what the line has made. */
static json_t *held_array(const struct vg_census *census, const struct vg_census_line *line)
{
    json_t *const array = vg_json_array();
    for (uint32_t i = 0; i < census->variable_count; i++) {
        if (line->held[i].direct_bytes + line->held[i].graph_bytes +
                line->held[i].traceback_bytes ==
            0)
            continue;
        json_t *const object = vg_json_object();
        vg_json_set_text(object, "variable", census->variables[i].path);
        vg_json_set_amount(object, "direct_bytes", line->held[i].direct_bytes);
        vg_json_set_amount(object, "graph_bytes", line->held[i].graph_bytes);
        vg_json_set_amount(object, "traceback_bytes", line->held[i].traceback_bytes);
        vg_json_append(array, object);
    }
    return array;
}

static json_t *lines_array(const struct vg_census *census, const struct vg_run_line *names)
{
    json_t *const array = json_array();
    for (uint32_t i = 0; names && i < census->line_count; i++) {
        const struct vg_census_line *const line = &census->lines[i];
        json_t *const object = vg_json_object();
        vg_json_set(object, "line", vg_json_line(&names[i]));
        for (size_t kind = 0; kind < VG_CENSUS_KINDS; kind++)
            vg_json_set_amount(object, kind_names[kind], line->kind_bytes[kind]);
        vg_json_set_amount(object, "garbage", line->garbage_bytes);
        vg_json_set(object, "held", held_array(census, line));
        vg_json_append(array, object);
    }
    return array;
}

static json_t *batch_object(const struct vg_census_batch *batch)
{
    if (batch->size == 0)
        return json_null();
    json_t *const object = vg_json_object();
    vg_json_set_amount(object, "size", batch->size);
    vg_json_set_amount(object, "bytes", batch->bytes);
    vg_json_set_amount(object, "other_bytes", batch->other_bytes);
    vg_json_set_amount(object, "alike_bytes", batch->alike_bytes);
    vg_json_set_flag(object, "in_forward", batch->is_in_forward);
    vg_json_set_known(object, "layers", batch->layers > 0, batch->layers);
    vg_json_set_known(object, "layers_done", batch->layers > 0, batch->layers_done);
    vg_json_set_amount(object, "coming_bytes", batch->coming_bytes);
    vg_json_set_known(object, "layer_bytes", batch->layer_bytes > 0,
                      (json_int_t)batch->layer_bytes);
    return object;
}

json_t *vg_json_census(const struct vg_census *census, const struct vg_run_line *lines)
{
    if (!census)
        return json_null();
    json_t *const object = vg_json_object();
    /* What was found before it had to stop is a lower bound. */
    vg_json_set_flag(object, "complete", census->state == VG_CENSUS_COMPLETE);
    vg_json_set_amount(object, "elapsed_ns", census->elapsed_ns);
    vg_json_set_amount(object, "tensor_count", census->tensors);
    for (int kind = 0; kind < VG_CENSUS_KINDS; kind++)
        set_census_amount(object, kind_names[kind], &census->kinds[kind]);
    set_census_amount(object, "unnamed", &census->unnamed);
    set_census_amount(object, "garbage", &census->garbage);
    vg_json_set_text(object, "garbage_type", census->garbage_type);
    set_census_amount(object, "total", &census->total);
    vg_json_set(object, "modules", modules_array(census));
    vg_json_set(object, "shapes", shapes_array(census));
    vg_json_set(object, "variables", variables_array(census));
    vg_json_set(object, "batch", batch_object(&census->batch));
    vg_json_set(object, "lines", lines_array(census, lines));
    return object;
}

/* ---- other libraries' arrays ---- */

static const char *const library_names[VG_CENSUS_ARRAY_LIBRARIES] = {
    [VG_CENSUS_CUPY] = "cupy",
    [VG_CENSUS_NUMBA] = "numba",
    [VG_CENSUS_JAX] = "jax",
};

static void set_library_amounts(json_t *object, const struct vg_census_amount *amounts)
{
    for (int i = 0; i < VG_CENSUS_ARRAY_LIBRARIES; i++)
        set_census_amount(object, library_names[i], &amounts[i]);
}

static json_t *array_shapes(const struct vg_census *census)
{
    json_t *const array = vg_json_array();
    for (uint32_t i = 0; i < census->array_shape_count; i++) {
        json_t *const object = shape_object(&census->array_shapes[i].shape);
        VG_JSON_SET_NAME(object, "library", library_names, census->array_shapes[i].from);
        vg_json_append(array, object);
    }
    return array;
}

static json_t *array_variables(const struct vg_census *census)
{
    json_t *const array = vg_json_array();
    for (uint32_t i = 0; i < census->variable_count; i++) {
        const struct vg_census_held *const held = &census->held_arrays[i];
        if (vg_array_holder_held(census, &census->variables[i]).blocks == 0)
            continue;
        json_t *const object = variable_object(&census->variables[i]);
        set_library_amounts(object, held->arrays);
        set_census_amount(object, "traceback", &held->traceback);
        vg_json_append(array, object);
    }
    return array;
}

json_t *vg_json_array_census(const struct vg_census *census)
{
    if (!census)
        return json_null();
    json_t *const object = vg_json_object();
    vg_json_set_flag(object, "complete", census->state == VG_CENSUS_COMPLETE);
    set_library_amounts(object, census->arrays);
    vg_json_set(object, "shapes", array_shapes(census));
    vg_json_set(object, "variables", array_variables(census));
    return object;
}
