#include "analyze/census_read.h"

#include <string.h>

#include "base/text.h"

static uint32_t no_more_than(uint32_t count, uint32_t cap)
{
    return count < cap ? count : cap;
}

static void repair_shape(struct vg_census_shape *shape)
{
    vg_text_repair(shape->dtype, sizeof shape->dtype);
}

static void repair_variable(struct vg_census_variable *variable)
{
    vg_text_repair(variable->path, sizeof variable->path);
    vg_text_repair(variable->type, sizeof variable->type);
    vg_text_repair(variable->function, sizeof variable->function);
    vg_text_repair(variable->file, sizeof variable->file);
    if ((uint32_t)variable->place >= VG_CENSUS_PLACES)
        variable->place = VG_CENSUS_LIBRARY;
}

static void repair_census(struct vg_census *census)
{
    if ((uint32_t)census->state >= VG_CENSUS_STATES)
        census->state = VG_CENSUS_NOT_TAKEN;
    census->module_count = no_more_than(census->module_count, VG_CENSUS_MODULES);
    census->shape_count = no_more_than(census->shape_count, VG_CENSUS_SHAPES);
    census->variable_count = no_more_than(census->variable_count, VG_CENSUS_VARIABLES);
    census->line_count = no_more_than(census->line_count, VG_CENSUS_LINES);
    census->array_shape_count = no_more_than(census->array_shape_count, VG_CENSUS_SHAPES);
    if (census->batch.size > UINT32_MAX)
        census->batch.size = 0;
    vg_text_repair(census->garbage_type, sizeof census->garbage_type);
    for (uint32_t i = 0; i < VG_CENSUS_MODULES; i++)
        vg_text_repair(census->modules[i].path, sizeof census->modules[i].path);
    for (uint32_t i = 0; i < VG_CENSUS_VARIABLES; i++)
        repair_variable(&census->variables[i]);
    for (uint32_t i = 0; i < VG_CENSUS_SHAPES; i++) {
        repair_shape(&census->shapes[i]);
        repair_shape(&census->array_shapes[i].shape);
    }
}

const struct vg_census *vg_census_read(struct vg_region *region, const void *bytes, size_t count)
{
    struct vg_census *const census = vg_region_alloc(region, sizeof *census);
    if (!census)
        return NULL;
    memset(census, 0, sizeof *census);
    memcpy(census, bytes, count < sizeof *census ? count : sizeof *census);
    repair_census(census);
    return census;
}

const struct vg_run_line *vg_census_name_lines(struct vg_stack_names *names,
                                               const struct vg_census *census)
{
    struct vg_run_line *const lines =
        vg_region_array(names->region, census->line_count, sizeof *lines);
    for (uint32_t i = 0; lines && i < census->line_count; i++)
        lines[i] = vg_stack_names_own_line(names, census->lines[i].stack_id);
    return lines;
}
