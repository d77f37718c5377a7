/* Causes in PyTorch's blocks: each applies where its condition was measured, and not where
 * something looks like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "analyze/census.h"
#include "view/advice_blocks.h"
#include "view/advice_graphs.h"
#include "view/advice_waste.h"

#define MIB (UINT64_C(1) << 20)

static struct vg_census census;
static struct vg_run_failure failure;
static struct vg_run_site sites[2];
static struct vg_run_frame frames[2];
static struct vg_run_line lines[2];
static char text_data[VG_ADVICE_TEXT_CAP];

/* 1000 MiB of tensors, 20 MiB asked, 8 MiB free; net.py:11 made 600 MiB of them. */
static int prepare(void **state)
{
    (void)state;
    memset(&census, 0, sizeof census);
    memset(&failure, 0, sizeof failure);
    memset(sites, 0, sizeof sites);
    census.state = VG_CENSUS_COMPLETE;
    census.total = (struct vg_census_amount){ 1000 * MIB, 300 };
    sites[0].live_bytes = 600 * MIB;
    sites[0].live_count = 60;
    sites[0].own = (struct vg_run_line){
        .path = "/p/net.py", .file = "net.py", .line = 11, .function = "Mix.forward", .text = ""
    };
    sites[0].caller = (struct vg_run_line){ .path = "", .file = "", .function = "", .text = "" };
    sites[0].label = sites[0].called = "";
    frames[0] = (struct vg_run_frame){ .module = "",
                                       .function = "step",
                                       .file = "/p/train.py",
                                       .line = 25,
                                       .flags = VG_FRAME_PYTHON };
    frames[1] = (struct vg_run_frame){ .module = "",
                                       .function = "_init_group",
                                       .file = "/p/other.py",
                                       .flags = VG_FRAME_PYTHON | VG_FRAME_LIBRARY };
    failure.stack.frames = frames;
    failure.stack.frame_count = 2;
    failure.api = "cuMemAlloc_v2";
    failure.own = sites[0].own;
    failure.asked_bytes = 20 * MIB;
    failure.device.gpu.total_bytes = 1100 * MIB;
    failure.device.gpu.free_bytes = 8 * MIB;
    failure.device.live_bytes = 1020 * MIB;
    failure.device.self_bytes = failure.device.others_bytes = VG_BYTES_UNKNOWN;
    failure.device.sites[VG_LEVEL_BLOCKS] =
        (struct vg_run_sites){ .count = 1, .entries = sites, .is_known = true };
    failure.torch = (struct vg_run_torch){ .loaded = true,
                                           .settings = "",
                                           .tells_blocks = true,
                                           .allocated_bytes = 1000 * MIB,
                                           .reserved_bytes = 1020 * MIB,
                                           .block_count = 300 };
    lines[0] = sites[0].own;
    lines[1] = (struct vg_run_line){
        .path = "/p/net.py", .file = "net.py", .line = 12, .function = "Mix.forward", .text = ""
    };
    failure.census_lines = lines;
    failure.census = &census;
    failure.census_bytes = sizeof census;
    failure.census_format = VG_CENSUS_FORMAT;
    return 0;
}

static const char *why_of(const struct vg_advice_row *row)
{
    struct vg_text text = vg_text_over(text_data, sizeof text_data);
    row->cause(&failure, &text);
    return text_data;
}

static const char *advice_of(const struct vg_advice_row *row)
{
    struct vg_text text = vg_text_over(text_data, sizeof text_data);
    row->advice(&failure, &text);
    return text_data;
}

/* Of what it holds directly and of what by graphs, net.py:11 has made up to 600 MiB each. */
static struct vg_census_variable *add_history(uint64_t direct_bytes, uint64_t graph_bytes)
{
    const uint64_t most = 600 * MIB;
    census.line_count = 2;
    census.lines[0].held[census.variable_count].direct_bytes =
        direct_bytes < most ? direct_bytes : most;
    census.lines[0].held[census.variable_count].graph_bytes =
        graph_bytes < most ? graph_bytes : most;
    struct vg_census_variable *const variable = &census.variables[census.variable_count++];
    snprintf(variable->path, sizeof variable->path, "history");
    snprintf(variable->function, sizeof variable->function, "main");
    snprintf(variable->file, sizeof variable->file, "/p/train.py");
    snprintf(variable->type, sizeof variable->type, "list");
    variable->place = VG_CENSUS_LOCAL;
    variable->length = 70;
    variable->line = 38;
    variable->direct.bytes = direct_bytes;
    variable->graph.bytes = graph_bytes;
    return variable;
}

