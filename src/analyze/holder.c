#include "analyze/holder.h"

#include <string.h>

#include "analyze/frame.h"
#include "analyze/growth.h"
#include "analyze/torch_call.h"

enum { RESULTS_MIN = 4, CHAINED_USES_MIN = 4, STEPS_MIN = 4, OF_EACH_MODULE = 2 };

const struct vg_census *vg_holder_census(const struct vg_run_failure *failure)
{
    const struct vg_census *const census = failure->census;
    if (!census || failure->census_format != VG_CENSUS_FORMAT ||
        failure->census_bytes != sizeof *census)
        return NULL;
    switch (census->state) {
    case VG_CENSUS_COMPLETE:
    case VG_CENSUS_OUT_OF_TIME:
    case VG_CENSUS_OUT_OF_MEMORY: return census->total.bytes > 0 ? census : NULL;
    default: return NULL;
    }
}

const struct vg_run_site *vg_holder_largest_site(const struct vg_run_failure *failure)
{
    const struct vg_run_sites *const sites = &failure->device.sites[VG_LEVEL_BLOCKS];
    return sites->is_known && sites->count > 0 ? &sites->entries[0] : NULL;
}

static uint64_t subtract_bytes(uint64_t whole, uint64_t part)
{
    return whole > part ? whole - part : 0;
}

uint64_t vg_holder_kept_bytes(const struct vg_census_variable *variable)
{
    return subtract_bytes(variable->direct.bytes, variable->model.bytes) + variable->graph.bytes;
}

bool vg_holder_keeps_graphs(const struct vg_census_variable *variable)
{
    return variable->graph.bytes > subtract_bytes(variable->direct.bytes, variable->model.bytes);
}

/* A function's name without what it is defined in: the census tells it so, up to CPython 3.10.
 * Where two have one name, the line that each is at tells them apart. */
static const char *bare_name(const char *qualified)
{
    const char *const dot = strrchr(qualified, '.');
    return dot ? dot + 1 : qualified;
}

static bool is_frame_of(const struct vg_run_frame *frame, const struct vg_census_variable *variable)
{
    return (frame->flags & VG_FRAME_PYTHON) &&
           strcmp(bare_name(frame->function), bare_name(variable->function)) == 0 &&
           (variable->line <= 0 || frame->line == (uint32_t)variable->line) &&
           strcmp(frame->file, variable->file) == 0;
}

static size_t index_of(const struct vg_census *census, const struct vg_census_variable *variable)
{
    return (size_t)(variable - census->variables);
}

/* Does the variable belong to a function that a module's call under way has called? Where the
 * census does not say so, as of a file of an earlier version, the failing call's stack does. */
static bool is_inside_module_call(const struct vg_run_failure *failure,
                                  const struct vg_census_variable *variable)
{
    const struct vg_census *const census = vg_holder_census(failure);
    if (census && census->in_forward[index_of(census, variable)])
        return true;
    if (variable->place != VG_CENSUS_LOCAL)
        return false;
    const struct vg_run_stack *const stack = &failure->stack;
    uint32_t at = 0;
    while (at < stack->frame_count && !is_frame_of(&stack->frames[at], variable))
        at++;
    for (; at < stack->frame_count; at++)
        if (vg_torch_call_is_module(&stack->frames[at]))
            return true;
    return false;
}

/* transformers' Trainer gathers the outputs of an evaluation, as its users make it do. */
static bool is_of_trainer(const struct vg_census_variable *variable)
{
    return strstr(variable->file, "/transformers/trainer") != NULL;
}

bool vg_holder_is_librarys(const struct vg_census_variable *variable)
{
    return variable->place == VG_CENSUS_LIBRARY ||
           (vg_frame_is_library_path(variable->file) && !is_of_trainer(variable));
}

/* Is it a variable of the program's, which lives longer than a forward pass, that keeps so much? */
static bool keeps_in_program(const struct vg_run_failure *failure,
                             const struct vg_census_variable *variable, uint64_t at_least_bytes)
{
    const uint64_t kept = vg_holder_kept_bytes(variable);
    return !vg_holder_is_librarys(variable) && variable->traceback.bytes <= kept / 2 &&
           kept >= at_least_bytes && !is_inside_module_call(failure, variable);
}

