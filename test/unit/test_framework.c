/* Which framework made a call, and whose memory a site is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "view/framework.h"

static struct vg_run_frame python(const char *file)
{
    return (struct vg_run_frame){
        .module = "", .function = "f", .file = file, .flags = VG_FRAME_PYTHON
    };
}

static struct vg_run_frame native(const char *module)
{
    return (struct vg_run_frame){ .module = module, .function = "f", .file = "" };
}

static const char *name_of(const struct vg_run_frame *frames, uint32_t count)
{
    struct vg_run_failure failure = { .stack = { .frames = frames, .frame_count = count } };
    const struct vg_framework *const row = vg_framework_of_call(&failure);
    return row ? row->name : "none";
}

static void a_python_file_tells_the_framework(void **state)
{
    (void)state;
    const struct vg_run_frame frames[] = { native("libffi.so.8"),
                                           python("/v/site-packages/numba/cuda/driver.py"),
                                           python("/home/me/train.py") };
    assert_string_equal(name_of(frames, 3), "numba");
    assert_string_equal(name_of(&frames[2], 1), "none");
}

static void a_library_tells_the_framework(void **state)
{
    (void)state;
    const struct vg_run_frame frames[] = { native("libcuda.so.1"), native("xla_cuda_plugin.so"),
                                           python("/home/me/train.py") };
    assert_string_equal(name_of(frames, 3), "JAX");
}

static void what_pytorch_calls_is_not_its_callers(void **state)
{
    (void)state;
    const struct vg_run_frame frames[] = { native("libcudart.so.13"), native("libc10_cuda.so"),
                                           native("libtorch_cpu.so"), python("/v/vllm/worker.py") };
    assert_string_equal(name_of(frames, 4), "none");
}

static void a_project_of_that_name_is_no_library(void **state)
{
    (void)state;
    const struct vg_run_frame frames[] = { native("mylibggml"), python("/home/me/my_cupy/run.py") };
    assert_string_equal(name_of(frames, 2), "none");
}

static void a_label_tells_whose_memory_a_site_is(void **state)
{
    (void)state;
    struct vg_run_site site = { .label = "both.py:6 <module> > xla_extension.so grow" };
    assert_string_equal(vg_framework_of_site(&site)->name, "JAX");
    site.label = "main (libllama_like.c:12) > mylibggml.so x";
    assert_null(vg_framework_of_site(&site));
    site.label = "llama-server main";
    assert_string_equal(vg_framework_of_site(&site)->name, "llama.cpp");
}

static void every_row_can_be_told_and_says_something(void **state)
{
    (void)state;
    size_t count;
    const struct vg_framework *const rows = vg_framework_rows(&count);
    assert_true(count > 8);
    for (size_t i = 0; i < count; i++) {
        assert_true(rows[i].modules[0] != '\0' || rows[i].paths[0] != '\0');
        assert_true(strlen(rows[i].advice) > 20 && strlen(rows[i].advice) < 200);
        assert_int_not_equal(rows[i].advice[strlen(rows[i].advice) - 1], '.');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_python_file_tells_the_framework),
        cmocka_unit_test(a_library_tells_the_framework),
        cmocka_unit_test(what_pytorch_calls_is_not_its_callers),
        cmocka_unit_test(a_project_of_that_name_is_no_library),
        cmocka_unit_test(a_label_tells_whose_memory_a_site_is),
        cmocka_unit_test(every_row_can_be_told_and_says_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