/* The first variable's blocks came one by one with each step, up to now. */
static void let_it_grow(void)
{
    census.histories[0] = (struct vg_census_history){ .blocks = 72,
                                                      .oldest_count = 720,
                                                      .newest_count = 5,
                                                      .since_ns = 1000000,
                                                      .pauses = 71,
                                                      .made = { 9, 9, 9, 9, 9, 9, 9, 9 } };
}

static void results_with_their_graphs_are_a_leak(void **state)
{
    (void)state;
    add_history(MIB, 900 * MIB);
    let_it_grow();
    census.histories[0].passes = 70;
    assert_true(vg_advice_kept_graphs.applies(&failure));
    assert_false(vg_advice_kept_results.applies(&failure));
    assert_string_equal(
        why_of(&vg_advice_kept_graphs),
        "a leak: `history` (list of 70, train.py:38 main) keeps results of earlier "
        "steps, and with the autograd graphs behind them they hold 901 MiB; 601 MiB "
        "comes from net.py:11 Mix.forward.");
    assert_non_null(strstr(advice_of(&vg_advice_kept_graphs), "x.detach() into `history`"));
}

static void graphs_that_no_backward_pass_has_seen_may_be_of_one_step(void **state)
{
    (void)state;
    add_history(MIB, 900 * MIB);
    let_it_grow();
    assert_true(vg_advice_kept_graphs.applies(&failure));
    assert_string_equal(why_of(&vg_advice_kept_graphs),
                        "`history` (list of 70, train.py:38 main) keeps more and more: 901 MiB by "
                        "now, most of it through the autograd graphs of its entries; 601 MiB comes "
                        "from net.py:11 Mix.forward.");
    assert_non_null(strstr(advice_of(&vg_advice_kept_graphs), "; if one backward pass is to go"));
    assert_null(strstr(advice_of(&vg_advice_kept_graphs), "smaller batch"));
    census.histories[0].pauses = 34; /* of 72: most have come together */
    assert_non_null(strstr(why_of(&vg_advice_kept_graphs), " keeps 901 MiB alive, most of it "));
    census.histories[0].pauses = 71;
    census.histories[0].passes = 70;
    census.histories[0].made[0] = 72; /* it has kept as many for long */
    assert_null(strstr(why_of(&vg_advice_kept_graphs), "a leak"));
    assert_non_null(strstr(text_data, "of earlier steps"));
    census.histories[0].backward_blocks = 30; /* gradients are trained */
    assert_null(strstr(why_of(&vg_advice_kept_graphs), "of earlier steps"));
}

static void a_graph_that_uses_each_parameter_several_times(void **state)
{
    (void)state;
    struct vg_census_variable *const total = add_history(MIB, 900 * MIB);
    snprintf(total->path, sizeof total->path, "total");
    snprintf(total->type, sizeof total->type, "Tensor");
    total->length = -1;
    assert_false(vg_advice_chained_graph.applies(&failure)); /* once: of one forward pass */
    census.graph_uses[0] = 13;
    assert_true(vg_advice_chained_graph.applies(&failure));
    assert_string_equal(why_of(&vg_advice_chained_graph),
                        "`total` (Tensor, train.py:38 main) keeps 900 MiB alive through its "
                        "autograd graph, in which each parameter is used 13 times; 600 MiB comes "
                        "from net.py:11 Mix.forward.");
    assert_non_null(strstr(advice_of(&vg_advice_chained_graph),
                           "add x.item() to a sum, assign x.detach() to "
                           "`total`; if they are all of one forward"));
    total->graph.bytes = 5 * MIB; /* less than what is missing */
    assert_false(vg_advice_chained_graph.applies(&failure));
    total->graph.bytes = 900 * MIB;
    total->length = 70; /* a container of results has a row of its own */
    assert_false(vg_advice_chained_graph.applies(&failure));
    assert_true(vg_advice_kept_graphs.applies(&failure));
}

