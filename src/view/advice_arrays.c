#include "view/advice_arrays.h"

#include "analyze/array_holder.h"
#include "base/amount.h"
#include "record/kind.h"
#include "view/advice_blocks.h"
#include "view/array_text.h"
#include "view/line_text.h"

/* Could the cause lie in arrays: do they hold what is missing? */
static bool arrays_hold_missing(const struct vg_run_failure *f)
{
    const struct vg_census *const census = vg_array_holder_census(f);
    const uint64_t missing_bytes = vg_advice_missing_bytes(f);
    return census && missing_bytes > 0 && vg_array_holder_total(census).bytes >= missing_bytes;
}

static const struct vg_array_text *text_of(const struct vg_run_failure *f,
                                           const struct vg_census_variable *variable)
{
    return vg_array_text_of(vg_array_holder_library(vg_array_holder_census(f), variable));
}

static uint64_t held_bytes(const struct vg_run_failure *f,
                           const struct vg_census_variable *variable)
{
    return vg_array_holder_held(vg_array_holder_census(f), variable).bytes;
}

static const struct vg_run_site *largest_site(const struct vg_run_failure *f)
{
    const struct vg_run_sites *const sites = &f->device.sites[VG_LEVEL_ALLOCATIONS];
    return sites->is_known && sites->count > 0 ? &sites->entries[0] : NULL;
}

/* Managed memory is no part of what the device holds, but arrays may lie in it. */
static bool has_managed_memory(const struct vg_run_failure *f)
{
    for (uint32_t i = 0; i < f->device.kind_count; i++)
        if (vg_kind_traits(f->device.kinds[i].kind) & VG_TRAIT_MOVES)
            return true;
    return false;
}

/* How much of `held` bytes must lie in memory that the site has allocated: all of it but what the
 * rest of this process's memory has room for. */
static uint64_t bytes_of_site(const struct vg_run_failure *f, const struct vg_run_site *site,
                              uint64_t held)
{
    const uint64_t sum = site->live_bytes + held;
    return !has_managed_memory(f) && sum > f->device.live_bytes ? sum - f->device.live_bytes : 0;
}

/* "; at least 3.50 GiB of it lies in memory that leak.py:5 fill allocated", where one line has a
 * good part. It may be another one that made the arrays: these libraries' pools use memory again.
 */
static void add_origin(const struct vg_run_failure *f, uint64_t held, struct vg_text *out)
{
    const struct vg_run_site *const site = largest_site(f);
    const uint64_t bytes = site && site->own.file[0] ? bytes_of_site(f, site, held) : 0;
    if (bytes == 0 || bytes < f->device.live_bytes / 8)
        return;
    vg_text_addf(out, "; at least %s of it lies in memory that ", VG_AMOUNT(bytes));
    vg_line_add(out, &site->own);
    vg_text_add(out, " allocated");
}

/* ---- an exception keeps arrays ---- */

static const struct vg_census_variable *traceback_of(const struct vg_run_failure *f)
{
    return arrays_hold_missing(f) ? vg_array_holder_of_traceback(f, vg_advice_missing_bytes(f))
                                  : NULL;
}

static uint64_t traceback_bytes(const struct vg_run_failure *f,
                                const struct vg_census_variable *variable)
{
    const struct vg_census *const census = vg_array_holder_census(f);
    return census->held_arrays[variable - census->variables].traceback.bytes;
}

static bool traceback_applies(const struct vg_run_failure *f)
{
    const struct vg_census_variable *const variable = traceback_of(f);
    return variable && !vg_advice_is_of_this_failure(f, variable) &&
           vg_advice_outweighs_others(f, traceback_bytes(f, variable));
}

static void traceback_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_census_variable *const variable = traceback_of(f);
    vg_text_addf(out,
                 "an earlier exception keeps the frames it went through, and these hold %s of %s: ",
                 VG_AMOUNT(traceback_bytes(f, variable)), text_of(f, variable)->arrays);
    vg_line_add_variable(out, variable);
    vg_text_add(out, ".");
}

static void traceback_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_census_variable *const variable = traceback_of(f);
    vg_advice_add_delete_exception(out, variable);
    vg_text_add(out, text_of(f, variable)->after);
}

/* ---- arrays in a container ---- */

static const struct vg_census_variable *several_of(const struct vg_run_failure *f)
{
    return arrays_hold_missing(f) ? vg_array_holder_of_several(f, vg_advice_missing_bytes(f))
                                  : NULL;
}

/* Does the place that took most of the memory keep some of each round, still? If not they are data,
 * or a cache that is full, and no leak. */
static bool is_growing(const struct vg_run_failure *f)
{
    const struct vg_run_site *const site = largest_site(f);
    return site && site->growth.kind == VG_GROWTH_STEADY;
}

static bool kept_applies(const struct vg_run_failure *f)
{
    const struct vg_census_variable *const variable = several_of(f);
    return variable && is_growing(f) && vg_advice_outweighs_others(f, held_bytes(f, variable));
}

static void kept_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_census_variable *const variable = several_of(f);
    vg_line_add_variable(out, variable);
    vg_text_addf(out, " keeps more and more, by now %s of %s on the GPU",
                 VG_AMOUNT(held_bytes(f, variable)), text_of(f, variable)->arrays);
    add_origin(f, held_bytes(f, variable), out);
    vg_text_add(out, ".");
}

static void kept_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_census_variable *const variable = several_of(f);
    const struct vg_array_text *const text = text_of(f, variable);
    vg_text_add(out,
                "keep on the GPU only what is still needed there: remove finished entries from ");
    vg_line_add_variable_name(out, variable);
    vg_text_addf(out, ", or put %s into it instead of x%s", text->to_host, text->after);
}

static void held_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_census_variable *const variable = several_of(f);
    vg_line_add_variable(out, variable);
    vg_text_addf(out, " holds %s of %s, of the %s that this process has on the GPU",
                 VG_AMOUNT(held_bytes(f, variable)), text_of(f, variable)->arrays,
                 VG_AMOUNT(f->device.live_bytes));
    add_origin(f, held_bytes(f, variable), out);
    vg_text_add(out, ".");
}

static void held_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_census_variable *const variable = several_of(f);
    const struct vg_array_text *const text = text_of(f, variable);
    vg_text_add(out, "keep in ");
    vg_line_add_variable_name(out, variable);
    vg_text_addf(out,
                 " only what the GPU needs now, and the rest on the host: %s; or, when none of it "
                 "is needed any more: del ",
                 text->to_host);
    vg_line_add_variable_path(out, variable);
    vg_text_add(out, text->after);
}

static bool held_applies(const struct vg_run_failure *f)
{
    return several_of(f) != NULL;
}

const struct vg_advice_row vg_advice_array_traceback = { "array-traceback", traceback_applies,
                                                         traceback_why, traceback_advice };
const struct vg_advice_row vg_advice_kept_arrays = { "kept-arrays", kept_applies, kept_why,
                                                     kept_advice };
const struct vg_advice_row vg_advice_held_arrays = { "held-arrays", held_applies, held_why,
                                                     held_advice };
