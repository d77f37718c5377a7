/* Labels of stacks and the names in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analyze/frame.h"
#include "analyze/label.h"
#include "unwind/symbol_name.h"

#define LABEL(...)                                                                                 \
    label_of((const struct frame[]){ __VA_ARGS__ },                                                \
             sizeof((const struct frame[]){ __VA_ARGS__ }) / sizeof(struct frame))
#define FRAME(module_name, function_name)                                                          \
    {                                                                                              \
        .module = module_name, .function = function_name                                           \
    }
#define SOURCE(module_name, function_name, place)                                                  \
    {                                                                                              \
        .module = module_name, .function = function_name, .location = place                        \
    }

/* A frame as it is easy to write down: its location is "train.c:12". */
struct frame {
    char module[48], function[96], location[48];
    int is_python, is_library;
    uint64_t module_offset;
};

static struct vg_run_frame frame_of(const struct frame *from)
{
    static char files[VG_LABEL_FRAMES][48];
    static size_t used;
    struct vg_run_frame frame = { .module = from->module,
                                  .function = from->function,
                                  .module_offset = from->module_offset,
                                  .file = files[used] };
    char *const file = strcpy(files[used++ % VG_LABEL_FRAMES], from->location);
    used %= VG_LABEL_FRAMES;
    char *const colon = strrchr(file, ':');
    if (colon) {
        *colon = '\0';
        frame.line = (uint32_t)atoi(colon + 1);
    }
    frame.flags =
        (from->is_python ? VG_FRAME_PYTHON : 0u) | (from->is_library ? VG_FRAME_LIBRARY : 0u);
    return frame;
}

static const char *label_of(const struct frame *frames, size_t count)
{
    static char label[VG_LABEL_CAP];
    static struct vg_run_frame named[VG_LABEL_FRAMES];
    assert_true(count <= VG_LABEL_FRAMES);
    for (size_t i = 0; i < count; i++)
        named[i] = frame_of(&frames[i]);
    vg_label_from_frames(named, count, label, sizeof label);
    return label;
}

static void folds_runs_of_a_module(void **state)
{
    (void)state;
    assert_string_equal(LABEL(FRAME("libcuda.so.1", "cuMemAlloc_v2"), FRAME("libcudart.so.13", ""),
                              FRAME("libcudart.so.13", "cudaMalloc"), FRAME("libffi.so.8", ""),
                              FRAME("libffi.so.8", "ffi_call"), FRAME("_ctypes.so", ""),
                              FRAME("python3.11", ""), FRAME("python3.11", "PyObject_Call"),
                              FRAME("python3.11", "Py_BytesMain"), FRAME("libc.so.6", ""),
                              FRAME("libc.so.6", "__libc_start_main"),
                              FRAME("python3.11", "_start")),
                        "python3.11 PyObject_Call > _ctypes.so > libffi.so.8 ffi_call > "
                        "libcudart.so.13 cudaMalloc");
}

static void keeps_source_locations(void **state)
{
    (void)state;
    assert_string_equal(LABEL(FRAME("libcudart.so.13", "cudaMalloc"), FRAME("train", "allocate"),
                              SOURCE("train", "load", "train.c:40"),
                              SOURCE("train", "main", "train.c:12"),
                              FRAME("libc.so.6", "__libc_start_call_main")),
                        "main (train.c:12) > load (train.c:40) > train allocate > "
                        "libcudart.so.13 cudaMalloc");
}

static void folds_an_interpreter_with_source_locations(void **state)
{
    (void)state;
    assert_string_equal(LABEL(FRAME("libcudart.so.13", "cudaMalloc"),
                              FRAME("libffi.so.8", "ffi_call"),
                              SOURCE("libpython3.11.so.1.0", "PyObject_Call", "call.c:9"),
                              SOURCE("libpython3.11.so.1.0", "Py_Main", "main.c:9")),
                        "libpython3.11.so.1.0 PyObject_Call > libffi.so.8 ffi_call > "
                        "libcudart.so.13 cudaMalloc");
}