static void what_no_container_holds_is_told_by_the_variable(void **state)
{
    (void)state;
    sites[0].growth.kind = VG_GROWTH_STEADY;
    sites[0].growth.kept_bytes = 500 * MIB;
    sites[0].oldest_ns = UINT64_C(60) * 1000000000;
    census.kinds[VG_CENSUS_OTHER] = (struct vg_census_amount){ 1000 * MIB, 300 };
    assert_true(vg_advice_growing_line.applies(&failure));
    assert_non_null(strstr(why_of(&vg_advice_growing_line), "which variable keeps them is not"));
    struct vg_census_variable *const step = add_history(590 * MIB, 0);
    assert_false(vg_advice_growing_line.applies(&failure)); /* it came to it otherwise */
    let_it_grow();
    snprintf(step->path, sizeof step->path, "step");
    snprintf(step->type, sizeof step->type, "function");
    step->length = -1;
    assert_non_null(strstr(why_of(&vg_advice_growing_line),
                           "; `step` (function, train.py:38 main) leads to them."));
    sites[0].oldest_ns = 1000000; /* steps need no time where that is known */
    assert_true(vg_advice_growing_line.applies(&failure));
    census.in_forward[0] = true;
    assert_false(vg_advice_growing_line.applies(&failure));
    census.in_forward[0] = false;
    census.lines[0].held[0].direct_bytes = 200 * MIB; /* what `step` holds is of other lines */
    assert_false(vg_advice_growing_line.applies(&failure));
    sites[0].oldest_ns = UINT64_C(60) * 1000000000;
    assert_non_null(strstr(why_of(&vg_advice_growing_line), "is not known"));
}

static void results_without_graphs_pile_up(void **state)
{
    (void)state;
    add_history(900 * MIB, 0);
    let_it_grow();
    assert_true(vg_advice_kept_results.applies(&failure));
    assert_false(vg_advice_kept_graphs.applies(&failure));
    assert_non_null(strstr(why_of(&vg_advice_kept_results), "keeps more and more"));
    assert_null(strstr(advice_of(&vg_advice_kept_results), "detach"));
    failure.checkpoint.file_count = 1; /* a load that is under way */
    failure.checkpoint.f32_bytes = 1200 * MIB;
    assert_false(vg_advice_kept_results.applies(&failure));
}

static void what_has_stopped_to_grow_is_held_and_no_leak(void **state)
{
    (void)state;
    add_history(900 * MIB, 0);
    sites[0].growth.kind = VG_GROWTH_STEADY; /* the largest line makes something else */
    let_it_grow();
    census.histories[0].pauses = 0;
    assert_false(vg_advice_kept_results.applies(&failure));
    assert_true(vg_advice_held_data.applies(&failure));
    assert_non_null(strstr(why_of(&vg_advice_held_data), " holds 900 MiB"));
    assert_null(strstr(text_data, "more and more"));
}

static void without_pytorchs_blocks_nothing_is_said_of_them(void **state)
{
    (void)state;
    add_history(MIB, 900 * MIB);
    failure.torch.tells_blocks = false;
    assert_false(vg_advice_kept_graphs.applies(&failure));
    failure.torch.tells_blocks = true;
    failure.device.gpu.free_bytes = 30 * MIB; /* enough: something else is the matter */
    assert_false(vg_advice_kept_graphs.applies(&failure));
}

static void objects_that_only_refer_to_each_other_are_garbage(void **state)
{
    (void)state;
    census.garbage = (struct vg_census_amount){ .bytes = 900 * MIB, .blocks = 9 };
    snprintf(census.garbage_type, sizeof census.garbage_type, "Step");
    assert_true(vg_advice_garbage.applies(&failure));
    assert_non_null(strstr(why_of(&vg_advice_garbage),
                           "900 MiB in 9 tensors is garbage: only "
                           "objects that refer to each other (Step)"));
    assert_non_null(strstr(advice_of(&vg_advice_garbage), "gc.collect()"));
    assert_null(strstr(text_data, "exception"));
    census.garbage_is_exception = true;
    assert_non_null(strstr(advice_of(&vg_advice_garbage), "del that variable"));
    census.garbage_type[0] = '\0';
    assert_non_null(strstr(why_of(&vg_advice_garbage), "each other lead to them"));
    census.garbage.bytes = MIB; /* too little */
    assert_false(vg_advice_garbage.applies(&failure));
    census.garbage.bytes = 0;
    assert_false(vg_advice_garbage.applies(&failure));
}

