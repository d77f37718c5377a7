#include "analyze/array_holder.h"

#include "analyze/holder.h"
#include "base/amount.h"

enum { SEVERAL = 4 };

const struct vg_census *vg_array_holder_asked(const struct vg_run_failure *failure)
{
    const struct vg_census *const census = failure->census;
    if (!census || failure->census_format != VG_CENSUS_FORMAT ||
        failure->census_bytes != sizeof *census)
        return NULL;
    return census->arrays_were_asked || census->arrays_are_of_device ? census : NULL;
}

const struct vg_census *vg_array_holder_census(const struct vg_run_failure *failure)
{
    const struct vg_census *const census = vg_array_holder_asked(failure);
    if (!census || !census->arrays_are_of_device)
        return NULL;
    switch (census->state) {
    case VG_CENSUS_COMPLETE:
    case VG_CENSUS_OUT_OF_TIME:
    case VG_CENSUS_OUT_OF_MEMORY: return vg_array_holder_total(census).bytes > 0 ? census : NULL;
    default: return NULL;
    }
}

static struct vg_census_amount sum_of(const struct vg_census_amount *arrays)
{
    struct vg_census_amount sum = { 0 };
    for (size_t i = 0; i < VG_CENSUS_ARRAY_LIBRARIES; i++) {
        sum.bytes += arrays[i].bytes;
        sum.blocks += arrays[i].blocks;
    }
    return sum;
}

struct vg_census_amount vg_array_holder_total(const struct vg_census *census)
{
    return sum_of(census->arrays);
}

static const struct vg_census_held *held_by(const struct vg_census *census,
                                            const struct vg_census_variable *variable)
{
    return &census->held_arrays[variable - census->variables];
}

struct vg_census_amount vg_array_holder_held(const struct vg_census *census,
                                             const struct vg_census_variable *variable)
{
    return sum_of(held_by(census, variable)->arrays);
}

enum vg_census_array_library vg_array_holder_library(const struct vg_census *census,
                                                     const struct vg_census_variable *variable)
{
    const struct vg_census_amount *const arrays = held_by(census, variable)->arrays;
    enum vg_census_array_library most = 0;
    for (enum vg_census_array_library i = 0; i < VG_CENSUS_ARRAY_LIBRARIES; i++)
        if (arrays[i].bytes > arrays[most].bytes)
            most = i;
    return most;
}

static bool is_a_quarter(const struct vg_run_failure *failure, uint64_t bytes)
{
    return vg_amount_known(failure->device.live_bytes) && bytes >= failure->device.live_bytes / 4;
}

const struct vg_census_variable *vg_array_holder_of_several(const struct vg_run_failure *failure,
                                                            uint64_t at_least_bytes)
{
    const struct vg_census *const census = vg_array_holder_census(failure);
    const struct vg_census_variable *best = NULL;
    uint64_t best_bytes = 0;
    for (uint32_t i = 0; census && i < census->variable_count; i++) {
        const struct vg_census_variable *const variable = &census->variables[i];
        const uint64_t bytes = vg_array_holder_held(census, variable).bytes;
        if (variable->length < SEVERAL || vg_holder_is_librarys(variable) ||
            held_by(census, variable)->traceback.bytes > bytes / 2 || bytes < at_least_bytes ||
            bytes <= best_bytes || !is_a_quarter(failure, bytes))
            continue;
        best = variable;
        best_bytes = bytes;
    }
    return best;
}

const struct vg_census_variable *vg_array_holder_of_traceback(const struct vg_run_failure *failure,
                                                              uint64_t at_least_bytes)
{
    const struct vg_census *const census = vg_array_holder_census(failure);
    const struct vg_census_variable *best = NULL;
    uint64_t best_bytes = 0;
    for (uint32_t i = 0; census && i < census->variable_count; i++) {
        const uint64_t bytes = census->held_arrays[i].traceback.bytes;
        if (bytes > best_bytes && bytes >= at_least_bytes && is_a_quarter(failure, bytes)) {
            best = &census->variables[i];
            best_bytes = bytes;
        }
    }
    return best;
}
