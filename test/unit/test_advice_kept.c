/* Causes in what is kept: by variables, exceptions and garbage; and where it only looks like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "census_fixture.h"
#include "growing_history.h"
#include "view/advice_graphs.h"
#include "view/advice_waste.h"

static void results_with_their_graphs_are_a_leak(void **state)
{
    (void)state;
    add_history(MIB, 900 * MIB);
    census.histories[0] = growing_history;
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
    census.histories[0] = growing_history;
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
    census.histories[0] = growing_history;
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
    census.histories[0] = growing_history;
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
    census.histories[0] = growing_history;
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
    last->length = -1;
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

/* That of another thread keeps it as long as that waits, whatever the failing one does. */
static void an_exception_that_another_thread_is_handling(void **state)
{
    (void)state;
    struct vg_census_variable *const error = add_history(600 * MIB, 0);
    error->place = VG_CENSUS_HANDLED_ELSEWHERE;
    error->path[0] = '\0';
    error->length = -1;
    snprintf(error->type, sizeof error->type, "OutOfMemoryError");
    error->traceback.bytes = 590 * MIB;
    assert_non_null(strstr(why_of(&vg_advice_traceback),
                           ": the OutOfMemoryError that train.py:38 main is handling in another "
                           "thread."));
    assert_non_null(strstr(advice_of(&vg_advice_traceback), "let that thread leave the `except`"));
    assert_null(strstr(text_data, "del "));
    assert_null(strstr(text_data, "try again"));
}

static void an_exception_that_a_librarys_function_has(void **state)
{
    (void)state;
    struct vg_census_variable *const error = add_history(600 * MIB, 0);
    snprintf(error->path, sizeof error->path, "exc_val");
    snprintf(error->file, sizeof error->file, "/usr/lib/python3.11/concurrent/futures/_base.py");
    snprintf(error->function, sizeof error->function, "Executor.__exit__");
    error->length = -1;
    error->traceback.bytes = 590 * MIB;
    assert_non_null(strstr(advice_of(&vg_advice_traceback),
                           "inside the `with` block that it leaves: Executor.__exit__ has it"));
    snprintf(error->function, sizeof error->function, "Group.run");
    assert_non_null(strstr(advice_of(&vg_advice_traceback), "let Group.run return first"));
    assert_null(strstr(text_data, "del "));
    snprintf(error->file, sizeof error->file, "/home/me/pool.py");
    assert_non_null(strstr(advice_of(&vg_advice_traceback), "del exc_val;"));
    error->length = 0; /* a list or the like, which has other things, too */
    assert_non_null(
        strstr(advice_of(&vg_advice_traceback), "keep in `exc_val` only what you need"));
    assert_null(strstr(text_data, "del "));
}

/* A backward pass has left it, as with retain_graph=True, and the next forward pass runs. */
static void a_graph_of_an_earlier_step(void **state)
{
    (void)state;
    struct vg_census_variable *const loss = add_history(0, 500 * MIB);
    snprintf(loss->path, sizeof loss->path, "loss");
    snprintf(loss->type, sizeof loss->type, "Tensor");
    loss->length = -1;
    census.earlier_graph_bytes[0] = 480 * MIB;
    assert_false(vg_advice_earlier_graph.applies(&failure)); /* no forward pass runs */
    frames[1].function = "Module._call_impl";
    frames[1].file = "/v/site-packages/torch/nn/modules/module.py";
    assert_true(vg_advice_earlier_graph.applies(&failure));
    assert_non_null(strstr(why_of(&vg_advice_earlier_graph),
                           "runs, `loss` (Tensor, train.py:38 main) still keeps the autograd graph "
                           "of an earlier one, with 480 MiB, though"));
    assert_non_null(strstr(advice_of(&vg_advice_earlier_graph), "loss = loss.detach(); else"));
    census.earlier_graph_bytes[0] = 249 * MIB; /* less than a quarter of all */
    assert_false(vg_advice_earlier_graph.applies(&failure));
    census.earlier_graph_bytes[0] = 480 * MIB;
    census.in_forward[0] = true; /* of the pass that runs */
    assert_false(vg_advice_earlier_graph.applies(&failure));
    census.in_forward[0] = false;
    snprintf(loss->type, sizeof loss->type, "list");
    assert_false(vg_advice_earlier_graph.applies(&failure));
}