#define PYTHON(qualified_name, place)                                                              \
    {                                                                                              \
        .is_python = 1, .function = qualified_name, .location = place                              \
    }

static void python_frames_stand_for_the_interpreter(void **state)
{
    (void)state;
    assert_string_equal(
        LABEL(FRAME("libcudart.so.13", "cudaMalloc"), FRAME("libffi.so.8", "ffi_call"),
              FRAME("_ctypes.cpython-312-x86_64-linux-gnu.so", ""),
              FRAME("libpython3.12.so.1.0", "_PyObject_MakeTpCall"),
              PYTHON("Device.allocate", "run.py:69"), PYTHON("main.<locals>.<lambda>", "run.py:7"),
              SOURCE("libpython3.12.so.1.0", "_PyEval_EvalFrameDefault", "ceval.c:9"),
              SOURCE("embedder", "call_hook", "hook.c:3"),
              FRAME("libpython3.12.so.1.0", "PyObject_Call"), PYTHON("<module>", "run.py:90"),
              FRAME("python3.12", "main"), FRAME("libc.so.6", "__libc_start_main")),
        "run.py:90 <module> > call_hook (hook.c:3) > run.py:7 <lambda> > run.py:69 allocate > "
        "libffi.so.8 ffi_call > libcudart.so.13 cudaMalloc");
    assert_string_equal(LABEL(PYTHON("main", "run.py:1")), "run.py:1 main");
}

/* However Python came to run it: `python -m`, frozen or not, or a thread of its own. */
static void begins_with_the_program(void **state)
{
#define OF_LIBRARY(name, place)                                                                    \
    { .function = name, .location = place, .is_python = 1, .is_library = 1 }
    (void)state;
    static const char expected[] = "run.py:9 <module> > run.py:5 work";
    assert_string_equal(LABEL(PYTHON("work", "run.py:5"), PYTHON("<module>", "run.py:9"),
                              OF_LIBRARY("_run_code", "<frozen runpy>:88"),
                              OF_LIBRARY("_run_module_as_main", "<frozen runpy>:198")),
                        expected);
    assert_string_equal(LABEL(PYTHON("work", "run.py:5"), PYTHON("<module>", "run.py:9"),
                              OF_LIBRARY("_run_code", "/usr/lib/python3.9/runpy.py:87")),
                        expected);
    assert_string_equal(LABEL(PYTHON("work", "run.py:5"), PYTHON("<module>", "run.py:9"),
                              OF_LIBRARY("Thread.run", "/usr/lib/python3.9/threading.py:7"),
                              OF_LIBRARY("Thread._bootstrap", "/usr/lib/python3.9/threading.py:3")),
                        expected);
    /* A file of the program's own with that name is the program's. */
    assert_string_equal(LABEL(PYTHON("work", "run.py:5"), PYTHON("start", "/home/me/runpy.py:3")),
                        "runpy.py:3 start > run.py:5 work");
#undef OF_LIBRARY
}

static void names_the_runtime_function_that_was_called(void **state)
{
    (void)state;
    assert_string_equal(LABEL(SOURCE("libcudart.so.13", "take_block", "heap.c:3"),
                              SOURCE("libcudart.so.13", "cudaMalloc", "api.c:9"),
                              FRAME("app", "main")),
                        "app main > libcudart.so.13 cudaMalloc");
}

static void tells_nameless_places_apart(void **state)
{
    (void)state;
    const struct frame frames[] = { FRAME("libcudart.so.13", ""),
                                    FRAME("libcudart.so.13", "cudaMalloc"),
                                    { .module = "app", .module_offset = 0x1a2b },
                                    { .module = "app", .module_offset = 0x1c00 },
                                    FRAME("libc.so.6", ""),
                                    FRAME("app", "_start") };
    assert_string_equal(label_of(frames, 6),
                        "app+0x1c00 > app+0x1a2b > libcudart.so.13 cudaMalloc");
    assert_string_equal(LABEL(FRAME("libcudart.so.13", "cudaMalloc"), FRAME("", ""), FRAME("", "")),
                        "code in no file > libcudart.so.13 cudaMalloc");
}

