#include "view/advice_blocks.h"

#include <string.h>

#include "analyze/frame.h"
#include "analyze/growth.h"
#include "analyze/holder.h"
#include "analyze/torch_call.h"
#include "base/amount.h"
#include "view/line_text.h"

/* ---- an exception keeps tensors ---- */

static const struct vg_census_variable *traceback_of(const struct vg_run_failure *f)
{
    return vg_advice_blocks_hold_missing(f) ? vg_holder_of_traceback(f, vg_advice_missing_bytes(f))
                                            : NULL;
}

static bool is_pythons_last(const struct vg_census_variable *variable)
{
    return variable->place == VG_CENSUS_LIBRARY && strcmp(variable->function, "sys") == 0 &&
           strncmp(variable->path, "last_", 5) == 0;
}

/* Where Python code of a thread of its own fails after the main thread has ended with a traceback,
 * that exception is of the same failure, and no earlier one. (The threads of PyTorch's autograd
 * have no Python frames.) */
static bool runs_in_a_python_thread(const struct vg_run_failure *f)
{
    bool has_python = false;
    for (uint32_t i = 0; i < f->stack.frame_count && !has_python; i++)
        has_python = f->stack.frames[i].flags & VG_FRAME_PYTHON;
    return has_python && f->thread_id != 0 && f->thread_id != (uint32_t)f->process->pid;
}

bool vg_advice_is_of_this_failure(const struct vg_run_failure *f,
                                  const struct vg_census_variable *variable)
{
    return is_pythons_last(variable) && runs_in_a_python_thread(f);
}

static bool traceback_applies(const struct vg_run_failure *f)
{
    const struct vg_census_variable *const variable = traceback_of(f);
    return variable && !vg_advice_is_of_this_failure(f, variable) &&
           variable->traceback.bytes >= f->torch.allocated_bytes / 4 &&
           vg_advice_outweighs_others(f, variable->traceback.bytes);
}

static void traceback_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_census_variable *const variable = traceback_of(f);
    vg_text_add(out, "an earlier exception keeps the frames it went through, and these hold ");
    vg_text_addf(out, "%s of tensors: ", VG_AMOUNT(variable->traceback.bytes));
    vg_line_add_variable(out, variable);
    vg_advice_add_origin(f, VG_HELD_BY_TRACEBACK, variable, out);
    vg_text_add(out, ".");
}

/* What keeps it is a variable. */
static void add_delete(struct vg_text *out, const struct vg_census_variable *variable)
{
    vg_text_add(out, "delete the exception: del ");
    vg_line_add_variable_path(out, variable);
    if (is_pythons_last(variable))
        vg_text_add(out, " (and sys.last_traceback, sys.last_exc); or restart the kernel");
    else
        vg_text_add(out, "; or call what may fail again outside of the `except` block");
}

/* What keeps it has other things, too, as the results of trials of which some have failed. */
static void add_keep_text(struct vg_text *out, const struct vg_census_variable *variable)
{
    vg_text_add(out, "keep in ");
    vg_line_add_variable_name(out, variable);
    vg_text_add(out,
                " only what you need of an exception, as str(error), and neither itself nor an "
                "object that has it");
}

/* A variable of a library's function, which the program cannot delete. Those that end a `with`
 * statement are given the exception that leaves it, and may wait, as for a pool's threads. */
static void add_let_return(struct vg_text *out, const struct vg_census_variable *variable)
{
    const char *const function = variable->function;
    if (vg_text_ends_with(function, "__exit__") || vg_text_ends_with(function, "__aexit__"))
        vg_text_addf(out,
                     "catch the exception inside the `with` block that it leaves: %s has it until "
                     "it returns",
                     function);
    else
        vg_text_addf(out, "let %s return first: it has the exception until then", function);
}

