/* What PyTorch does in a failing call, told by its Python frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "analyze/torch_call.h"

#define OWN     VG_FRAME_PYTHON
#define LIBRARY (VG_FRAME_PYTHON | VG_FRAME_LIBRARY)

#define PROGRAM(name)                                                                              \
    {                                                                                              \
        .file = "/p/torch/train.py", .function = (name), .flags = OWN                              \
    }
#define TORCH(at, name)                                                                            \
    {                                                                                              \
        .file = "/lib/torch/" at, .function = (name), .flags = LIBRARY                             \
    }
#define NATIVE                                                                                     \
    {                                                                                              \
        .file = "", .module = "libtorch_cuda.so", .function = "f"                                  \
    }
#define WRAPPER     TORCH("optim/optimizer.py", "Optimizer.profile_hook_step.<locals>.wrapper")
#define NO_GRAD     TORCH("utils/_contextlib.py", "context_decorator.<locals>.decorate_context")
#define MODULE_CALL TORCH("nn/modules/module.py", "Module._call_impl")

static struct vg_run_failure failure;

static void set_frames(const struct vg_run_frame *frames, size_t count)
{
    failure.stack.frames = frames;
    failure.stack.frame_count = (uint32_t)count;
}

/* Innermost first. */
#define FRAMES(...)                                                                                \
    do {                                                                                           \
        static const struct vg_run_frame frames[] = { __VA_ARGS__ };                               \
        set_frames(frames, sizeof frames / sizeof frames[0]);                                      \
    } while (0)

static void first_step_makes_the_state(void **state)
{
    (void)state;
    FRAMES(NATIVE, TORCH("optim/adam.py", "Adam._init_group"), TORCH("optim/adam.py", "Adam.step"),
           TORCH("optim/optimizer.py", "_use_grad_for_differentiable.<locals>._use_grad"), WRAPPER,
           PROGRAM("main"));
    assert_true(vg_torch_call_is_optimizers(&failure));
    assert_true(vg_torch_call_makes_state(&failure));
    assert_false(vg_torch_call_is_multi_tensor(&failure));
    /* Before 2.0. */
    FRAMES(TORCH("optim/adam.py", "Adam.step"), WRAPPER, PROGRAM("main"));
    assert_true(vg_torch_call_makes_state(&failure));
    FRAMES(TORCH("optim/optimizer.py", "Optimizer._process_value_according_to_param_policy"),
           TORCH("optim/optimizer.py", "Optimizer.load_state_dict"), PROGRAM("main"));
    assert_true(vg_torch_call_makes_state(&failure));
}

static void later_parts_of_a_step_do_not(void **state)
{
    (void)state;
    FRAMES(TORCH("optim/adam.py", "_multi_tensor_adam"), TORCH("optim/adam.py", "adam"),
           TORCH("optim/adam.py", "Adam.step"), WRAPPER, PROGRAM("main"));
    assert_true(vg_torch_call_is_optimizers(&failure));
    assert_true(vg_torch_call_is_multi_tensor(&failure));
    assert_false(vg_torch_call_makes_state(&failure));
    FRAMES(TORCH("optim/lbfgs.py", "LBFGS.step"), WRAPPER, PROGRAM("main"));
    assert_true(vg_torch_call_is_optimizers(&failure));
    assert_false(vg_torch_call_makes_state(&failure));
}

static void a_closure_is_not_the_optimizers(void **state)
{
    (void)state;
    FRAMES(PROGRAM("Mix.forward"), MODULE_CALL, PROGRAM("main.<locals>.closure"),
           TORCH("optim/adam.py", "Adam.step"), WRAPPER, PROGRAM("main"));
    assert_false(vg_torch_call_is_optimizers(&failure));
    assert_false(vg_torch_call_makes_state(&failure));
    FRAMES(PROGRAM("main.<locals>.closure"), NO_GRAD, TORCH("optim/lbfgs.py", "LBFGS.step"),
           WRAPPER, PROGRAM("main"));
    assert_false(vg_torch_call_is_optimizers(&failure));
    /* step(functools.partial(net, batch)) */
    FRAMES(TORCH("nn/modules/linear.py", "Linear.forward"), MODULE_CALL,
           TORCH("optim/adam.py", "Adam.step"), WRAPPER, PROGRAM("main"));
    assert_false(vg_torch_call_is_optimizers(&failure));
}

static void a_copy_of_the_model_is_no_state(void **state)
{
    (void)state;
    FRAMES(TORCH("optim/swa_utils.py", "AveragedModel.update_parameters"), PROGRAM("main"));
    assert_false(vg_torch_call_is_optimizers(&failure));
    /* What a library's own copy calls. */
    FRAMES({ .file = "/lib/python3.11/copy.py", .function = "deepcopy", .flags = LIBRARY },
           TORCH("optim/adam.py", "Adam.copy"), PROGRAM("main"));
    assert_false(vg_torch_call_is_optimizers(&failure));
}