static void nothing_left_is_empty(void **state)
{
    (void)state;
    assert_string_equal(label_of(NULL, 0), "");
    assert_string_equal(LABEL(FRAME("libcuda.so.580.1", "x"), FRAME("libvramguard.so", "y"),
                              FRAME("libc.so.6", "start_thread"), FRAME("libc.so.6", "clone3")),
                        "");
}

static void deep_stacks_keep_both_ends(void **state)
{
    (void)state;
    static struct frame frames[VG_LABEL_FRAMES];
    for (int i = 0; i < VG_LABEL_FRAMES; i++) {
        memset(frames[i].module, 'm', sizeof frames[i].module - 1);
        memset(frames[i].function, 'a' + i % 26, sizeof frames[i].function - 1);
        frames[i].module[0] = (char)('a' + i % 26);
    }
    strcpy(frames[0].module, "inner");
    strcpy(frames[0].function, "last");
    strcpy(frames[VG_LABEL_FRAMES - 1].module, "outer");
    strcpy(frames[VG_LABEL_FRAMES - 1].function, "first");
    const char *const label = label_of(frames, VG_LABEL_FRAMES);
    assert_true(strlen(label) < VG_LABEL_CAP);
    assert_memory_equal(label, "outer first > ", 14);
    assert_non_null(strstr(label, " > ... > "));
    assert_string_equal(label + strlen(label) - 13, " > inner last");
}

#define LIBRARY(name, place)                                                                       \
    {                                                                                              \
        .is_python = 1, .is_library = 1, .function = name, .location = place                       \
    }

/* What a load of a model looks like: the program's own lines stay, and what they called. */
static void keeps_the_programs_own_functions(void **state)
{
    (void)state;
    const struct frame frames[] = {
        FRAME("libcudart.so.13", "cudaMalloc"),
        FRAME("libpool_gpu.so", ""),
        FRAME("libtorch_cpu.so", "at::detail::empty_strided_generic"),
        FRAME("libtorch_cuda.so", "at::detail::empty_strided_cuda"),
        FRAME("libtorch_cpu.so", "at::_ops::empty_strided::redispatch_with_a_long_name"),
        FRAME("libtorch_python.so", ""),
        LIBRARY("Module.to.<locals>.convert", "module.py:1374"),
        LIBRARY("Module._apply", "module.py:966"),
        LIBRARY("Module._apply", "module.py:933"),
        LIBRARY("Module._apply", "module.py:933"),
        LIBRARY("Module.to", "module.py:1388"),
        LIBRARY("PreTrainedModel.to", "modeling_utils.py:3789"),
        PYTHON("load", "run_model.py:29"),
        PYTHON("main", "run_model.py:57"),
        PYTHON("<module>", "run_model.py:70"),
    };
    const char *const label = label_of(frames, 15);
    assert_string_equal(label,
                        "run_model.py:70 <module> > run_model.py:57 main > run_model.py:29 load "
                        "> modeling_utils.py:3789 to > ... > module.py:1374 convert > ... "
                        "> libtorch_cpu.so at::detail::empty_strided_generic > libpool_gpu.so "
                        "> libcudart.so.13 cudaMalloc");
    /* Shortened, these are what stays; one ellipsis stands for all that went. */
    char out[VG_LABEL_CAP];
    vg_label_fit(out, sizeof out, label, 160);
    assert_string_equal(out,
                        "run_model.py:70 <module> > run_model.py:57 main > run_model.py:29 load "
                        "> modeling_utils.py:3789 to > ... > libpool_gpu.so "
                        "> libcudart.so.13 cudaMalloc");
    vg_label_fit(out, sizeof out, label, 90);
    assert_string_equal(out,
                        "run_model.py:70 <module> > run_model.py:57 main > ... "
                        "> libcudart.so.13 cudaMalloc");
    vg_label_fit(out, sizeof out, label, 227);
    assert_null(strstr(out, "... > ..."));
}