static bool is_wanted(const struct vg_run_failure *failure,
                      const struct vg_census_variable *variable, enum vg_holder_results wanted)
{
    switch (wanted) {
    case VG_RESULTS_ANY: return true;
    case VG_RESULTS_WITH_GRAPHS: return vg_holder_keeps_graphs(variable);
    case VG_RESULTS_GROWING:
        return !vg_holder_keeps_graphs(variable) && vg_holder_grows(failure, variable);
    }
    return false;
}

const struct vg_census_variable *vg_holder_of_results(const struct vg_run_failure *failure,
                                                      enum vg_holder_results wanted,
                                                      uint64_t at_least_bytes)
{
    const struct vg_census *const census = vg_holder_census(failure);
    const struct vg_census_variable *best = NULL;
    for (uint32_t i = 0; census && i < census->variable_count; i++) {
        const struct vg_census_variable *const variable = &census->variables[i];
        const uint64_t kept = vg_holder_kept_bytes(variable);
        if (variable->length < RESULTS_MIN || kept < census->total.bytes / 4 ||
            !keeps_in_program(failure, variable, at_least_bytes) ||
            !is_wanted(failure, variable, wanted))
            continue;
        if (!best || kept > vg_holder_kept_bytes(best))
            best = variable;
    }
    return best;
}

const struct vg_census_variable *vg_holder_of_evaluation(const struct vg_run_failure *failure,
                                                         uint64_t at_least_bytes)
{
    const struct vg_census *const census = vg_holder_census(failure);
    const struct vg_census_variable *best = NULL;
    for (uint32_t i = 0; census && i < census->variable_count; i++) {
        const struct vg_census_variable *const variable = &census->variables[i];
        const uint64_t kept = vg_holder_kept_bytes(variable);
        if (is_of_trainer(variable) && strncmp(variable->path, "all_", 4) == 0 &&
            strcmp(bare_name(variable->function), "evaluation_loop") == 0 &&
            kept >= at_least_bytes && (!best || kept > vg_holder_kept_bytes(best)))
            best = variable;
    }
    return best;
}

/* Have backward passes run between its blocks, and made none of what it holds? */
static bool has_several_steps(const struct vg_census_history *history)
{
    return history->passes >= STEPS_MIN && history->backward_blocks == 0;
}

/* Are its tensors parts of one graph's, as the features of a network are that a loss compares? */
static bool may_be_of_one_graph(const struct vg_census_history *history)
{
    return history->saved_blocks > history->blocks / 2 && !has_several_steps(history);
}

/* The modules of a model may keep what they return: within its first call this looks like growth.
 */
static bool may_be_of_one_pass(const struct vg_run_failure *failure, const struct vg_census *census,
                               size_t variable)
{
    return census->in_module[variable] && vg_torch_call_is_in_module(failure) &&
           census->histories[variable].since_ns < VG_HOLDER_STEP_NS;
}

/* Does the program go through the layers of a model by itself, or through several models, and is
 * there no more than one pass may have made of each of them? */
static bool may_be_of_one_series(const struct vg_census *census, size_t variable)
{
    const struct vg_census_history *const history = &census->histories[variable];
    return history->blocks <= (uint64_t)OF_EACH_MODULE * census->series[variable] &&
           !has_several_steps(history);
}

/* Are there as many tensors elsewhere that these may be copies of? */
static bool may_be_copies(const struct vg_census *census, uint64_t blocks)
{
    return census && census->elsewhere_tensors >= blocks;
}

bool vg_holder_may_be_a_load(const struct vg_run_failure *failure, uint64_t blocks,
                             uint64_t since_ns)
{
    return since_ns < VG_HOLDER_STEP_NS || may_be_copies(vg_holder_census(failure), blocks);
}

