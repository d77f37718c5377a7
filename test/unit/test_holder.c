/* Who keeps PyTorch's memory, from a census and the failing call's stack. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "analyze/holder.h"
#include "growing_history.h"

#define MIB (UINT64_C(1) << 20)

static struct vg_census census;
static struct vg_run_failure failure;

/* Innermost first: a layer's line, PyTorch's own call of a module, a model's line, the call of the
 * model, the program's step and main. */
static const struct vg_run_frame frames[] = {
    { .file = "/p/net.py", .line = 11, .function = "Mix.forward", .flags = VG_FRAME_PYTHON },
    { .file = "/lib/torch/nn/modules/module.py",
      .line = 1790,
      .function = "Module._call_impl",
      .flags = VG_FRAME_PYTHON | VG_FRAME_LIBRARY },
    { .file = "/p/net.py", .line = 57, .function = "Net.forward", .flags = VG_FRAME_PYTHON },
    { .file = "/lib/torch/nn/modules/module.py",
      .line = 1790,
      .function = "Module._call_impl",
      .flags = VG_FRAME_PYTHON | VG_FRAME_LIBRARY },
    { .file = "/p/train.py", .line = 25, .function = "step", .flags = VG_FRAME_PYTHON },
    { .file = "/p/train.py", .line = 38, .function = "main", .flags = VG_FRAME_PYTHON },
};

static int prepare(void **state)
{
    (void)state;
    memset(&census, 0, sizeof census);
    memset(&failure, 0, sizeof failure);
    census.state = VG_CENSUS_COMPLETE;
    census.total = (struct vg_census_amount){ 800 * MIB, 200 };
    failure.census = &census;
    failure.census_bytes = sizeof census;
    failure.census_format = VG_CENSUS_FORMAT;
    failure.stack.frames = frames;
    failure.stack.frame_count = sizeof frames / sizeof frames[0];
    return 0;
}

static struct vg_census_variable *add_variable(const char *path, const char *function,
                                               const char *file, int64_t length,
                                               uint64_t direct_bytes, uint64_t graph_bytes)
{
    struct vg_census_variable *const variable = &census.variables[census.variable_count++];
    snprintf(variable->path, sizeof variable->path, "%s", path);
    snprintf(variable->function, sizeof variable->function, "%s", function);
    snprintf(variable->file, sizeof variable->file, "%s", file);
    snprintf(variable->type, sizeof variable->type, "list");
    variable->place = VG_CENSUS_LOCAL;
    variable->length = length;
    variable->direct.bytes = direct_bytes;
    variable->graph.bytes = graph_bytes;
    return variable;
}

static void results_outside_the_model_are_found(void **state)
{
    (void)state;
    const struct vg_census_variable *const history =
        add_variable("history", "main", "/p/train.py", 70, MIB, 700 * MIB);
    assert_ptr_equal(vg_holder_of_results(&failure, VG_RESULTS_ANY, 20 * MIB), history);
    assert_true(vg_holder_keeps_graphs(history));
    assert_int_equal(vg_holder_kept_bytes(history), 701 * MIB);
}

static void what_a_forward_pass_collects_is_no_result(void **state)
{
    (void)state;
    add_variable("hidden_states", "Net.forward", "/p/net.py", 25, MIB, 700 * MIB);
    assert_null(vg_holder_of_results(&failure, VG_RESULTS_ANY, 20 * MIB));
}

static void a_global_container_is_found(void **state)
{
    (void)state;
    struct vg_census_variable *const sessions =
        add_variable("sessions", "", "/p/generate.py", 12, 700 * MIB, 0);
    sessions->place = VG_CENSUS_GLOBAL;
    assert_ptr_equal(vg_holder_of_results(&failure, VG_RESULTS_ANY, 20 * MIB), sessions);
    assert_false(vg_holder_keeps_graphs(sessions));
    sessions->place = VG_CENSUS_LIBRARY;
    assert_null(vg_holder_of_results(&failure, VG_RESULTS_ANY, 20 * MIB));
}