/* A notebook's kernel starts the program's own code: a label may begin with what is left out. */
static void native_code_below_python_is_folded(void **state)
{
    (void)state;
    const struct frame frames[] = {
        FRAME("libcudart.so.13", "cudaMalloc"), FRAME("pool.so", "pool_malloc"),
        FRAME("libtorch_cuda.so", ""),          FRAME("libtorch_cpu.so", ""),
        FRAME("libtorch_python.so", ""),        PYTHON("step", "train.py:4"),
        PYTHON("main", "train.py:7"),           PYTHON("<module>", "train.py:8"),
    };
    char out[VG_LABEL_CAP];
    const char *label = label_of(frames, 8);
    assert_string_equal(label,
                        "train.py:8 <module> > train.py:7 main > train.py:4 step "
                        "> libtorch_python.so > ... > libtorch_cuda.so "
                        "> pool.so pool_malloc > libcudart.so.13 cudaMalloc");
    /* The program's own lines stay longest. */
    vg_label_fit(out, sizeof out, label, 90);
    assert_string_equal(out,
                        "train.py:8 <module> > train.py:7 main > train.py:4 step > ... "
                        "> libcudart.so.13 cudaMalloc");
    label = label_of(frames, 4); /* of a program without Python all is kept */
    assert_string_equal(label,
                        "libtorch_cpu.so > libtorch_cuda.so > pool.so pool_malloc "
                        "> libcudart.so.13 cudaMalloc");
}

static void begins_with_one_ellipsis(void **state)
{
    (void)state;
    struct frame frames[30] = { FRAME("libcudart.so.13", "cudaMalloc"),
                                PYTHON("allocate", "<cell 1>:5"),
                                PYTHON("<module>", "<cell 2>:1") };
    for (int i = 3; i < 30; i++)
        frames[i] = (struct frame)LIBRARY("run_cell_of_a_notebook", "interactiveshell.py:1");
    for (int i = 3; i < 30; i += 2)
        frames[i] = (struct frame)LIBRARY("runs_what_is_next", "base_events.py:2");
    const char *const label = label_of(frames, 30);
    assert_int_equal(strncmp(label, "... > ", 6), 0);
    assert_non_null(strstr(label, " > <cell 2>:1 <module> > <cell 1>:5 allocate > "));
    assert_null(strstr(label, "... > ..."));
}

/* What PyTorch does below the last line of Python is one word. */
static void the_allocator_of_pytorch_is_one_word(void **state)
{
    (void)state;
    assert_string_equal(LABEL(FRAME("libcudart.so.13", "cudaMalloc"), FRAME("libc10_cuda.so", ""),
                              FRAME("libc10_cuda.so", "c10::cuda::malloc"),
                              FRAME("libtorch_cpu.so", "at::empty"),
                              PYTHON("Net.forward", "net.py:7"), FRAME("python3.11", ""),
                              PYTHON("main", "train.py:14")),
                        "train.py:14 main > net.py:7 forward > PyTorch's allocator");
    /* Another library below Python is told as it is. */
    assert_string_equal(LABEL(FRAME("libcudart.so.13", "cudaMalloc"), FRAME("core.so", "alloc"),
                              PYTHON("main", "train.py:14")),
                        "train.py:14 main > core.so alloc > libcudart.so.13 cudaMalloc");
    assert_string_equal(LABEL(FRAME("libcudart.so.13", "cudaMalloc"), FRAME("libc10_cuda.so", ""),
                              FRAME("serve", "predict")),
                        "serve predict > PyTorch's allocator > libcudart.so.13 cudaMalloc");
}

