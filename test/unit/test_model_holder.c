/* Which variables the models of a census are in, and what is said of two of one class. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "analyze/model_holder.h"
#include "view/advice_blocks.h"

#define MIB (UINT64_C(1) << 20)

static struct vg_census census;
static struct vg_run_failure failure;
static const struct vg_census_variable *holders[VG_MODEL_HOLDERS];
static char text_data[VG_ADVICE_TEXT_CAP];

/* Two models of 400 MiB, of 900 MiB of tensors; 20 MiB are asked for, 8 MiB are free. */
static int prepare(void **state)
{
    (void)state;
    memset(&census, 0, sizeof census);
    memset(&failure, 0, sizeof failure);
    census.state = VG_CENSUS_COMPLETE;
    census.total.bytes = 900 * MIB;
    census.module_count = 2;
    for (int i = 0; i < 2; i++) {
        snprintf(census.modules[i].path, sizeof census.modules[i].path, "Net");
        census.modules[i].amount[VG_CENSUS_PARAMETER].bytes = 400 * MIB;
    }
    census.kinds[VG_CENSUS_PARAMETER].bytes = 800 * MIB;
    failure.census = &census;
    failure.census_bytes = sizeof census;
    failure.census_format = VG_CENSUS_FORMAT;
    failure.asked_bytes = 20 * MIB;
    failure.device.gpu.total_bytes = 1000 * MIB;
    failure.device.gpu.free_bytes = 8 * MIB;
    failure.torch =
        (struct vg_run_torch){ .tells_blocks = true, .settings = "", .allocated_bytes = 900 * MIB };
    return 0;
}

static struct vg_census_variable *add_variable(const char *path, const char *type,
                                               uint64_t model_bytes)
{
    struct vg_census_variable *const variable = &census.variables[census.variable_count++];
    snprintf(variable->path, sizeof variable->path, "%s", path);
    snprintf(variable->type, sizeof variable->type, "%s", type);
    snprintf(variable->function, sizeof variable->function, "main");
    snprintf(variable->file, sizeof variable->file, "/p/train.py");
    variable->line = 12;
    variable->length = -1;
    variable->model.bytes = variable->direct.bytes = model_bytes;
    return variable;
}

static const char *why(void)
{
    struct vg_text text = vg_text_over(text_data, sizeof text_data);
    vg_advice_model_twice.cause(&failure, &text);
    return text_data;
}

static const char *advice(void)
{
    struct vg_text text = vg_text_over(text_data, sizeof text_data);
    vg_advice_model_twice.advice(&failure, &text);
    return text_data;
}

static void variables_of_whole_models_are_found(void **state)
{
    (void)state;
    add_variable("layers", "ModuleList", 400 * MIB);
    add_variable("part", "Net", 399 * MIB);
    add_variable("kept", "Net", 400 * MIB)->place = VG_CENSUS_LIBRARY;
    assert_int_equal(vg_model_holders(&failure, &census.modules[1], holders), 0);
    const struct vg_census_variable *const net = add_variable("net", "Net", 410 * MIB);
    assert_int_equal(vg_model_holders(&failure, &census.modules[1], holders), 1);
    assert_ptr_equal(holders[0], net);
    struct vg_census_variable *const other = add_variable("self.ema", "Net", 400 * MIB);
    other->place = VG_CENSUS_GLOBAL;
    add_variable("third", "Net", 400 * MIB);
    assert_int_equal(vg_model_holders(&failure, &census.modules[1], holders), 2);
    assert_ptr_equal(holders[1], other);
}