static void the_step_of_another_optimizer(void **state)
{
    (void)state;
    FRAMES(PROGRAM("Lion.step.<locals>.<listcomp>"), PROGRAM("Lion.step"), NO_GRAD, WRAPPER,
           PROGRAM("main"));
    assert_true(vg_torch_call_is_optimizers(&failure));
    assert_false(vg_torch_call_makes_state(&failure)); /* that is not known */
    FRAMES(PROGRAM("main.<locals>.closure"), PROGRAM("Lion.step"), NO_GRAD, WRAPPER,
           PROGRAM("main"));
    assert_false(vg_torch_call_is_optimizers(&failure));
    FRAMES({ .file = "/lib/adafactor.py", .function = "rms", .flags = LIBRARY },
           { .file = "/lib/adafactor.py", .function = "Adafactor.step", .flags = LIBRARY }, WRAPPER,
           PROGRAM("main"));
    assert_true(vg_torch_call_is_optimizers(&failure));
    FRAMES({ .file = "/lib/trainer.py", .function = "loss", .flags = LIBRARY },
           { .file = "/lib/adafactor.py", .function = "Adafactor.step", .flags = LIBRARY }, WRAPPER,
           PROGRAM("main"));
    assert_false(vg_torch_call_is_optimizers(&failure));
    FRAMES(PROGRAM("Lion.prepare"), WRAPPER, PROGRAM("main")); /* a hook */
    assert_false(vg_torch_call_is_optimizers(&failure));
}

static void weights_are_made_by_constructors_and_loads(void **state)
{
    (void)state;
    FRAMES(TORCH("nn/modules/sparse.py", "Embedding.__init__"), PROGRAM("main"));
    assert_true(vg_torch_call_makes_weights(&failure));
    FRAMES(TORCH("nn/modules/module.py", "Module.cuda.<locals>.<lambda>"),
           TORCH("nn/modules/module.py", "Module._apply"), PROGRAM("main"));
    assert_true(vg_torch_call_makes_weights(&failure));
    FRAMES(TORCH("serialization.py", "load"), PROGRAM("main"));
    assert_false(vg_torch_call_makes_weights(&failure));
    FRAMES(TORCH("nn/modules/linear.py", "Linear.forward"), MODULE_CALL, PROGRAM("main"));
    assert_false(vg_torch_call_makes_weights(&failure));
    assert_true(vg_torch_call_is_in_module(&failure));
    FRAMES(PROGRAM("main"), TORCH("nn/modules/linear.py", "Linear.__init__"));
    assert_false(vg_torch_call_makes_weights(&failure)); /* the line is what is known */
    assert_false(vg_torch_call_is_in_module(&failure));
}

static void a_model_is_moved_by_its_own_functions(void **state)
{
    (void)state;
    assert_true(vg_torch_call_is_models_move("Module.half"));
    assert_true(vg_torch_call_is_models_move("PreTrainedModel.to"));
    assert_true(vg_torch_call_is_models_move("half")); /* by an older Python */
    assert_false(vg_torch_call_is_models_move("to"));  /* which may be anything's */
    assert_false(vg_torch_call_is_models_move("BatchEncoding.to"));
    assert_false(vg_torch_call_is_models_move("Module._call_impl"));
    assert_false(vg_torch_call_is_models_move(""));
}

static void a_model_is_narrowed_where_it_is(void **state)
{
    (void)state;
    FRAMES(TORCH("nn/modules/module.py", "Module.half.<locals>.<lambda>"),
           TORCH("nn/modules/module.py", "Module._apply"),
           TORCH("nn/modules/module.py", "Module.half"), PROGRAM("main"));
    assert_true(vg_torch_call_narrows_model(&failure));
    FRAMES(TORCH("nn/modules/module.py", "Module.cuda"), PROGRAM("main"));
    assert_false(vg_torch_call_narrows_model(&failure));
    FRAMES(PROGRAM("step"), TORCH("nn/modules/module.py", "Module.half"), PROGRAM("main"));
    assert_false(vg_torch_call_narrows_model(&failure));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_step_makes_the_state),
        cmocka_unit_test(later_parts_of_a_step_do_not),
        cmocka_unit_test(a_closure_is_not_the_optimizers),
        cmocka_unit_test(a_copy_of_the_model_is_no_state),
        cmocka_unit_test(the_step_of_another_optimizer),
        cmocka_unit_test(weights_are_made_by_constructors_and_loads),
        cmocka_unit_test(a_model_is_moved_by_its_own_functions),
        cmocka_unit_test(a_model_is_narrowed_where_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