static void what_a_librarys_function_holds_is_no_result(void **state)
{
    (void)state;
    struct vg_census_variable *const memo =
        add_variable("unpickler.memo", "_load",
                     "/v/lib/python3.11/site-packages/torch/serialization.py", 246, 700 * MIB, 0);
    assert_null(vg_holder_of_results(&failure, VG_RESULTS_ANY, 20 * MIB));
    memo->place = VG_CENSUS_WORK;
    assert_null(vg_holder_of_results(&failure, VG_RESULTS_ANY, 20 * MIB));
    snprintf(memo->file, sizeof memo->file, "/v/lib/python3.11/site-packages/transformers/%s",
             "trainer_pt_utils.py");
    assert_ptr_equal(vg_holder_of_results(&failure, VG_RESULTS_ANY, 20 * MIB), memo);
}

static void few_entries_or_few_bytes_are_no_pile(void **state)
{
    (void)state;
    struct vg_census_variable *const pair =
        add_variable("pair", "main", "/p/train.py", 2, MIB, 700 * MIB);
    assert_null(vg_holder_of_results(&failure, VG_RESULTS_ANY, 20 * MIB));
    pair->length = 4;
    assert_non_null(vg_holder_of_results(&failure, VG_RESULTS_ANY, 20 * MIB));
    assert_null(vg_holder_of_results(&failure, VG_RESULTS_ANY, 702 * MIB));
    census.total.bytes = 4 * 702 * MIB;
    assert_null(vg_holder_of_results(&failure, VG_RESULTS_ANY, 20 * MIB));
}

static void a_model_is_not_what_a_variable_keeps(void **state)
{
    (void)state;
    struct vg_census_variable *const models =
        add_variable("models", "main", "/p/train.py", 5, 700 * MIB, 0);
    models->model.bytes = 690 * MIB;
    assert_int_equal(vg_holder_kept_bytes(models), 10 * MIB);
    assert_null(vg_holder_of_results(&failure, VG_RESULTS_ANY, 20 * MIB));
}

static void an_exception_is_told_from_results(void **state)
{
    (void)state;
    struct vg_census_variable *const last = add_variable("sys.last_value", "", "", 8, 700 * MIB, 0);
    last->place = VG_CENSUS_GLOBAL;
    last->traceback.bytes = 690 * MIB;
    assert_null(vg_holder_of_results(&failure, VG_RESULTS_ANY, 20 * MIB));
    assert_ptr_equal(vg_holder_of_traceback(&failure, 20 * MIB), last);
    assert_null(vg_holder_of_traceback(&failure, 691 * MIB));
    last->traceback.bytes = 0;
    assert_null(vg_holder_of_traceback(&failure, 0));
}

/* The first variable's blocks came one by one with each step, up to now. */
static const struct vg_census_variable *add_growing(void)
{
    census.histories[0] = growing_history;
    return add_variable("outputs", "main", "/p/train.py", 72, 700 * MIB, 0);
}

static void growth_is_read_from_what_the_variable_holds(void **state)
{
    (void)state;
    const struct vg_census_variable *const outputs = add_growing();
    struct vg_census_history *const history = &census.histories[0];
    assert_true(vg_holder_grows(&failure, outputs));
    assert_ptr_equal(vg_holder_of_results(&failure, VG_RESULTS_GROWING, 20 * MIB), outputs);
    assert_null(vg_holder_of_results(&failure, VG_RESULTS_WITH_GRAPHS, 20 * MIB));
    history->pauses = 2; /* nothing has come for longer than ever */
    assert_false(vg_holder_grows(&failure, outputs));
    history->pauses = 71;
    history->made[0] = 0; /* a ring: of its earliest nothing is left */
    history->made[7] = 18;
    assert_false(vg_holder_grows(&failure, outputs));
    history->made[0] = history->made[7] = 9;
    history->blocks = 12; /* too few to say */
    assert_false(vg_holder_grows(&failure, outputs));
}