/* transformers' Trainer gathers them in a tensor, which is no container. */
static void outputs_of_an_evaluation(void **state)
{
    (void)state;
    struct vg_census_variable *const outputs = add_history(700 * MIB, 0);
    snprintf(outputs->path, sizeof outputs->path, "all_preds.tensors");
    snprintf(outputs->type, sizeof outputs->type, "Tensor");
    outputs->length = -1;
    snprintf(outputs->function, sizeof outputs->function, "Trainer.evaluation_loop");
    assert_false(vg_advice_evaluation.applies(&failure)); /* a program's function of that name */
    snprintf(outputs->file, sizeof outputs->file, "/v/site-packages/transformers/trainer.py");
    assert_true(vg_advice_evaluation.applies(&failure));
    assert_non_null(strstr(why_of(&vg_advice_evaluation),
                           "until the evaluation ends: `all_preds.tensors` (Tensor, trainer.py:38 "
                           "Trainer.evaluation_loop) holds 700 MiB of PyTorch's 1000 MiB."));
    assert_non_null(strstr(advice_of(&vg_advice_evaluation), "eval_accumulation_steps=1"));
    snprintf(outputs->path, sizeof outputs->path, "logits"); /* of the batch under way */
    assert_false(vg_advice_evaluation.applies(&failure));
    snprintf(outputs->path, sizeof outputs->path, "all_preds.tensors");
    outputs->direct.bytes = 400 * MIB;
    assert_false(vg_advice_evaluation.applies(&failure));
}

static void an_exception_that_no_variable_has(void **state)
{
    (void)state;
    struct vg_census_variable *const work = add_history(600 * MIB, 0);
    work->place = VG_CENSUS_WORK;
    work->path[0] = '\0';
    work->length = -1;
    snprintf(work->type, sizeof work->type, "generator");
    work->traceback.bytes = 590 * MIB;
    assert_non_null(strstr(advice_of(&vg_advice_traceback), "let that generator keep no "));
    assert_null(strstr(text_data, "del "));
    snprintf(work->type, sizeof work->type, "list");
    assert_non_null(strstr(advice_of(&vg_advice_traceback), "keep what you need of an exception"));
    assert_null(strstr(text_data, "del "));
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

/* By its type, where that says how. */
static void what_keeps_the_tensors_of_a_line_is_bounded(void **state)
{
    (void)state;
    struct vg_census_variable *const holder = add_history(600 * MIB, 0);
    assert_non_null(strstr(advice_of(&vg_advice_largest_line), "free there what is no longer"));
    snprintf(holder->type, sizeof holder->type, "_lru_cache_wrapper");
    assert_string_equal(advice_of(&vg_advice_largest_line),
                        "bound what `history` caches: functools.lru_cache(maxsize=N); or empty it: "
                        "history.cache_clear()");
    snprintf(holder->type, sizeof holder->type, "cycle");
    assert_non_null(strstr(advice_of(&vg_advice_largest_line), "itertools.cycle keeps all"));
    sites[0].live_bytes = 1300 * MIB; /* it does not have most of them */
    assert_non_null(strstr(advice_of(&vg_advice_largest_line), "free there what is no longer"));
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
    sites[0].oldest_ns = 1000000; /* it may be one step, */
    assert_false(vg_advice_growing_line.applies(&failure));
    sites[0].oldest_count = 100 * sites[0].live_count; /* of much else, too */
    assert_false(vg_advice_growing_line.applies(&failure));
    sites[0].oldest_count = 0;
    sites[0].oldest_ns = UINT64_C(60) * 1000000000;
    failure.checkpoint.file_count = 1; /* a load that is under way */
    failure.checkpoint.f32_bytes = 1200 * MIB;
    assert_false(vg_advice_growing_line.applies(&failure));
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
        cmocka_unit_test_setup(an_exception_that_another_thread_is_handling, prepare),
        cmocka_unit_test_setup(an_exception_that_a_librarys_function_has, prepare),
        cmocka_unit_test_setup(a_graph_of_an_earlier_step, prepare),
        cmocka_unit_test_setup(outputs_of_an_evaluation, prepare),
        cmocka_unit_test_setup(an_exception_that_no_variable_has, prepare),
        cmocka_unit_test_setup(an_exception_of_the_same_failure, prepare),
        cmocka_unit_test_setup(of_several_wastes_the_largest_is_told, prepare),
        cmocka_unit_test_setup(what_keeps_the_tensors_of_a_line_is_bounded, prepare),
        cmocka_unit_test_setup(a_line_that_grows_is_told_without_a_variable, prepare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