void vg_advice_add_delete_exception(struct vg_text *out, const struct vg_census_variable *variable)
{
    switch (variable->place) {
    case VG_CENSUS_HANDLED:
        vg_text_add(out,
                    "leave the `except` block before you try again: set a flag in it (failed = "
                    "True), and call what may fail again after it; until then Python keeps the "
                    "exception, also without a name");
        return;
    case VG_CENSUS_HANDLED_ELSEWHERE:
        vg_text_add(out,
                    "let that thread leave the `except` block before it waits or goes on: set a "
                    "flag in it (failed = True), and do the rest after it; until then Python "
                    "keeps the exception, also without a name; where a `with` or `finally` waits, "
                    "catch the exception inside it");
        return;
    case VG_CENSUS_WORK:
        vg_text_add(out, strcmp(variable->type, "generator") == 0
                             ? "let that generator keep no exception where it yields: no `yield` "
                               "in its `except` block, and no variable that has one"
                             : "keep what you need of an exception, as str(error), and not itself, "
                               "which keeps the frames that it went through");
        return;
    default:
        if (variable->place == VG_CENSUS_LOCAL && vg_frame_is_library_path(variable->file))
            add_let_return(out, variable);
        else if (variable->length >= 0)
            add_keep_text(out, variable);
        else
            add_delete(out, variable);
    }
}

static void traceback_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    vg_advice_add_delete_exception(out, traceback_of(f));
}

/* ---- objects that only refer to each other ---- */

static bool garbage_applies(const struct vg_run_failure *f)
{
    const struct vg_census *const census = vg_holder_census(f);
    return census && census->garbage.bytes > 0 && vg_advice_blocks_hold_missing(f) &&
           census->garbage.bytes >= vg_advice_missing_bytes(f) &&
           census->garbage.bytes >= f->torch.allocated_bytes / 4 &&
           vg_advice_outweighs_others(f, census->garbage.bytes);
}

static void garbage_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_census *const census = vg_holder_census(f);
    vg_text_addf(out, "%s in %llu tensors is garbage: only objects that refer to each other",
                 VG_AMOUNT(census->garbage.bytes), (unsigned long long)census->garbage.blocks);
    if (census->garbage_type[0])
        vg_text_addf(out, " (%s)", census->garbage_type);
    vg_text_add(out, " lead to them, and these stay until Python's garbage collector runs");
    vg_advice_add_origin(f, VG_HELD_AS_GARBAGE, NULL, out);
    vg_text_add(out, ".");
}

static void garbage_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    const bool is_exception = vg_holder_census(f)->garbage_is_exception;
    vg_text_add(out,
                "run the collector in time: import gc; gc.collect() after each step; or cut "
                "the cycle: ");
    vg_text_add(out, is_exception ? "a variable that keeps an exception beyond its `except` block "
                                    "keeps the frames that it went through: del that variable"
                                  : "set the attribute that closes it to None, or make it a "
                                    "weakref.ref()");
}

/* ---- results that pile up ---- */

static const struct vg_census_variable *results_of(const struct vg_run_failure *f,
                                                   enum vg_holder_results wanted)
{
    return vg_advice_blocks_hold_missing(f)
               ? vg_holder_of_results(f, wanted, vg_advice_missing_bytes(f))
               : NULL;
}

static const struct vg_census_variable *graphs_of(const struct vg_run_failure *f)
{
    return results_of(f, VG_RESULTS_WITH_GRAPHS);
}

static bool kept_graphs_applies(const struct vg_run_failure *f)
{
    const struct vg_census_variable *const variable = graphs_of(f);
    return variable && vg_advice_outweighs_others(f, vg_holder_kept_bytes(variable));
}

/* A list of losses for one backward pass looks like a leak as long as none has run. */
static bool are_of_earlier_steps(const struct vg_run_failure *f)
{
    return vg_holder_steps(f, graphs_of(f)) == VG_STEPS_SEVERAL;
}

static void kept_graphs_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_census_variable *const variable = graphs_of(f);
    const bool is_earlier = are_of_earlier_steps(f), piles_up = vg_holder_piles_up(f, variable);
    vg_text_add(out, is_earlier && vg_holder_grows(f, variable) ? "a leak: " : "");
    vg_line_add_variable(out, variable);
    if (is_earlier)
        vg_text_addf(out,
                     " keeps results of earlier steps, and with the autograd graphs behind them "
                     "they hold %s",
                     VG_AMOUNT(vg_holder_kept_bytes(variable)));
    else
        vg_text_addf(out, "%s %s%s, most of it through the autograd graphs of its entries",
                     piles_up ? " keeps more and more:" : " keeps",
                     VG_AMOUNT(vg_holder_kept_bytes(variable)), piles_up ? " by now" : " alive");
    vg_advice_add_origin(f, VG_HELD_KEPT, variable, out);
    vg_text_add(out, ".");
}

static void add_detaching(const struct vg_run_failure *f, struct vg_text *out)
{
    vg_text_add(out, "put x.detach() into ");
    vg_line_add_variable_name(out, graphs_of(f));
    vg_text_add(out, " instead of x, or only what you need of it: x.item(), x.detach().cpu()");
}