static void an_exception_that_is_kept(void **state)
{
    (void)state;
    struct vg_census_variable *const last = add_history(600 * MIB, 0);
    snprintf(last->path, sizeof last->path, "last_value");
    snprintf(last->function, sizeof last->function, "sys");
    last->place = VG_CENSUS_LIBRARY;
    last->traceback.bytes = 590 * MIB;
    assert_true(vg_advice_traceback.applies(&failure));
    assert_non_null(strstr(why_of(&vg_advice_traceback), "`sys.last_value`"));
    assert_non_null(strstr(advice_of(&vg_advice_traceback), "del sys.last_value (and "));
    last->traceback.bytes = 100 * MIB; /* less than a quarter of all */
    assert_false(vg_advice_traceback.applies(&failure));
}

/* An `except` block keeps its exception without a name, too. */
static void an_exception_that_is_being_handled(void **state)
{
    (void)state;
    struct vg_census_variable *const error = add_history(600 * MIB, 0);
    error->place = VG_CENSUS_HANDLED;
    error->path[0] = '\0';
    error->length = -1;
    snprintf(error->type, sizeof error->type, "OutOfMemoryError");
    error->traceback.bytes = 590 * MIB;
    assert_true(vg_advice_traceback.applies(&failure));
    assert_non_null(strstr(why_of(&vg_advice_traceback),
                           "590 MiB of tensors: the OutOfMemoryError that train.py:38 main is "
                           "handling."));
    assert_non_null(strstr(advice_of(&vg_advice_traceback), "leave the `except` block before"));
    assert_null(strstr(text_data, "del "));
    error->file[0] = '\0';
    assert_non_null(
        strstr(why_of(&vg_advice_traceback), ": the OutOfMemoryError that is being handled."));
}

/* The main thread has printed the traceback of the failure; then the next thread fails, too. */
static void an_exception_of_the_same_failure(void **state)
{
    (void)state;
    struct vg_census_variable *const last = add_history(600 * MIB, 0);
    const struct vg_run_frame frame = { .flags = VG_FRAME_PYTHON };
    const struct vg_run_process owner = { .pid = 100 };
    failure.process = &owner;
    snprintf(last->path, sizeof last->path, "last_value");
    snprintf(last->function, sizeof last->function, "sys");
    last->place = VG_CENSUS_LIBRARY;
    last->traceback.bytes = 590 * MIB;
    failure.thread_id = 101;
    failure.stack.frame_count = 0;
    assert_true(vg_advice_traceback.applies(&failure)); /* in a thread of autograd */
    failure.stack.frames = &frame;
    failure.stack.frame_count = 1;
    assert_false(vg_advice_traceback.applies(&failure));
    failure.thread_id = 100;
    assert_true(vg_advice_traceback.applies(&failure));
}