/* Of what a variable holds. To convert what is loaded calls no module. */
static bool may_be_loaded(const struct vg_run_failure *failure,
                          const struct vg_census_history *history, enum vg_growth_pace pace)
{
    switch (pace) {
    case VG_PACE_AT_ONCE:
        return vg_holder_may_be_a_load(failure, history->blocks, history->since_ns);
    case VG_PACE_WITH_COPIES:
        return may_be_copies(vg_holder_census(failure), history->blocks) &&
               !vg_torch_call_is_in_module(failure);
    case VG_PACE_OTHER: break;
    }
    return false;
}

bool vg_holder_grows(const struct vg_run_failure *failure,
                     const struct vg_census_variable *variable)
{
    const struct vg_census *const census = vg_holder_census(failure);
    if (!census)
        return false;
    enum vg_growth_pace pace;
    const size_t i = index_of(census, variable);
    const struct vg_census_history *const history = &census->histories[i];
    return vg_growth_of_history(history, &pace) == VG_GROWTH_STEADY &&
           !may_be_loaded(failure, history, pace) && !may_be_of_one_pass(failure, census, i) &&
           !may_be_of_one_series(census, i) && !may_be_of_one_graph(history);
}

bool vg_holder_piles_up(const struct vg_run_failure *failure,
                        const struct vg_census_variable *variable)
{
    const struct vg_census *const census = vg_holder_census(failure);
    if (!census)
        return false;
    const struct vg_census_history *const history = &census->histories[index_of(census, variable)];
    return history->blocks >= RESULTS_MIN && history->pauses >= history->blocks / 2;
}

enum vg_holder_steps vg_holder_steps(const struct vg_run_failure *failure,
                                     const struct vg_census_variable *variable)
{
    const struct vg_census *const census = vg_holder_census(failure);
    return census && has_several_steps(&census->histories[index_of(census, variable)])
               ? VG_STEPS_SEVERAL
               : VG_STEPS_UNKNOWN;
}

const struct vg_census_variable *vg_holder_of_chain(const struct vg_run_failure *failure,
                                                    uint64_t at_least_bytes, uint32_t *out_uses)
{
    const struct vg_census *const census = vg_holder_census(failure);
    const struct vg_census_variable *best = NULL;
    for (uint32_t i = 0; census && i < census->variable_count; i++) {
        const struct vg_census_variable *const variable = &census->variables[i];
        if (variable->length >= RESULTS_MIN || census->graph_uses[i] < CHAINED_USES_MIN ||
            !keeps_in_program(failure, variable, at_least_bytes) ||
            variable->graph.bytes < census->total.bytes / 4)
            continue;
        if (!best || variable->graph.bytes > best->graph.bytes) {
            best = variable;
            *out_uses = census->graph_uses[i];
        }
    }
    return best;
}

const struct vg_census_variable *vg_holder_of_earlier_graph(const struct vg_run_failure *failure,
                                                            uint64_t at_least_bytes,
                                                            uint64_t *out_bytes)
{
    const struct vg_census *const census = vg_holder_census(failure);
    const struct vg_census_variable *best = NULL;
    *out_bytes = 0;
    if (!census || !vg_torch_call_is_in_module(failure))
        return NULL;
    for (uint32_t i = 0; i < census->variable_count; i++) {
        const struct vg_census_variable *const variable = &census->variables[i];
        const uint64_t bytes = census->earlier_graph_bytes[i];
        if (bytes <= *out_bytes || bytes < census->total.bytes / 4 ||
            strcmp(variable->type, "Tensor") != 0 ||
            !keeps_in_program(failure, variable, at_least_bytes))
            continue;
        best = variable;
        *out_bytes = bytes;
    }
    return *out_bytes >= at_least_bytes ? best : NULL;
}

/* Number of the site's line among those of the census; line_count: it is none of them. */
static uint32_t line_of_site(const struct vg_run_failure *failure, const struct vg_census *census,
                             const struct vg_run_site *site)
{
    uint32_t i = 0;
    while (i < census->line_count && (failure->census_lines[i].line != site->own.line ||
                                      strcmp(failure->census_lines[i].path, site->own.path) != 0))
        i++;
    return i;
}

