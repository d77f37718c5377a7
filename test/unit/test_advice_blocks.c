/* Causes in PyTorch's blocks: each applies where its condition was measured, and not where
 * something looks like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "census_fixture.h"
#include "view/advice_graphs.h"

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

static void pytorchs_own_limit_is_told_as_such(void **state)
{
    (void)state;
    assert_false(vg_advice_torch_fraction.applies(&failure));
    failure.refused_by = VG_REFUSED_BY_PYTORCH;
    failure.torch.fraction_bytes = 275 * MIB;
    assert_true(vg_advice_torch_fraction.applies(&failure));
    assert_non_null(strstr(why_of(&vg_advice_torch_fraction), "allows this process 275 MiB"));
    assert_non_null(
        strstr(advice_of(&vg_advice_torch_fraction), ", or keep less: the lines below"));
    add_history(300 * MIB, 500 * MIB);
    assert_non_null(strstr(advice_of(&vg_advice_torch_fraction),
                           "; or, to fit into it, if these are results of"));
    census.variable_count = 0;
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

/* net.py:11 has called torch.load. */
static void what_torch_load_has_put_there(void **state)
{
    (void)state;
    uint64_t bytes;
    struct vg_census_variable *const checkpoint = add_history(300 * MIB, 0);
    assert_null(vg_holder_of_loaded(&failure, 20 * MIB, &bytes));
    sites[0].called_path = "/v/site-packages/torch/serialization.py";
    assert_ptr_equal(vg_holder_of_loaded(&failure, 20 * MIB, &bytes), checkpoint);
    assert_true(bytes == 300 * MIB);
    assert_null(vg_holder_of_loaded(&failure, 301 * MIB, &bytes));
    assert_false(vg_advice_loaded.applies(&failure)); /* there is no model */
    census.kinds[VG_CENSUS_PARAMETER].bytes = 200 * MIB;
    assert_true(vg_advice_loaded.applies(&failure));
    assert_non_null(strstr(why_of(&vg_advice_loaded),
                           " still holds 300 MiB that torch.load has put "
                           "onto the GPU, beside parameters of 200 MiB"));
    assert_non_null(strstr(advice_of(&vg_advice_loaded), "del history"));
    census.lines[0].held[0].direct_bytes = 120 * MIB; /* less than an eighth of all */
    assert_false(vg_advice_loaded.applies(&failure));
    census.lines[0].held[0].direct_bytes = 300 * MIB;
    checkpoint->place = VG_CENSUS_LIBRARY; /* torch.load's own table */
    assert_false(vg_advice_loaded.applies(&failure));
}

/* The program has the output of a forward pass in a variable while it goes back. */
static void an_output_in_a_variable_is_an_activation(void **state)
{
    (void)state;
    struct vg_census_variable *const logits = add_history(450 * MIB, 400 * MIB);
    snprintf(logits->type, sizeof logits->type, "Tensor");
    logits->length = -1;
    census.kinds[VG_CENSUS_GRAPH].bytes = 400 * MIB;
    census.kinds[VG_CENSUS_OTHER].bytes = 450 * MIB;
    assert_true(vg_advice_activations.applies(&failure));
    assert_non_null(strstr(why_of(&vg_advice_activations), "take 850 MiB of PyTorch's 1000 MiB"));
    assert_non_null(strstr(text_data, "; 450 MiB comes from net.py:11"));
    logits->traceback.bytes = 850 * MIB;
    assert_false(vg_advice_activations.applies(&failure));
    logits->traceback.bytes = 0;
    logits->graph.bytes = 0; /* made without gradients, or data */
    assert_false(vg_advice_activations.applies(&failure));
    logits->graph.bytes = 400 * MIB;
    snprintf(logits->type, sizeof logits->type, "list");
    assert_false(vg_advice_activations.applies(&failure));
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
        cmocka_unit_test_setup(activations_are_most, prepare),
        cmocka_unit_test_setup(two_byte_types_are_advised_where_there_are_wider_ones, prepare),
        cmocka_unit_test_setup(the_optimizer_is_known_by_its_state_or_its_step, prepare),
        cmocka_unit_test_setup(holes_are_fragmentation_only_where_they_would_do, prepare),
        cmocka_unit_test_setup(pytorchs_own_limit_is_told_as_such, prepare),
        cmocka_unit_test_setup(where_what_is_held_comes_from_is_counted, prepare),
        cmocka_unit_test_setup(what_was_not_counted_is_not_told, prepare),
        cmocka_unit_test_setup(what_torch_load_has_put_there, prepare),
        cmocka_unit_test_setup(an_output_in_a_variable_is_an_activation, prepare),
        cmocka_unit_test_setup(activations_are_counted_once, prepare),
        cmocka_unit_test_setup(graph_pools_are_named_only_where_they_hold_most, prepare),
        cmocka_unit_test_setup(memory_that_graphs_allocate_is_named, prepare),
        cmocka_unit_test_setup(a_cache_is_in_the_way_of_others_alone, prepare),
        cmocka_unit_test_setup(the_largest_line_is_the_last_resort, prepare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