static void of_several_wastes_the_largest_is_told(void **state)
{
    (void)state;
    struct vg_census_variable *const history = add_history(MIB, 500 * MIB);
    struct vg_census_variable *const kept = add_history(300 * MIB, 0);
    kept->length = -1;
    kept->traceback.bytes = 300 * MIB;
    assert_true(vg_advice_traceback.applies(&failure) && vg_advice_kept_graphs.applies(&failure));
    assert_ptr_equal(vg_advice_largest_waste(&vg_advice_traceback, &failure),
                     &vg_advice_kept_graphs);
    history->graph.bytes = 299 * MIB; /* both 300 MiB */
    assert_ptr_equal(vg_advice_largest_waste(&vg_advice_traceback, &failure), &vg_advice_traceback);
    census.garbage.bytes = 301 * MIB;
    assert_ptr_equal(vg_advice_largest_waste(&vg_advice_traceback, &failure), &vg_advice_garbage);
    failure.torch.graph_bytes = 600 * MIB;
    failure.torch.graph_count = 2;
    assert_ptr_equal(vg_advice_largest_waste(&vg_advice_traceback, &failure),
                     &vg_advice_graph_pools);
    failure.torch.graph_bytes = 400 * MIB; /* not most, so no cause, though more than the others */
    assert_ptr_equal(vg_advice_largest_waste(&vg_advice_traceback, &failure), &vg_advice_garbage);
    /* A row that is no waste stays. */
    assert_ptr_equal(vg_advice_largest_waste(&vg_advice_holes, &failure), &vg_advice_holes);
    history->length = -1;
    history->graph.bytes = 600 * MIB;
    census.graph_uses[0] = 13;
    assert_ptr_equal(vg_advice_largest_waste(&vg_advice_garbage, &failure),
                     &vg_advice_chained_graph);
}

static void activations_are_most(void **state)
{
    (void)state;
    census.kinds[VG_CENSUS_GRAPH].bytes = 700 * MIB;
    census.kinds[VG_CENSUS_PARAMETER].bytes = 100 * MIB;
    assert_true(vg_advice_activations.applies(&failure));
    assert_non_null(strstr(why_of(&vg_advice_activations), "700 MiB of PyTorch's 1000 MiB"));
    census.kinds[VG_CENSUS_GRAPH].bytes = 400 * MIB;
    assert_false(vg_advice_activations.applies(&failure));
}

static void two_byte_types_are_advised_where_there_are_wider_ones(void **state)
{
    (void)state;
    census.kinds[VG_CENSUS_PARAMETER].bytes = 100 * MIB;
    census.kinds[VG_CENSUS_GRAPH].bytes = 700 * MIB;
    assert_null(strstr(advice_of(&vg_advice_activations), "bfloat16")); /* unknown */
    assert_null(strstr(advice_of(&vg_advice_optimizer), "bfloat16"));
    assert_non_null(strstr(advice_of(&vg_advice_parameters), "where they are 4-byte numbers"));
    census.wide_bytes[VG_CENSUS_PARAMETER] = 60 * MIB;
    assert_non_null(strstr(advice_of(&vg_advice_activations), "bfloat16 autocast"));
    assert_non_null(strstr(advice_of(&vg_advice_optimizer), "bfloat16"));
    assert_non_null(strstr(advice_of(&vg_advice_parameters), "(dtype=torch.bfloat16, or quan"));
    census.wide_bytes[VG_CENSUS_GRAPH] = 390 * MIB;
    census.narrow_bytes[VG_CENSUS_GRAPH] = 90 * MIB;
    assert_non_null(strstr(advice_of(&vg_advice_activations), "bfloat16 autocast"));
    census.narrow_bytes[VG_CENSUS_OTHER] = 10 * MIB;
    assert_null(strstr(advice_of(&vg_advice_activations), "bfloat16"));
    census.wide_bytes[VG_CENSUS_PARAMETER] = 40 * MIB;
    census.narrow_bytes[VG_CENSUS_PARAMETER] = 60 * MIB;
    assert_null(strstr(advice_of(&vg_advice_activations), "bfloat16"));
    assert_null(strstr(advice_of(&vg_advice_optimizer), "bfloat16"));
    assert_null(strstr(advice_of(&vg_advice_parameters), "bfloat16"));
}