static void two_models_of_variables_may_both_be_needed(void **state)
{
    (void)state;
    assert_true(vg_advice_model_twice.applies(&failure));
    assert_string_equal(why(),
                        "there are two models of class Net on the GPU, with 400 MiB of "
                        "parameters each.");
    assert_non_null(strstr(advice(), "delete the variables that lead to it"));
    add_variable("net", "Net", 400 * MIB);
    assert_non_null(strstr(why(), "each; one of them is `net` (Net, train.py:12 main)."));
    assert_non_null(strstr(advice(), "delete the variables that lead to it"));
    add_variable("self.ema", "Net", 400 * MIB);
    assert_non_null(strstr(why(), "each: `net` (Net, train.py:12 main) and `self.ema` (Net, "));
    assert_string_equal(advice(),
                        "if both are needed (a teacher and its student, a moving "
                        "average): keep the one that is not trained in host memory; if "
                        "one is left over: del net or del self.ema");
    census.wide_bytes[VG_CENSUS_PARAMETER] = 800 * MIB;
    assert_non_null(strstr(advice(), "in host memory or in bfloat16; "));
}

/* The call moves a model. */
static void move(void)
{
    static struct vg_run_frame frames[] = {
        { .flags = VG_FRAME_PYTHON | VG_FRAME_LIBRARY,
          .file = "/v/site-packages/torch/nn/modules/module.py",
          .function = "Module._apply" },
        { .flags = VG_FRAME_PYTHON, .file = "/p/train.py", .function = "main" },
    };
    failure.stack.frames = frames;
    failure.stack.frame_count = 2;
}

static const char *parameters_why(void)
{
    struct vg_text text = vg_text_over(text_data, sizeof text_data);
    assert_true(vg_advice_parameters.applies(&failure));
    vg_advice_parameters.cause(&failure, &text);
    return text_data;
}

static void a_model_that_comes_is_told_so(void **state)
{
    (void)state;
    census.modules[1].amount[VG_CENSUS_PARAMETER].bytes = 40 * MIB;
    census.elsewhere_bytes[1] = 300 * MIB; /* kept there on purpose, as far as anybody knows */
    assert_null(vg_model_under_way(&failure));
    assert_null(vg_model_second(&failure));
    assert_string_equal(parameters_why(),
                        "the model itself: parameters take 800 MiB of PyTorch's 900 MiB (Net).");
    move();
    assert_ptr_equal(vg_model_under_way(&failure), &census.modules[1]);
    assert_ptr_equal(vg_model_second(&failure), &census.modules[1]);
    add_variable("teacher", "Net", 400 * MIB);
    add_variable("self", "Net", 40 * MIB);
    snprintf(census.variables[1].file, sizeof census.variables[1].file,
             "/v/site-packages/torch/nn/modules/module.py");
    assert_string_equal(parameters_why(),
                        "the models themselves: parameters of `teacher` (Net, train.py:12 main) "
                        "take 400 MiB, those of a Net 40.0 MiB so far (its other 300 MiB are not "
                        "on this GPU); in all they take 800 MiB of PyTorch's 900 MiB.");
    census.elsewhere_bytes[0] = MIB; /* which of them comes? */
    assert_null(vg_model_under_way(&failure));
    assert_null(vg_model_second(&failure));
    census.elsewhere_bytes[1] = 0;
    assert_non_null(strstr(parameters_why(), "(Net) so far; its other 1.00 MiB are not on this"));
}