/* A backward pass has threads without Python. */
static void a_backward_pass_is_told_by_its_operation(void **state)
{
    (void)state;
    assert_string_equal(
        LABEL(FRAME("libcudart.so.13", "cudaMalloc"), FRAME("libc10_cuda.so", ""),
              FRAME("libtorch_cpu.so", "at::_ops::cos::redispatch"),
              FRAME("libtorch_cpu.so", "_ZN5torch8autograd9generated12SinBackward05applyEv"),
              FRAME("libtorch_cpu.so", "torch::autograd::Engine::evaluate_function"),
              FRAME("libtorch_cpu.so", "_ZN5torch8autograd6Engine11thread_mainEv"),
              FRAME("libtorch_python.so", "torch::autograd::python::PythonEngine::thread_init"),
              FRAME("libstdc++.so.6", ""), FRAME("libc.so.6", "start_thread")),
        "backward of autograd (SinBackward0) > PyTorch's allocator");
    assert_string_equal(
        LABEL(FRAME("libtorch_cpu.so", "at::empty"),
              FRAME("libtorch_cpu.so", "torch::autograd::Engine::evaluate_function"),
              FRAME("libtorch_cpu.so", "torch::autograd::Engine::thread_main"),
              FRAME("libtorch_python.so", "torch::autograd::python::PythonEngine::thread_init")),
        "backward of autograd > libtorch_cpu.so at::empty");
    /* Of a C++ program the functions that led there stay. */
    assert_string_equal(LABEL(FRAME("libc10_cuda.so", ""), FRAME("libtorch_cpu.so", "at::empty"),
                              FRAME("libtorch_cpu.so", "torch::autograd::Engine::execute"),
                              FRAME("libtorch_cpu.so", "at::Tensor::backward"),
                              FRAME("train", "step")),
                        "train step > backward of autograd > PyTorch's allocator");
    /* Below Python the line tells. */
    assert_string_equal(
        LABEL(FRAME("libc10_cuda.so", ""),
              FRAME("libtorch_cpu.so", "torch::autograd::generated::SinBackward0::apply"),
              FRAME("libtorch_cpu.so", "torch::autograd::Engine::execute"),
              PYTHON("main", "train.py:14")),
        "train.py:14 main > PyTorch's allocator");
    /* A pass within another, as of checkpointing. */
    assert_string_equal(
        LABEL(FRAME("libc10_cuda.so", ""),
              FRAME("libtorch_cpu.so", "torch::autograd::generated::SinBackward0::apply"),
              FRAME("libtorch_cpu.so", "torch::autograd::Engine::thread_main"),
              PYTHON("backward", "checkpoint.py:14"),
              FRAME("libtorch_cpu.so", "torch::autograd::Engine::evaluate_function")),
        "checkpoint.py:14 backward > PyTorch's allocator");
    assert_string_equal(
        LABEL(FRAME("libcudart.so.13", "cudaMalloc"),
              FRAME("core.so", "torch::autograd::generated::SinBackward0::apply")),
        "core.so torch::autograd::generated::SinBackward0::apply > libcudart.so.13 cudaMalloc");
}

/* Of many functions of the program the outermost and the innermost stay. */
static void keeps_both_ends_of_the_programs_functions(void **state)
{
    (void)state;
    static struct frame frames[33];
    frames[0] = (struct frame)LIBRARY("empty", "library.py:1");
    for (int i = 1; i < 33; i++) {
        frames[i] = (struct frame){ .is_python = 1 };
        snprintf(frames[i].function, sizeof frames[i].function, "step%d", i);
        snprintf(frames[i].location, sizeof frames[i].location, "train_a_model.py:%d", i);
    }
    const char *const label = label_of(frames, 33);
    assert_memory_equal(label, "train_a_model.py:32 step32 > ... > train_a_model.py:4 step4 > ",
                        62);
    assert_non_null(strstr(label, " > train_a_model.py:1 step1 > library.py:1 empty"));
}