static void a_load_puts_one_right_after_the_other(void **state)
{
    (void)state;
    const struct vg_census_variable *const outputs = add_growing();
    census.histories[0].oldest_count = 77;
    assert_false(vg_holder_grows(&failure, outputs));
    census.histories[0].since_ns = UINT64_C(9000000000); /* a step every so often */
    assert_true(vg_holder_grows(&failure, outputs));
    census.elsewhere_tensors = 120; /* or a slow load of these */
    assert_false(vg_holder_grows(&failure, outputs));
    census.histories[0].oldest_count = 3 * 72;       /* with two copies on the way */
    assert_true(vg_holder_grows(&failure, outputs)); /* but within a module's call */
    failure.stack.frame_count = 0;
    assert_false(vg_holder_grows(&failure, outputs));
    census.histories[0].oldest_count = 5 * 72;
    assert_true(vg_holder_grows(&failure, outputs));
    census.histories[0].oldest_count = 3 * 72;
    census.elsewhere_tensors = 71;
    assert_true(vg_holder_grows(&failure, outputs));
}

static void one_forward_pass_is_no_growth(void **state)
{
    (void)state;
    const struct vg_census_variable *const outputs = add_growing();
    census.in_module[0] = true;
    assert_false(vg_holder_grows(&failure, outputs));
    census.histories[0].since_ns = UINT64_C(9000000000);
    assert_true(vg_holder_grows(&failure, outputs));
    census.histories[0].saved_blocks = 60; /* features that one loss compares */
    assert_false(vg_holder_grows(&failure, outputs));
    census.histories[0].passes = 70;
    assert_true(vg_holder_grows(&failure, outputs));
    census.in_forward[0] = true;
    assert_int_equal(vg_holder_whose(&failure, outputs), VG_HOLDER_FORWARD_PASS);
    assert_null(vg_holder_of_results(&failure, VG_RESULTS_GROWING, 20 * MIB));
}

static void one_pass_through_a_series_is_no_growth(void **state)
{
    (void)state;
    const struct vg_census_variable *const outputs = add_growing();
    census.series[0] = 36; /* layers, of which the list has 72 results */
    assert_false(vg_holder_grows(&failure, outputs));
    census.histories[0].passes = 70; /* with a backward pass after each */
    assert_true(vg_holder_grows(&failure, outputs));
    census.histories[0].passes = 0;
    census.series[0] = 35;
    assert_true(vg_holder_grows(&failure, outputs));
}

static void several_steps_are_known_by_their_backward_passes(void **state)
{
    (void)state;
    const struct vg_census_variable *const outputs = add_growing();
    census.histories[0].passes = 3;
    assert_int_equal(vg_holder_steps(&failure, outputs), VG_STEPS_UNKNOWN);
    census.histories[0].passes = 4;
    assert_int_equal(vg_holder_steps(&failure, outputs), VG_STEPS_SEVERAL);
    census.histories[0].backward_blocks = 1;
    assert_int_equal(vg_holder_steps(&failure, outputs), VG_STEPS_UNKNOWN);
}

static void the_holder_of_a_site_has_been_counted(void **state)
{
    (void)state;
    const struct vg_run_line lines[] = { { .path = "/p/a.py", .line = 3 },
                                         { .path = "/p/a.py", .line = 4 } };
    const struct vg_run_site site = { .live_bytes = 600 * MIB, .own = lines[1] };
    const struct vg_census_variable *const outputs = add_growing();
    census.line_count = 2;
    census.lines[0].held[0].direct_bytes = 600 * MIB;
    assert_null(vg_holder_of_site(&failure, &site));
    failure.census_lines = lines;
    assert_null(vg_holder_of_site(&failure, &site));
    census.lines[1].held[0].graph_bytes = 400 * MIB;
    assert_ptr_equal(vg_holder_of_site(&failure, &site), outputs);
    census.lines[1].held[0].graph_bytes = 300 * MIB;
    assert_null(vg_holder_of_site(&failure, &site));
}