/* Nine models of 80 MiB with what is theirs, of 900 MiB of tensors. */
static void many_models_in_a_list(void **state)
{
    (void)state;
    const struct vg_census_module *model;
    census.module_count = 9;
    for (int i = 0; i < 9; i++) {
        snprintf(census.modules[i].path, sizeof census.modules[i].path, "Net");
        census.modules[i].amount[VG_CENSUS_PARAMETER].bytes = 80 * MIB;
    }
    struct vg_census_variable *const nets = add_variable("nets", "list", 640 * MIB);
    nets->length = 8;
    assert_int_equal(vg_model_count(&failure, &census.modules[3]), 9);
    assert_ptr_equal(vg_model_collection(&failure, 20 * MIB, &model), nets);
    assert_ptr_equal(model, &census.modules[0]);
    assert_true(vg_advice_kept_models.applies(&failure));
    struct vg_text text = vg_text_over(text_data, sizeof text_data);
    vg_advice_kept_models.cause(&failure, &text);
    assert_string_equal(text_data,
                        "`nets` (list of 8, train.py:12 main) holds modules with 640 MiB of "
                        "PyTorch's 900 MiB: 9 of class Net are on the GPU, with 80.0 MiB of "
                        "parameters each.");
    text = vg_text_over(text_data, sizeof text_data);
    vg_advice_kept_models.advice(&failure, &text);
    assert_null(strstr(text_data, "optimizer"));
    census.kinds[VG_CENSUS_OPTIMIZER].bytes = 100 * MIB;
    text = vg_text_over(text_data, sizeof text_data);
    vg_advice_kept_models.advice(&failure, &text);
    assert_non_null(strstr(text_data, "; and no optimizer"));
    assert_non_null(strstr(why(), "there are 9 models of class Net"));

    assert_null(vg_model_collection(&failure, 641 * MIB, &model));
    nets->model.bytes = 239 * MIB; /* less than three of them */
    assert_null(vg_model_collection(&failure, 20 * MIB, &model));
    nets->model.bytes = 400 * MIB; /* not most of all */
    assert_non_null(vg_model_collection(&failure, 20 * MIB, &model));
    assert_false(vg_advice_kept_models.applies(&failure));
    nets->model.bytes = 640 * MIB;
    census.in_module[0] = 1; /* a model keeps its layers in it */
    assert_false(vg_advice_kept_models.applies(&failure));
    census.in_module[0] = 0;
    nets->length = 2;
    assert_false(vg_advice_kept_models.applies(&failure));
    nets->length = 8;
    nets->traceback.bytes = 600 * MIB;
    assert_false(vg_advice_kept_models.applies(&failure));
    nets->traceback.bytes = 0;
    for (int i = 2; i < 9; i++) /* two are of one class */
        census.modules[i].path[0] = (char)('A' + i);
    assert_false(vg_advice_kept_models.applies(&failure));
}

static void an_optimizer_of_parameters_in_no_model(void **state)
{
    (void)state;
    uint64_t bytes;
    add_variable("adam", "Adam", 600 * MIB);
    census.homeless_bytes[0] = 500 * MIB;
    assert_null(vg_model_lone_optimizer(&failure, 20 * MIB, &bytes)); /* it may be anything */
    census.is_optimizer[0] = true;
    assert_ptr_equal(vg_model_lone_optimizer(&failure, 20 * MIB, &bytes), &census.variables[0]);
    assert_true(bytes == 500 * MIB);
    assert_null(vg_model_lone_optimizer(&failure, 501 * MIB, &bytes));
    assert_false(vg_advice_lone_optimizer.applies(&failure)); /* no model comes */
    move();
    assert_true(vg_advice_lone_optimizer.applies(&failure));
    struct vg_text text = vg_text_over(text_data, sizeof text_data);
    vg_advice_lone_optimizer.cause(&failure, &text);
    assert_string_equal(text_data,
                        "`adam` (Adam, train.py:12 main) keeps parameters that are in no model, "
                        "with their gradients and its state: 500 MiB of PyTorch's 900 MiB.");
    text = vg_text_over(text_data, sizeof text_data);
    vg_advice_lone_optimizer.advice(&failure, &text);
    assert_non_null(strstr(text_data, "before the next model is made: del adam ("));
    census.homeless_bytes[0] = 200 * MIB; /* less than a quarter */
    assert_false(vg_advice_lone_optimizer.applies(&failure));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(variables_of_whole_models_are_found, prepare),
        cmocka_unit_test_setup(two_models_of_variables_may_both_be_needed, prepare),
        cmocka_unit_test_setup(a_model_that_comes_is_told_so, prepare),
        cmocka_unit_test_setup(many_models_in_a_list, prepare),
        cmocka_unit_test_setup(an_optimizer_of_parameters_in_no_model, prepare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