static void folds_recursion(void **state)
{
    (void)state;
    assert_string_equal(LABEL(LIBRARY("f", "a.py:3"), LIBRARY("f", "a.py:2"), PYTHON("f", "b.py:2"),
                              PYTHON("f", "b.py:9"), PYTHON("g", "b.py:1")),
                        "b.py:1 g > b.py:2 f > a.py:3 f");
}

static void fit_cuts_whole_functions_in_the_middle(void **state)
{
    (void)state;
    const char *const label = "main > one > two > three > cudaMalloc";
    char out[64];
    vg_label_fit(out, sizeof out, label, 37);
    assert_string_equal(out, label);
    vg_label_fit(out, sizeof out, label, 36);
    assert_string_equal(out, "main > ... > three > cudaMalloc");
    vg_label_fit(out, sizeof out, label, 25);
    assert_string_equal(out, "main > ... > cudaMalloc");
    vg_label_fit(out, sizeof out, label, 20);
    assert_string_equal(out, "... > cudaMalloc");
    vg_label_fit(out, sizeof out, label, 10);
    assert_string_equal(out, "...aMalloc");
}

static void fit_never_exceeds_its_width(void **state)
{
    (void)state;
    static const char pieces[][12] = { "a", "function", " > ", ">", " ", "\xc3\xa4", "x > y" };
    srand(7);
    for (int round = 0; round < 20000; round++) {
        char label[160] = "", out[200];
        for (int n = rand() % 12; n >= 0; n--)
            strcat(label, pieces[rand() % 7]);
        const size_t width = (size_t)rand() % 100, cap = 1 + (size_t)rand() % 100;
        memset(out, 'X', sizeof out);
        vg_label_fit(out, cap, label, width);
        assert_true(strlen(out) <= width && strlen(out) < cap);
        assert_int_equal(out[cap], 'X');
    }
}

static const char *name_of(const char *symbol)
{
    static char out[96];
    vg_symbol_name(out, sizeof out, symbol);
    return out;
}