static void kept_graphs_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    if (are_of_earlier_steps(f)) {
        add_detaching(f, out);
        return;
    }
    vg_text_add(out, "if these are results of steps that are over: ");
    add_detaching(f, out);
    vg_text_add(out,
                "; evaluate under torch.no_grad(); if one backward pass is to go through all of "
                "them: backward() for a few at a time");
}

/* ---- steps that hang together ---- */

static const struct vg_census_variable *chain_of(const struct vg_run_failure *f, uint32_t *out_uses)
{
    return vg_advice_blocks_hold_missing(f)
               ? vg_holder_of_chain(f, vg_advice_missing_bytes(f), out_uses)
               : NULL;
}

static bool chained_graph_applies(const struct vg_run_failure *f)
{
    uint32_t uses;
    const struct vg_census_variable *const variable = chain_of(f, &uses);
    return variable && vg_advice_outweighs_others(f, vg_holder_kept_bytes(variable));
}

static void chained_graph_why(const struct vg_run_failure *f, struct vg_text *out)
{
    uint32_t uses;
    const struct vg_census_variable *const variable = chain_of(f, &uses);
    vg_line_add_variable(out, variable);
    vg_text_addf(out,
                 " keeps %s alive through its autograd graph, in which each parameter is used %u "
                 "times",
                 VG_AMOUNT(variable->graph.bytes), uses);
    vg_advice_add_origin(f, VG_HELD_BY_GRAPH, variable, out);
    vg_text_add(out, ".");
}

static void chained_graph_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    uint32_t uses;
    vg_text_add(out,
                "if each use is a step of its own, do not carry graphs from one to the next: "
                "add x.item() to a sum, assign x.detach() to ");
    vg_line_add_variable_name(out, chain_of(f, &uses));
    vg_text_add(out,
                "; if they are all of one forward pass: shorter sequences, a smaller batch or "
                "activation checkpointing");
}

/* ---- a graph of an earlier step ---- */

static const struct vg_census_variable *earlier_graph_of(const struct vg_run_failure *f,
                                                         uint64_t *out_bytes)
{
    return vg_advice_blocks_hold_missing(f)
               ? vg_holder_of_earlier_graph(f, vg_advice_missing_bytes(f), out_bytes)
               : NULL;
}

static bool earlier_graph_applies(const struct vg_run_failure *f)
{
    uint64_t bytes;
    return earlier_graph_of(f, &bytes) != NULL;
}

static void earlier_graph_why(const struct vg_run_failure *f, struct vg_text *out)
{
    uint64_t bytes;
    const struct vg_census_variable *const variable = earlier_graph_of(f, &bytes);
    vg_text_add(out, "while a forward pass runs, ");
    vg_line_add_variable(out, variable);
    vg_text_addf(out,
                 " still keeps the autograd graph of an earlier one, with %s, though a backward "
                 "pass has begun since",
                 VG_AMOUNT(bytes));
    vg_advice_add_origin(f, VG_HELD_BY_GRAPH, variable, out);
    vg_text_add(out, ".");
}

static void earlier_graph_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    uint64_t bytes;
    const struct vg_census_variable *const variable = earlier_graph_of(f, &bytes);
    vg_text_add(out, "if no other backward pass is to go through ");
    vg_line_add_variable_name(out, variable);
    vg_text_add(out, ": backward() without retain_graph=True; or, before the next forward pass, ");
    vg_line_add_variable_path(out, variable);
    vg_text_add(out, " = ");
    vg_line_add_variable_path(out, variable);
    vg_text_add(out, ".detach(); else a smaller batch");
}

/* ---- results without graphs ---- */

/* A load keeps all that it takes, too. */
static bool is_loading(const struct vg_run_failure *f)
{
    const uint64_t weights_bytes =
        f->checkpoint.file_count > 0 ? f->checkpoint.f32_bytes + f->checkpoint.half_bytes : 0;
    return weights_bytes > 0 && vg_amount_known(weights_bytes) &&
           f->torch.allocated_bytes <= 2 * weights_bytes + weights_bytes / 4;
}

static const struct vg_census_variable *growing_of(const struct vg_run_failure *f)
{
    return is_loading(f) ? NULL : results_of(f, VG_RESULTS_GROWING);
}