static void add_model(const char *name, uint32_t depth, uint64_t bytes)
{
    struct vg_census_module *const module = &census.modules[census.module_count++];
    snprintf(module->path, sizeof module->path, "%s", name);
    module->depth = depth;
    module->amount[VG_CENSUS_PARAMETER].bytes = bytes;
}

static void the_same_model_twice_is_seen(void **state)
{
    (void)state;
    add_model("BertModel", 0, 400 * MIB);
    add_model("BertModel.encoder", 1, 300 * MIB);
    add_model("BertModel", 0, 399 * MIB);
    assert_null(vg_holder_model_twice(&failure));
    census.modules[2].amount[VG_CENSUS_PARAMETER].bytes = 400 * MIB;
    assert_ptr_equal(vg_holder_model_twice(&failure), &census.modules[2]);
    census.modules[2].depth = 1;
    assert_null(vg_holder_model_twice(&failure));
}

static void a_census_that_cannot_be_used_is_none(void **state)
{
    (void)state;
    add_variable("history", "main", "/p/train.py", 70, MIB, 700 * MIB);
    census.state = VG_CENSUS_OUT_OF_TIME; /* a lower bound */
    assert_non_null(vg_holder_of_results(&failure, VG_RESULTS_ANY, 20 * MIB));
    census.state = VG_CENSUS_REFUSED;
    assert_null(vg_holder_of_results(&failure, VG_RESULTS_ANY, 20 * MIB));
    census.state = VG_CENSUS_COMPLETE;
    failure.census_format++;
    assert_null(vg_holder_of_results(&failure, VG_RESULTS_ANY, 20 * MIB));
    assert_int_equal(vg_holder_largest_kind(&failure), VG_CENSUS_KINDS);
    failure.census_format--;
    failure.census_bytes--;
    assert_null(vg_holder_census(&failure));
    failure.census_bytes++;
    assert_non_null(vg_holder_census(&failure));
    census.total.bytes = 0; /* it has found nothing */
    assert_null(vg_holder_census(&failure));
}

static void the_largest_kind_is_that_of_most_bytes(void **state)
{
    (void)state;
    census.kinds[VG_CENSUS_PARAMETER].bytes = 100 * MIB;
    census.kinds[VG_CENSUS_GRAPH].bytes = 600 * MIB;
    assert_int_equal(vg_holder_largest_kind(&failure), VG_CENSUS_GRAPH);
}

static void files_of_the_stack_are_known_by_their_path(void **state)
{
    (void)state;
    assert_true(vg_holder_stack_is_in(&failure, "/torch/nn/"));
    assert_false(vg_holder_stack_is_in(&failure, "/torch/optim/"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(results_outside_the_model_are_found, prepare),
        cmocka_unit_test_setup(what_a_forward_pass_collects_is_no_result, prepare),
        cmocka_unit_test_setup(a_global_container_is_found, prepare),
        cmocka_unit_test_setup(what_a_librarys_function_holds_is_no_result, prepare),
        cmocka_unit_test_setup(few_entries_or_few_bytes_are_no_pile, prepare),
        cmocka_unit_test_setup(a_model_is_not_what_a_variable_keeps, prepare),
        cmocka_unit_test_setup(an_exception_is_told_from_results, prepare),
        cmocka_unit_test_setup(growth_is_read_from_what_the_variable_holds, prepare),
        cmocka_unit_test_setup(a_load_puts_one_right_after_the_other, prepare),
        cmocka_unit_test_setup(one_forward_pass_is_no_growth, prepare),
        cmocka_unit_test_setup(one_pass_through_a_series_is_no_growth, prepare),
        cmocka_unit_test_setup(several_steps_are_known_by_their_backward_passes, prepare),
        cmocka_unit_test_setup(the_holder_of_a_site_has_been_counted, prepare),
        cmocka_unit_test_setup(the_same_model_twice_is_seen, prepare),
        cmocka_unit_test_setup(a_census_that_cannot_be_used_is_none, prepare),
        cmocka_unit_test_setup(the_largest_kind_is_that_of_most_bytes, prepare),
        cmocka_unit_test_setup(files_of_the_stack_are_known_by_their_path, prepare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