static void reads_mangled_names(void **state)
{
    (void)state;
    static const char *const names[][2] = {
        { "_ZN2at6native10empty_cudaEN3c108ArrayRefIlEE", "at::native::empty_cuda" },
        { "_Z4loadPKc", "load" },
        { "_ZL4loadPKc", "load" },
        { "_ZNK5Model4sizeEv", "Model::size" },
        { "_ZN5ModelC2Ei", "Model::Model" },
        { "_ZN5ModelD1Ev", "Model::~Model" },
        { "_ZSt4sortIPiEvT_S1_", "std::sort" },
        { "_ZNSt6vectorIiSaIiEE9push_backEOi", "std::vector::push_back" },
        { "_ZN12_GLOBAL__N_14workEv", "(anonymous namespace)::work" },
        { "_ZN3c106detail3getILb1ELi5EE4callEv", "c10::detail::get::call" },
        { "_ZN1aILNS_4KindE2EE4callEv", "a::call" },
        { "_ZN1aIL4Kind2EE4callEv", "a::call" },
        { "_ZN1aIXadL_Z1fvEEE", "a" },
        { "cudaMalloc", "cudaMalloc" },
        { "__libc_start_main@@GLIBC_2.34", "__libc_start_main" },
        { "load_model.constprop.0.isra.0", "load_model" },
        { "work.part.3.cold@@V1", "work" },
        { ".cold", ".cold" },
        { "_Z", "_Z" },
        { "_ZN", "_ZN" },
        { "_ZN9", "_ZN9" },
        { "_ZN99999999999999999999x", "_ZN99999999999999999999x" },
        { "short<int>(long)", "short<int>(long)" },
        { "at::native::(anonymous namespace)::copy_kernel<float, long>(at::TensorIterator&)",
          "at::native::(anonymous namespace)::copy_kernel" },
        { "std::vector<int, std::allocator<int>> make::it<int>(std::pair<int, int>)", "make::it" },
        { "a_rather_long_name_of_a_class<int>::operator()(int, int) const",
          "a_rather_long_name_of_a_class::operator()" },
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_string_equal(name_of(names[i][0]), names[i][1]);
}

static void survives_any_symbol(void **state)
{
    (void)state;
    static const char letters[] = "NIEXLSTCDKZ0123456789_avt<>() ";
    srand(11);
    for (int round = 0; round < 200000; round++) {
        char symbol[40] = "_Z", out[24];
        const int length = 2 + rand() % 36;
        for (int i = 2; i < length; i++)
            symbol[i] = letters[rand() % (int)(sizeof letters - 1)];
        vg_symbol_name(out, 1 + (size_t)rand() % sizeof out, symbol + (rand() % 2) * 2);
        assert_true(strlen(out) < sizeof out);
    }
}

static void paths_of_packages_are_known(void **state)
{
    (void)state;
    static const char *const packages[] = { "/usr/lib/python3/dist-packages/torch/nn.py",
                                            "/v/lib/python3.12/site-packages/torch/nn.py",
                                            "/usr/lib/python3.12/threading.py",
                                            "<frozen runpy>",
                                            "torch/nn/modules/linear.py",
                                            "threading.py" };
    static const char *const own[] = { "/home/me/train.py",
                                       "train.py",
                                       "<stdin>",
                                       "",
                                       "/home/me/my-packages/x.py",
                                       "net/torch/blocks.py",
                                       "/home/me/threading.py",
                                       "torch.py" };
    for (size_t i = 0; i < sizeof packages / sizeof packages[0]; i++)
        assert_true(vg_frame_is_library_path(packages[i]));
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        assert_false(vg_frame_is_library_path(own[i]));
}

/* What PyInstaller makes of a program and all that it imports. */
static void packages_in_a_packed_program_are_known(void **state)
{
    (void)state;
    static const char texts[] = "torch/nn/modules/linear.py\0Linear.forward";
    struct vg_journal_code *const code = calloc(1, sizeof *code + sizeof texts);
    assert_non_null(code);
    code->file_bytes = sizeof "torch/nn/modules/linear.py";
    memcpy(code->texts, texts, sizeof texts);
    struct vg_region region = vg_region_over(NULL, 0);
    char out[VG_FRAME_LOCATION_CAP];
    const struct vg_run_frame frame = vg_frame_of_python(&region, code, 12);
    assert_true(vg_frame_is_library(&frame) && !vg_frame_is_own(&frame));
    assert_non_null(strstr(frame.file, "/torch/nn/modules/"));
    assert_string_equal(vg_frame_location(out, &frame), "linear.py:12");
    assert_string_equal(frame.function, "Linear.forward");
    vg_region_release(&region);
    free(code);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folds_runs_of_a_module),
        cmocka_unit_test(keeps_source_locations),
        cmocka_unit_test(folds_an_interpreter_with_source_locations),
        cmocka_unit_test(python_frames_stand_for_the_interpreter),
        cmocka_unit_test(begins_with_the_program),
        cmocka_unit_test(names_the_runtime_function_that_was_called),
        cmocka_unit_test(tells_nameless_places_apart),
        cmocka_unit_test(nothing_left_is_empty),
        cmocka_unit_test(deep_stacks_keep_both_ends),
        cmocka_unit_test(keeps_the_programs_own_functions),
        cmocka_unit_test(native_code_below_python_is_folded),
        cmocka_unit_test(begins_with_one_ellipsis),
        cmocka_unit_test(the_allocator_of_pytorch_is_one_word),
        cmocka_unit_test(a_backward_pass_is_told_by_its_operation),
        cmocka_unit_test(keeps_both_ends_of_the_programs_functions),
        cmocka_unit_test(folds_recursion),
        cmocka_unit_test(fit_cuts_whole_functions_in_the_middle),
        cmocka_unit_test(fit_never_exceeds_its_width),
        cmocka_unit_test(reads_mangled_names),
        cmocka_unit_test(survives_any_symbol),
        cmocka_unit_test(paths_of_packages_are_known),
        cmocka_unit_test(packages_in_a_packed_program_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