static bool kept_results_applies(const struct vg_run_failure *f)
{
    const struct vg_census_variable *const variable = growing_of(f);
    return variable && vg_advice_outweighs_others(f, vg_holder_kept_bytes(variable));
}

static void kept_results_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_census_variable *const variable = growing_of(f);
    vg_line_add_variable(out, variable);
    vg_text_addf(out, " keeps more and more, by now %s of tensors on the GPU",
                 VG_AMOUNT(vg_holder_kept_bytes(variable)));
    vg_advice_add_origin(f, VG_HELD_KEPT, variable, out);
    vg_text_add(out, ".");
}

static void kept_results_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    vg_text_add(out,
                "keep on the GPU only what is still needed there: remove finished entries "
                "from ");
    vg_line_add_variable_name(out, growing_of(f));
    vg_text_add(out, ", or put x.cpu() into it instead of x");
    if (vg_holder_stack_is_in(f, "/transformers/trainer"))
        vg_text_add(out, " (Trainer: eval_accumulation_steps)");
}

/* ---- outputs that transformers' Trainer gathers ---- */

static const struct vg_census_variable *outputs_of(const struct vg_run_failure *f)
{
    return vg_advice_blocks_hold_missing(f) ? vg_holder_of_evaluation(f, vg_advice_missing_bytes(f))
                                            : NULL;
}

static bool evaluation_applies(const struct vg_run_failure *f)
{
    const struct vg_census_variable *const variable = outputs_of(f);
    return variable && vg_advice_is_most(f, vg_holder_kept_bytes(variable)) &&
           vg_advice_outweighs_others(f, vg_holder_kept_bytes(variable));
}

static void evaluation_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_census_variable *const variable = outputs_of(f);
    vg_text_add(out,
                "the Trainer keeps the outputs of all batches on the GPU until the evaluation "
                "ends: ");
    vg_line_add_variable(out, variable);
    vg_text_addf(out, " holds %s of PyTorch's %s.", VG_AMOUNT(vg_holder_kept_bytes(variable)),
                 VG_AMOUNT(f->torch.allocated_bytes));
}

static void evaluation_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    (void)f;
    vg_text_add(out,
                "TrainingArguments(eval_accumulation_steps=1), which moves them to host memory "
                "after each batch; Trainer(preprocess_logits_for_metrics=...) keeps of them only "
                "what the metrics need");
}

/* ---- data that a variable holds ---- */

static bool held_data_applies(const struct vg_run_failure *f)
{
    const struct vg_census_variable *const variable = results_of(f, VG_RESULTS_ANY);
    return variable && !vg_holder_keeps_graphs(variable);
}

static void held_data_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_census_variable *const variable = results_of(f, VG_RESULTS_ANY);
    vg_line_add_variable(out, variable);
    vg_text_addf(out, " holds %s of tensors on the GPU, of PyTorch's %s",
                 VG_AMOUNT(vg_holder_kept_bytes(variable)), VG_AMOUNT(f->torch.allocated_bytes));
    vg_advice_add_origin(f, VG_HELD_KEPT, variable, out);
    vg_text_add(out, ".");
}

static void held_data_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    vg_text_add(out, "keep in ");
    vg_line_add_variable_name(out, results_of(f, VG_RESULTS_ANY));
    vg_text_add(out,
                " only what the GPU needs now, and the rest on the host: x.cpu(), and x.cuda() "
                "when it is needed");
}

/* ---- a line that keeps more and more, holder unknown ---- */

/* A model on its way keeps all that it takes, too: it is moved or converted layer by layer, or its
 * modules are made. */
static bool may_be_a_model(const struct vg_run_failure *f, const struct vg_run_site *site)
{
    const struct vg_census_variable *const holder = vg_holder_of_site(f, site);
    return vg_torch_call_is_models_move(site->called) ||
           (holder && vg_holder_is_in_module(f, holder) &&
            strcmp(vg_frame_short_name(site->own.function), "__init__") == 0);
}

/* Does what is known of who holds what the line made speak for growth? */
static bool grows_in_holder(const struct vg_run_failure *f, const struct vg_run_site *site)
{
    const struct vg_census_variable *const holder = vg_holder_of_site(f, site);
    if (!holder)
        return site->oldest_ns >= VG_HOLDER_STEP_NS &&
               !(vg_growth_came_at_once(site) &&
                 vg_holder_may_be_a_load(f, site->live_count, site->oldest_ns));
    return vg_holder_whose(f, holder) != VG_HOLDER_FORWARD_PASS && vg_holder_grows(f, holder);
}