static void the_optimizer_is_known_by_its_state_or_its_step(void **state)
{
    (void)state;
    const struct vg_run_frame step = frames[0];
    census.kinds[VG_CENSUS_PARAMETER].bytes = 600 * MIB;
    assert_false(vg_advice_optimizer.applies(&failure));
    frames[1].file = "/v/lib/torch/optim/adam.py";
    assert_false(vg_advice_optimizer.applies(&failure)); /* a closure of the program's */
    frames[0] = frames[1];
    assert_true(vg_advice_optimizer.applies(&failure));
    assert_non_null(strstr(why_of(&vg_advice_optimizer), "state does not fit beside the model"));
    assert_non_null(strstr(text_data, "so far; it grows in "));
    assert_null(strstr(advice_of(&vg_advice_optimizer), "batch"));
    assert_null(strstr(text_data, "foreach"));
    frames[0].function = "_multi_tensor_adam";
    assert_non_null(strstr(why_of(&vg_advice_optimizer), "step does not fit beside the model"));
    assert_non_null(strstr(text_data, "state 0 B; more is asked for in "));
    assert_non_null(strstr(advice_of(&vg_advice_optimizer), "foreach=False"));
    census.kinds[VG_CENSUS_PARAMETER].bytes = 400 * MIB; /* other tensors hold more */
    assert_false(vg_advice_optimizer.applies(&failure));
    frames[0] = step;
    census.kinds[VG_CENSUS_OPTIMIZER].bytes = 500 * MIB;
    assert_true(vg_advice_optimizer.applies(&failure));
    assert_null(strstr(why_of(&vg_advice_optimizer), "does not fit beside"));
}

static void holes_are_fragmentation_only_where_they_would_do(void **state)
{
    (void)state;
    failure.torch.unused_bytes = 300 * MIB;
    failure.torch.hole_count = 30;
    failure.torch.largest_hole_bytes = 11 * MIB;
    assert_true(vg_advice_holes.applies(&failure));
    assert_non_null(strstr(advice_of(&vg_advice_holes), "expandable_segments:True"));
    failure.torch.empty_bytes = 290 * MIB; /* whole segments: PyTorch gives them back itself */
    assert_false(vg_advice_holes.applies(&failure));
    failure.torch.empty_bytes = 0;
    failure.torch.largest_hole_bytes = 20 * MIB; /* it would have been used */
    assert_false(vg_advice_holes.applies(&failure));
    failure.torch.largest_hole_bytes = 1 * MIB;
    failure.torch.settings = "PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True";
    assert_false(vg_advice_holes.applies(&failure));
    failure.torch.settings = "";
    failure.asked_bytes = 2 * MIB;
    failure.device.gpu.free_bytes = MIB;
    assert_false(vg_advice_holes.applies(&failure));
}

static void a_line_that_grows_is_told_without_a_variable(void **state)
{
    (void)state;
    sites[0].growth = (struct vg_run_growth){ .kind = VG_GROWTH_STEADY, .kept_bytes = 500 * MIB };
    sites[0].oldest_ns = UINT64_C(60) * 1000000000;
    census.kinds[VG_CENSUS_OTHER].bytes = 900 * MIB;
    assert_true(vg_advice_growing_line.applies(&failure));
    census.kinds[VG_CENSUS_PARAMETER].bytes = 950 * MIB; /* a model that is being made */
    assert_false(vg_advice_growing_line.applies(&failure));
    failure.census = NULL;
    assert_true(vg_advice_growing_line.applies(&failure));
    sites[0].oldest_ns = 1000000; /* it may be one step */
    assert_false(vg_advice_growing_line.applies(&failure));
    sites[0].oldest_ns = UINT64_C(60) * 1000000000;
    failure.checkpoint.file_count = 1; /* a load that is under way */
    failure.checkpoint.f32_bytes = 1200 * MIB;
    assert_false(vg_advice_growing_line.applies(&failure));
}

static void pytorchs_own_limit_is_told_as_such(void **state)
{
    (void)state;
    assert_false(vg_advice_torch_fraction.applies(&failure));
    failure.refused_by = VG_REFUSED_BY_PYTORCH;
    failure.torch.fraction_bytes = 275 * MIB;
    assert_true(vg_advice_torch_fraction.applies(&failure));
    assert_non_null(strstr(why_of(&vg_advice_torch_fraction), "allows this process 275 MiB"));
}

static const char *origin_of(enum vg_holder_part part, const struct vg_census_variable *variable)
{
    struct vg_text text = vg_text_over(text_data, sizeof text_data);
    vg_advice_add_origin(&failure, part, variable, &text);
    return text_data;
}