const struct vg_census_variable *vg_holder_of_site(const struct vg_run_failure *failure,
                                                   const struct vg_run_site *site)
{
    const struct vg_census *const census = vg_holder_census(failure);
    if (!census || !failure->census_lines)
        return NULL;
    const uint32_t line = line_of_site(failure, census, site);
    for (uint32_t i = 0; line < census->line_count && i < census->variable_count; i++)
        if (census->lines[line].held[i].direct_bytes + census->lines[line].held[i].graph_bytes >
            site->live_bytes / 2)
            return &census->variables[i];
    return NULL;
}

static bool is_of_torch_load(const struct vg_run_site *site)
{
    return site->called_path && strstr(site->called_path, "/torch/serialization.py");
}

const struct vg_census_variable *vg_holder_of_loaded(const struct vg_run_failure *failure,
                                                     uint64_t at_least_bytes, uint64_t *out_bytes)
{
    const struct vg_census *const census = vg_holder_census(failure);
    const struct vg_run_sites *const sites = &failure->device.sites[VG_LEVEL_BLOCKS];
    const struct vg_census_variable *best = NULL;
    *out_bytes = 0;
    for (uint32_t k = 0; census && failure->census_lines && k < sites->count; k++) {
        const uint32_t line = is_of_torch_load(&sites->entries[k])
                                  ? line_of_site(failure, census, &sites->entries[k])
                                  : census->line_count;
        for (uint32_t i = 0; line < census->line_count && i < census->variable_count; i++) {
            const uint64_t bytes = census->lines[line].held[i].direct_bytes;
            if (bytes < at_least_bytes || bytes <= *out_bytes ||
                vg_holder_is_librarys(&census->variables[i]))
                continue;
            best = &census->variables[i];
            *out_bytes = bytes;
        }
    }
    return best;
}

bool vg_holder_is_in_module(const struct vg_run_failure *failure,
                            const struct vg_census_variable *variable)
{
    const struct vg_census *const census = vg_holder_census(failure);
    return census && census->in_module[index_of(census, variable)];
}

enum vg_holder_whose vg_holder_whose(const struct vg_run_failure *failure,
                                     const struct vg_census_variable *variable)
{
    if (is_inside_module_call(failure, variable))
        return VG_HOLDER_FORWARD_PASS;
    return vg_holder_is_librarys(variable) ? VG_HOLDER_LIBRARY : VG_HOLDER_PROGRAM;
}

const struct vg_census_variable *vg_holder_of_traceback(const struct vg_run_failure *failure,
                                                        uint64_t at_least_bytes)
{
    const struct vg_census *const census = vg_holder_census(failure);
    const struct vg_census_variable *best = NULL;
    for (uint32_t i = 0; census && i < census->variable_count; i++) {
        const struct vg_census_variable *const variable = &census->variables[i];
        if (variable->traceback.bytes > 0 && variable->traceback.bytes >= at_least_bytes &&
            (!best || variable->traceback.bytes > best->traceback.bytes))
            best = variable;
    }
    return best;
}

/* A tensor that leads to a graph is one that a forward pass has made: its output, which the program
 * has in a variable while it makes the loss or goes back. */
static bool is_output(const struct vg_census_variable *variable)
{
    return strcmp(variable->type, "Tensor") == 0 && variable->graph.bytes > 0 &&
           variable->traceback.bytes == 0;
}

/* Does it hold what the forward and backward passes under way need? */
static bool is_of_passes(const struct vg_run_failure *failure,
                         const struct vg_census_variable *variable)
{
    return is_inside_module_call(failure, variable) || is_output(variable);
}

/* What it reaches through graphs is of a kind of its own, where no variable has it. */
static uint64_t held_for_passes(const struct vg_run_failure *failure,
                                const struct vg_census_variable *variable)
{
    return is_inside_module_call(failure, variable)
               ? vg_holder_kept_bytes(variable)
               : subtract_bytes(variable->direct.bytes, variable->model.bytes);
}