static const struct vg_run_site *growing_site(const struct vg_run_failure *f)
{
    const struct vg_run_sites *const sites = &f->device.sites[VG_LEVEL_BLOCKS];
    for (uint32_t i = 0; vg_advice_blocks_hold_missing(f) && i < sites->count && i < 8; i++) {
        const struct vg_run_site *const site = &sites->entries[i];
        if (site->own.file[0] && site->growth.kind == VG_GROWTH_STEADY &&
            site->growth.kept_bytes >= vg_advice_missing_bytes(f) &&
            site->live_bytes >= f->torch.allocated_bytes / 4 && !may_be_a_model(f, site) &&
            grows_in_holder(f, site))
            return site;
    }
    return NULL;
}

static bool growing_line_applies(const struct vg_run_failure *f)
{
    const enum vg_census_kind kind = vg_holder_largest_kind(f);
    return (kind == VG_CENSUS_OTHER || kind == VG_CENSUS_KINDS) && !is_loading(f) &&
           growing_site(f);
}

static void growing_line_why(const struct vg_run_failure *f, struct vg_text *out)
{
    const struct vg_run_site *const site = growing_site(f);
    vg_line_add(out, &site->own);
    vg_text_addf(out, " keeps more and more: %s in %llu tensors by now, over ",
                 VG_AMOUNT(site->live_bytes), (unsigned long long)site->live_count);
    vg_amount_add_duration(out, site->oldest_ns);
    const struct vg_census_variable *const holder = vg_holder_of_site(f, site);
    if (!holder) {
        vg_text_add(out, "; which variable keeps them is not known.");
        return;
    }
    vg_text_add(out, "; ");
    vg_line_add_variable(out, holder);
    vg_text_add(out, " leads to them.");
}

bool vg_advice_add_bounding(const struct vg_run_failure *f, const struct vg_run_site *site,
                            struct vg_text *out)
{
    const struct vg_census_variable *const holder = vg_holder_of_site(f, site);
    if (!holder)
        return false;
    if (strcmp(holder->type, "_lru_cache_wrapper") == 0) {
        vg_text_add(out, "bound what ");
        vg_line_add_variable_name(out, holder);
        vg_text_add(out, " caches: functools.lru_cache(maxsize=N); or empty it: ");
        vg_line_add_variable_path(out, holder);
        vg_text_add(out, ".cache_clear()");
        return true;
    }
    if (strcmp(holder->type, "cycle") == 0) {
        vg_text_add(out,
                    "itertools.cycle keeps all that its first round gives: make a new iterator "
                    "for each round instead: while True: yield from loader");
        return true;
    }
    return false;
}

static void growing_line_advice(const struct vg_run_failure *f, struct vg_text *out)
{
    if (vg_advice_add_bounding(f, growing_site(f), out))
        return;
    vg_text_add(out,
                "look for what keeps the results of this line: keep numbers (x.item()), "
                "tensors without their graph (x.detach()), or move them to the host (x.cpu())");
}

const struct vg_advice_row vg_advice_traceback = { "traceback", traceback_applies, traceback_why,
                                                   traceback_advice };
const struct vg_advice_row vg_advice_garbage = { "garbage", garbage_applies, garbage_why,
                                                 garbage_advice };
const struct vg_advice_row vg_advice_kept_graphs = { "kept-graphs", kept_graphs_applies,
                                                     kept_graphs_why, kept_graphs_advice };
const struct vg_advice_row vg_advice_chained_graph = { "chained-graph", chained_graph_applies,
                                                       chained_graph_why, chained_graph_advice };
const struct vg_advice_row vg_advice_kept_results = { "kept-results", kept_results_applies,
                                                      kept_results_why, kept_results_advice };
const struct vg_advice_row vg_advice_earlier_graph = { "earlier-graph", earlier_graph_applies,
                                                       earlier_graph_why, earlier_graph_advice };
const struct vg_advice_row vg_advice_evaluation = { "evaluation", evaluation_applies,
                                                    evaluation_why, evaluation_advice };
const struct vg_advice_row vg_advice_held_data = { "held-data", held_data_applies, held_data_why,
                                                   held_data_advice };
const struct vg_advice_row vg_advice_growing_line = { "growing-line", growing_line_applies,
                                                      growing_line_why, growing_line_advice };