/* The line that made most of all tensors may have made none of those that are held. */
static void where_what_is_held_comes_from_is_counted(void **state)
{
    (void)state;
    const struct vg_census_variable *const other = add_history(0, 0);
    const struct vg_census_variable *const cache = add_history(590 * MIB, 200 * MIB);
    memset(census.lines, 0, sizeof census.lines);
    assert_string_equal(origin_of(VG_HELD_KEPT, cache), "");
    census.lines[1].held[1].direct_bytes = 300 * MIB;
    census.lines[1].held[1].graph_bytes = 130 * MIB;
    assert_string_equal(origin_of(VG_HELD_KEPT, cache),
                        "; 430 MiB comes from net.py:12 Mix.forward");
    assert_string_equal(origin_of(VG_HELD_BY_GRAPH, cache),
                        "; 130 MiB comes from net.py:12 Mix.forward");
    assert_string_equal(origin_of(VG_HELD_KEPT, other), "");
    assert_string_equal(origin_of(VG_HELD_BY_TRACEBACK, cache), "");
    census.lines[0].held[1].traceback_bytes = 150 * MIB;
    assert_string_equal(origin_of(VG_HELD_BY_TRACEBACK, cache),
                        "; 150 MiB comes from net.py:11 Mix.forward");
    census.lines[0].held[1].traceback_bytes = 120 * MIB; /* less than an eighth of all */
    assert_string_equal(origin_of(VG_HELD_BY_TRACEBACK, cache), "");
    census.lines[0].garbage_bytes = 250 * MIB;
    assert_string_equal(origin_of(VG_HELD_AS_GARBAGE, NULL),
                        "; 250 MiB comes from net.py:11 Mix.forward");
    lines[0].file = ""; /* a record that is cut */
    assert_string_equal(origin_of(VG_HELD_AS_GARBAGE, NULL), "");
}

static void what_was_not_counted_is_not_told(void **state)
{
    (void)state;
    const struct vg_census_variable *const cache = add_history(590 * MIB, 0);
    assert_string_equal(origin_of(VG_HELD_KEPT, cache),
                        "; 590 MiB comes from net.py:11 Mix.forward");
    failure.census_lines = NULL;
    assert_string_equal(origin_of(VG_HELD_KEPT, cache), "");
    failure.census_lines = lines;
    census.line_count = 0; /* of an older version */
    assert_string_equal(origin_of(VG_HELD_KEPT, cache), "");
}

/* What graphs keep alone, and what functions in a module's call under way hold directly: these may
 * reach the same graphs. */
static void activations_are_counted_once(void **state)
{
    (void)state;
    struct vg_run_frame inside[] = {
        { .module = "",
          .function = "main",
          .file = "/p/train.py",
          .flags = VG_FRAME_PYTHON,
          .line = 38 },
        { .module = "",
          .function = "Module._call_impl",
          .file = "/v/torch/nn/modules/module.py",
          .flags = VG_FRAME_PYTHON },
    };
    add_history(200 * MIB, 300 * MIB);
    census.lines[0].kind_bytes[VG_CENSUS_GRAPH] = 400 * MIB;
    assert_string_equal(origin_of(VG_HELD_AS_ACTIVATIONS, NULL),
                        "; 400 MiB comes from net.py:11 Mix.forward");
    failure.stack.frames = inside;
    assert_string_equal(origin_of(VG_HELD_AS_ACTIVATIONS, NULL),
                        "; 600 MiB comes from net.py:11 Mix.forward");
}

static void graph_pools_are_named_only_where_they_hold_most(void **state)
{
    (void)state;
    assert_false(vg_advice_graph_pools.applies(&failure));
    failure.torch.graph_bytes = 900 * MIB;
    failure.torch.graph_count = 3;
    assert_true(vg_advice_graph_pools.applies(&failure));
    assert_string_equal(why_of(&vg_advice_graph_pools),
                        "the private pools of CUDA graphs hold 900 MiB of PyTorch's 1020 MiB: 3 "
                        "captures took it, and it stays until the graphs are deleted.");
    assert_non_null(strstr(advice_of(&vg_advice_graph_pools), "one pool for graphs"));
    failure.torch.graph_reuser_count = 2; /* that is done already */
    assert_null(strstr(advice_of(&vg_advice_graph_pools), "one pool"));
    assert_non_null(strstr(advice_of(&vg_advice_graph_pools), "the largest first"));
    failure.torch.graph_reuser_count = 0;
    failure.torch.graph_count = 1;
    assert_null(strstr(advice_of(&vg_advice_graph_pools), "one pool"));
    failure.torch.graph_bytes = 400 * MIB; /* tensors hold more */
    assert_false(vg_advice_graph_pools.applies(&failure));
    failure.torch.graph_bytes = 900 * MIB;
    failure.device.others_bytes = 950 * MIB;
    assert_false(vg_advice_graph_pools.applies(&failure));
}