uint64_t vg_holder_activation_bytes(const struct vg_run_failure *failure)
{
    const struct vg_census *const census = vg_holder_census(failure);
    if (!census)
        return 0;
    /* What such a variable reaches through graphs may be of either kind: no more than both. */
    const uint64_t most_bytes =
        census->kinds[VG_CENSUS_GRAPH].bytes + census->kinds[VG_CENSUS_OTHER].bytes;
    uint64_t bytes = census->kinds[VG_CENSUS_GRAPH].bytes;
    for (uint32_t i = 0; i < census->variable_count; i++)
        if (is_of_passes(failure, &census->variables[i]))
            bytes += held_for_passes(failure, &census->variables[i]);
    return bytes < most_bytes ? bytes : most_bytes;
}

static bool is_outermost(const struct vg_census_module *module)
{
    return module->depth == 0 && module->amount[VG_CENSUS_PARAMETER].bytes > 0;
}

const struct vg_census_module *vg_holder_model_twice(const struct vg_run_failure *failure)
{
    const struct vg_census *const census = vg_holder_census(failure);
    for (uint32_t i = 0; census && i < census->module_count; i++) {
        const struct vg_census_module *const first = &census->modules[i];
        for (uint32_t k = i + 1; is_outermost(first) && k < census->module_count; k++) {
            const struct vg_census_module *const second = &census->modules[k];
            if (is_outermost(second) && strcmp(first->path, second->path) == 0 &&
                first->amount[VG_CENSUS_PARAMETER].bytes ==
                    second->amount[VG_CENSUS_PARAMETER].bytes)
                return second;
        }
    }
    return NULL;
}

enum vg_census_kind vg_holder_largest_kind(const struct vg_run_failure *failure)
{
    const struct vg_census *const census = vg_holder_census(failure);
    if (!census)
        return VG_CENSUS_KINDS;
    enum vg_census_kind best = 0;
    for (enum vg_census_kind kind = 0; kind < VG_CENSUS_KINDS; kind++)
        if (census->kinds[kind].bytes > census->kinds[best].bytes)
            best = kind;
    return best;
}

/* What the forward and backward passes under way hold of what a line has made. */
static uint64_t activations_of_line(const struct vg_run_failure *failure,
                                    const struct vg_census *census,
                                    const struct vg_census_line *line)
{
    uint64_t bytes = line->kind_bytes[VG_CENSUS_GRAPH];
    for (uint32_t i = 0; i < census->variable_count; i++)
        if (is_of_passes(failure, &census->variables[i]))
            bytes += line->held[i].direct_bytes;
    return bytes;
}

static uint64_t made_by_line(const struct vg_run_failure *failure, const struct vg_census *census,
                             const struct vg_census_line *line, enum vg_holder_part part,
                             const struct vg_census_variable *variable)
{
    const size_t i = variable ? index_of(census, variable) : 0;
    switch (part) {
    case VG_HELD_KEPT: return line->held[i].direct_bytes + line->held[i].graph_bytes;
    case VG_HELD_BY_GRAPH: return line->held[i].graph_bytes;
    case VG_HELD_BY_TRACEBACK: return line->held[i].traceback_bytes;
    case VG_HELD_AS_GARBAGE: return line->garbage_bytes;
    case VG_HELD_AS_ACTIVATIONS: return activations_of_line(failure, census, line);
    }
    return 0;
}

const struct vg_run_line *vg_holder_origin(const struct vg_run_failure *failure,
                                           enum vg_holder_part part,
                                           const struct vg_census_variable *variable,
                                           uint64_t *out_bytes)
{
    const struct vg_census *const census = vg_holder_census(failure);
    const struct vg_run_line *best = NULL;
    *out_bytes = 0;
    for (uint32_t i = 0; census && failure->census_lines && i < census->line_count; i++) {
        const uint64_t bytes = made_by_line(failure, census, &census->lines[i], part, variable);
        if (bytes > *out_bytes) {
            *out_bytes = bytes;
            best = &failure->census_lines[i];
        }
    }
    return best;
}

bool vg_holder_stack_is_in(const struct vg_run_failure *failure, const char *part)
{
    for (uint32_t i = 0; i < failure->stack.frame_count; i++)
        if ((failure->stack.frames[i].flags & VG_FRAME_PYTHON) &&
            strstr(failure->stack.frames[i].file, part))
            return true;
    return false;
}