static void memory_that_graphs_allocate_is_named(void **state)
{
    (void)state;
    failure.device.graph_used_bytes = 900 * MIB;
    assert_false(vg_advice_graph_memory.applies(&failure)); /* the rest holds more */
    failure.device.live_bytes = 120 * MIB;
    assert_true(vg_advice_graph_memory.applies(&failure));
    assert_non_null(strstr(why_of(&vg_advice_graph_memory), "hold 900 MiB"));
    failure.device.graph_used_bytes = VG_BYTES_UNKNOWN;
    assert_false(vg_advice_graph_memory.applies(&failure));
}

static void a_cache_is_in_the_way_of_others_alone(void **state)
{
    (void)state;
    failure.torch.empty_bytes = 500 * MIB;
    assert_true(vg_advice_cache_in_way.applies(&failure));
    failure.torch.is_caller = true; /* PyTorch empties it by itself, unless a graph needs it */
    assert_false(vg_advice_cache_in_way.applies(&failure));
}

static void the_largest_line_is_the_last_resort(void **state)
{
    (void)state;
    assert_true(vg_advice_largest_line.applies(&failure));
    assert_non_null(strstr(why_of(&vg_advice_largest_line), "net.py:11 Mix.forward"));
    sites[0].live_bytes = 400 * MIB;
    assert_false(vg_advice_largest_line.applies(&failure));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(results_with_their_graphs_are_a_leak, prepare),
        cmocka_unit_test_setup(graphs_that_no_backward_pass_has_seen_may_be_of_one_step, prepare),
        cmocka_unit_test_setup(a_graph_that_uses_each_parameter_several_times, prepare),
        cmocka_unit_test_setup(what_no_container_holds_is_told_by_the_variable, prepare),
        cmocka_unit_test_setup(results_without_graphs_pile_up, prepare),
        cmocka_unit_test_setup(what_has_stopped_to_grow_is_held_and_no_leak, prepare),
        cmocka_unit_test_setup(without_pytorchs_blocks_nothing_is_said_of_them, prepare),
        cmocka_unit_test_setup(objects_that_only_refer_to_each_other_are_garbage, prepare),
        cmocka_unit_test_setup(an_exception_that_is_kept, prepare),
        cmocka_unit_test_setup(an_exception_that_is_being_handled, prepare),
        cmocka_unit_test_setup(an_exception_of_the_same_failure, prepare),
        cmocka_unit_test_setup(of_several_wastes_the_largest_is_told, prepare),
        cmocka_unit_test_setup(activations_are_most, prepare),
        cmocka_unit_test_setup(two_byte_types_are_advised_where_there_are_wider_ones, prepare),
        cmocka_unit_test_setup(the_optimizer_is_known_by_its_state_or_its_step, prepare),
        cmocka_unit_test_setup(holes_are_fragmentation_only_where_they_would_do, prepare),
        cmocka_unit_test_setup(a_line_that_grows_is_told_without_a_variable, prepare),
        cmocka_unit_test_setup(pytorchs_own_limit_is_told_as_such, prepare),
        cmocka_unit_test_setup(where_what_is_held_comes_from_is_counted, prepare),
        cmocka_unit_test_setup(what_was_not_counted_is_not_told, prepare),
        cmocka_unit_test_setup(activations_are_counted_once, prepare),
        cmocka_unit_test_setup(graph_pools_are_named_only_where_they_hold_most, prepare),
        cmocka_unit_test_setup(memory_that_graphs_allocate_is_named, prepare),
        cmocka_unit_test_setup(a_cache_is_in_the_way_of_others_alone, prepare),
        cmocka_unit_test_setup(the_largest_line_is_the_last_resort, prepare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
