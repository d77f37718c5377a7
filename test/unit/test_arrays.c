/* Arrays of CuPy, numba and JAX in a failure: who holds them, what is printed of them, and what is
 * advised where that was measured, and not where something looks like it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "analyze/array_holder.h"
#include "sample_failure.h"
#include "view/advice_arrays.h"
#include "view/advice_blocks.h"
#include "view/array_tables.h"
#include "view/array_text.h"

#define MIB (UINT64_C(1) << 20)

static struct vg_census census;
static struct vg_run_failure failure;
static char data[4096];

static struct vg_census_variable *add_variable(const char *path, int64_t length,
                                               enum vg_census_array_library library, uint64_t bytes)
{
    struct vg_census_variable *const variable = &census.variables[census.variable_count];
    struct vg_census_held *const held = &census.held_arrays[census.variable_count++];
    snprintf(variable->path, sizeof variable->path, "%s", path);
    snprintf(variable->function, sizeof variable->function, "main");
    snprintf(variable->file, sizeof variable->file, "/p/train.py");
    snprintf(variable->type, sizeof variable->type, length < 0 ? "ndarray" : "list");
    variable->line = 24;
    variable->length = length;
    held->arrays[library] = (struct vg_census_amount){ bytes, length < 0 ? 1 : (uint64_t)length };
    return variable;
}

static void add_shape(enum vg_census_array_library library, uint64_t bytes, uint64_t blocks)
{
    struct vg_census_array_shape *const shape = &census.array_shapes[census.array_shape_count++];
    *shape = (struct vg_census_array_shape){
        .from = library,
        .shape = { .rank = 2, .sizes = { 64, 1048576 }, .dtype = "float32" },
    };
    shape->shape.amount = (struct vg_census_amount){ bytes, blocks };
}

/* Numba's arrays hold 900 MiB of the 1000 MiB of this process, 20 MiB asked, 8 MiB free. */
static int prepare(void **state)
{
    (void)state;
    memset(&census, 0, sizeof census);
    memset(sites, 0, sizeof sites);
    sample_alone(&failure);
    census.state = VG_CENSUS_COMPLETE;
    census.arrays_were_asked = census.arrays_are_of_device = 1;
    census.arrays[VG_CENSUS_NUMBA] = (struct vg_census_amount){ 900 * MIB, 15 };
    sites[0].live_bytes = 880 * MIB;
    sites[0].live_count = 14;
    sites[0].own = (struct vg_run_line){
        .path = "/p/net.py", .file = "net.py", .line = 5, .function = "fill", .text = ""
    };
    sites[0].label = sites[0].called = "";
    failure.asked_bytes = 20 * MIB;
    failure.device.gpu.total_bytes = 1100 * MIB;
    failure.device.gpu.free_bytes = 8 * MIB;
    failure.device.live_bytes = 1000 * MIB;
    failure.device.others_bytes = VG_BYTES_UNKNOWN;
    failure.device.sites[VG_LEVEL_ALLOCATIONS] =
        (struct vg_run_sites){ .count = 1, .entries = sites, .is_known = true };
    failure.census = &census;
    failure.census_bytes = sizeof census;
    failure.census_format = VG_CENSUS_FORMAT;
    return 0;
}

static const char *why_of(const struct vg_advice_row *row)
{
    struct vg_text text = vg_text_over(data, sizeof data);
    row->cause(&failure, &text);
    return data;
}

static const char *advice_of(const struct vg_advice_row *row)
{
    struct vg_text text = vg_text_over(data, sizeof data);
    row->advice(&failure, &text);
    return data;
}

static const char *tables(void)
{
    struct vg_text text = vg_text_over(data, sizeof data);
    vg_array_tables_add(&text, &failure, 8, 100);
    return data;
}

/* Nothing of PyTorch in a program without it. */
static void assert_no_torch(const char *text)
{
    assert_null(strstr(text, "torch"));
    assert_null(strstr(text, "PyTorch"));
    assert_null(strstr(text, "tensor"));
    assert_null(strstr(text, ".cpu()"));
}

/* ---- who holds them ---- */

static void a_container_of_arrays_is_found(void **state)
{
    (void)state;
    add_variable("scratch", -1, VG_CENSUS_NUMBA, 20 * MIB);
    struct vg_census_variable *const history =
        add_variable("history", 14, VG_CENSUS_NUMBA, 880 * MIB);
    assert_ptr_equal(vg_array_holder_of_several(&failure, 12 * MIB), history);
    assert_int_equal(vg_array_holder_held(&census, history).bytes, 880 * MIB);
    assert_int_equal(vg_array_holder_library(&census, history), VG_CENSUS_NUMBA);
    assert_null(vg_array_holder_of_several(&failure, 881 * MIB));
    add_variable("results", 20, VG_CENSUS_CUPY, 300 * MIB); /* of two the larger one */
    assert_ptr_equal(vg_array_holder_of_several(&failure, 12 * MIB), history);
    census.variable_count--;
    history->length = 3;
    assert_null(vg_array_holder_of_several(&failure, 12 * MIB));
    history->length = 14;
    history->place = VG_CENSUS_LIBRARY;
    assert_null(vg_array_holder_of_several(&failure, 12 * MIB));
    history->place = VG_CENSUS_LOCAL;
    snprintf(history->file, sizeof history->file, "/v/site-packages/solver/pool.py");
    assert_null(vg_array_holder_of_several(&failure, 12 * MIB)); /* of a library's function */
    snprintf(history->file, sizeof history->file, "/p/train.py");
    failure.device.live_bytes = 4000 * MIB; /* most of it is something else */
    assert_null(vg_array_holder_of_several(&failure, 12 * MIB));
}

static void arrays_of_any_device_are_none(void **state)
{
    (void)state;
    assert_non_null(vg_array_holder_census(&failure));
    failure.census_format = VG_CENSUS_FORMAT + 1;
    assert_null(vg_array_holder_asked(&failure)); /* not to be understood here */
    failure.census_format = VG_CENSUS_FORMAT;
    failure.census_bytes--;
    assert_null(vg_array_holder_asked(&failure));
    failure.census_bytes++;
    census.arrays_are_of_device = 0; /* as recorded before this was told */
    assert_null(vg_array_holder_census(&failure));
    census.arrays_are_of_device = 1;
    census.state = VG_CENSUS_REFUSED;
    assert_null(vg_array_holder_census(&failure));
    census.state = VG_CENSUS_COMPLETE;
    census.arrays[VG_CENSUS_NUMBA].bytes = 0;
    assert_null(vg_array_holder_census(&failure));
}

/* ---- advice ---- */

static void arrays_that_pile_up(void **state)
{
    (void)state;
    add_variable("history", 14, VG_CENSUS_NUMBA, 880 * MIB);
    assert_false(vg_advice_kept_arrays.applies(&failure)); /* no line keeps more and more */
    sites[0].growth.kind = VG_GROWTH_STEADY;
    assert_true(vg_advice_kept_arrays.applies(&failure));
    assert_string_equal(
        why_of(&vg_advice_kept_arrays),
        "`history` (list of 14, train.py:24 main) keeps more and more, by now 880 "
        "MiB of numba device arrays on the GPU; at least 760 MiB of it lies in memory "
        "that net.py:5 fill allocated.");
    assert_non_null(strstr(advice_of(&vg_advice_kept_arrays), "x.copy_to_host()"));
    assert_no_torch(data);
    failure.device.others_bytes = 890 * MIB; /* another process holds more */
    assert_false(vg_advice_kept_arrays.applies(&failure));
}

static void arrays_that_are_held(void **state)
{
    (void)state;
    struct vg_census_variable *const cache = add_variable("cache", 30, VG_CENSUS_CUPY, 300 * MIB);
    census.arrays[VG_CENSUS_CUPY] = (struct vg_census_amount){ 300 * MIB, 30 };
    assert_true(vg_advice_held_arrays.applies(&failure));
    assert_non_null(
        strstr(why_of(&vg_advice_held_arrays), "holds 300 MiB of CuPy arrays, of the 1000 MiB"));
    assert_non_null(strstr(advice_of(&vg_advice_held_arrays), "cupy.asnumpy(x)"));
    assert_non_null(strstr(data, "del cache;"));
    assert_non_null(strstr(data, "cupy.get_default_memory_pool().free_all_blocks()"));
    assert_no_torch(data);
    const struct vg_run_kind managed = { .kind = VG_KIND_MANAGED };
    assert_non_null(strstr(why_of(&vg_advice_held_arrays),
                           "; at least 180 MiB of it lies in memory that net.py:5 fill"));
    failure.device.kinds = &managed; /* that is in no device's sum, and arrays may lie in it */
    failure.device.kind_count = 1;
    assert_null(strstr(why_of(&vg_advice_held_arrays), "lies in memory"));
    failure.device.kind_count = 0;
    sites[0].live_bytes = 820 * MIB; /* of it may be 700: what is left is less than an eighth */
    assert_null(strstr(why_of(&vg_advice_held_arrays), "lies in memory"));
    sites[0].live_bytes = 650 * MIB; /* all of the arrays may be elsewhere */
    assert_null(strstr(why_of(&vg_advice_held_arrays), "lies in memory"));
    cache->length = -1; /* one array is no collection */
    assert_false(vg_advice_held_arrays.applies(&failure));
    cache->length = 30;
    failure.asked_bytes = 400 * MIB; /* without it the call would fail as well */
    assert_false(vg_advice_held_arrays.applies(&failure));
}

static void an_exception_that_keeps_arrays(void **state)
{
    (void)state;
    struct vg_census_variable *const error = add_variable("error", -1, VG_CENSUS_JAX, 500 * MIB);
    assert_false(vg_advice_array_traceback.applies(&failure));
    census.held_arrays[0].traceback = (struct vg_census_amount){ 500 * MIB, 9 };
    assert_true(vg_advice_array_traceback.applies(&failure));
    assert_non_null(
        strstr(why_of(&vg_advice_array_traceback), "these hold 500 MiB of JAX arrays: `error`"));
    assert_non_null(strstr(advice_of(&vg_advice_array_traceback), "del error"));
    assert_no_torch(data);
    error->length = 9;
    assert_null(vg_array_holder_of_several(&failure, 12 * MIB)); /* it is the exception's */
    /* Of a thread that fails after the main thread has: it is of this very failure. */
    static const struct vg_run_frame frame = {
        .module = "", .function = "f", .file = "a.py", .flags = VG_FRAME_PYTHON
    };
    error->place = VG_CENSUS_LIBRARY;
    strcpy(error->function, "sys");
    strcpy(error->path, "last_value");
    assert_true(vg_advice_array_traceback.applies(&failure));
    failure.stack.frames = &frame;
    failure.stack.frame_count = 1;
    failure.thread_id = (uint32_t)failure.process->pid + 1;
    assert_false(vg_advice_array_traceback.applies(&failure));
}

static void advice_finds_its_row(void **state)
{
    (void)state;
    assert_string_not_equal(vg_advice_find(&failure)->name, "held-arrays");
    add_variable("cache", 14, VG_CENSUS_NUMBA, 880 * MIB);
    assert_string_equal(vg_advice_find(&failure)->name, "held-arrays");
    sites[0].growth.kind = VG_GROWTH_STEADY;
    assert_string_equal(vg_advice_find(&failure)->name, "kept-arrays");
    /* A census of a PyTorch program that has no arrays changes nothing. */
    memset(census.arrays, 0, sizeof census.arrays);
    assert_string_not_equal(vg_advice_find(&failure)->name, "kept-arrays");
}

static void each_library_has_its_way_to_the_host(void **state)
{
    (void)state;
    assert_string_equal(vg_array_text_of(VG_CENSUS_CUPY)->to_host, "cupy.asnumpy(x)");
    assert_string_equal(vg_array_text_of(VG_CENSUS_NUMBA)->to_host, "x.copy_to_host()");
    assert_string_equal(vg_array_text_of(VG_CENSUS_JAX)->to_host, "jax.device_get(x)");
}

/* What a variable holds of arrays is no tensor. */
static void arrays_are_no_tensors(void **state)
{
    (void)state;
    add_variable("history", 14, VG_CENSUS_NUMBA, 880 * MIB);
    failure.torch.tells_blocks = true;
    failure.torch.allocated_bytes = 100 * MIB;
    census.total = (struct vg_census_amount){ 100 * MIB, 4 };
    assert_false(vg_advice_held_data.applies(&failure));
    assert_false(vg_advice_kept_results.applies(&failure));
}

/* ---- tables ---- */

static void tables_tell_shapes_and_variables(void **state)
{
    (void)state;
    add_variable("history", 14, VG_CENSUS_NUMBA, 880 * MIB);
    add_variable("small", -1, VG_CENSUS_NUMBA, 1 * MIB);
    add_shape(VG_CENSUS_NUMBA, 880 * MIB, 14);
    assert_string_equal(tables(),
                        "  Arrays on this GPU: numba 900 MiB (15x)\n"
                        "     880 MiB       14x  numba float32 (64, 1048576)\n"
                        "    20.0 MiB        1x  (other shapes)\n"
                        "  Which variables hold these arrays\n"
                        "     880 MiB       14x  `history` (list of 14, train.py:24 main)\n");
    census.arrays[VG_CENSUS_CUPY] = (struct vg_census_amount){ 1 * MIB, 1 };
    census.state = VG_CENSUS_OUT_OF_TIME;
    assert_non_null(strstr(tables(), "CuPy 1.00 MiB (1x), numba 900 MiB (15x)"));
    assert_non_null(strstr(data, "(as far as there was time to look)"));
}

static void silence_is_told_where_arrays_were_looked_for(void **state)
{
    (void)state;
    census.arrays_are_of_device = 0;
    census.state = VG_CENSUS_NO_GIL;
    assert_string_equal(tables(),
                        "  Arrays on this GPU: not looked at, another thread kept "
                        "Python's lock (GIL)\n");
    census.arrays_were_asked = 0; /* PyTorch's observer */
    assert_string_equal(tables(), "");
    census.arrays_were_asked = 1;
    census.state = VG_CENSUS_COMPLETE; /* and there are none */
    census.arrays_are_of_device = 1;
    memset(census.arrays, 0, sizeof census.arrays);
    assert_string_equal(tables(), "");
}

static void shapes_are_written_as_numpy_does(void **state)
{
    (void)state;
    struct vg_census_shape shape = { .rank = 1, .sizes = { 7 }, .dtype = "int8" };
    struct vg_text text = vg_text_over(data, sizeof data);
    vg_array_text_add_shape(&text, &shape);
    assert_string_equal(data, "int8 (7,)");
    shape.rank = 0;
    shape.dtype[0] = '\0';
    text = vg_text_over(data, sizeof data);
    vg_array_text_add_shape(&text, &shape);
    assert_string_equal(data, "? ()");
    shape.rank = 9;
    text = vg_text_over(data, sizeof data);
    vg_array_text_add_shape(&text, &shape);
    assert_string_equal(data, "? (7, 0, 0, 0, 0, 0, 0, 0, ...)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_container_of_arrays_is_found, prepare),
        cmocka_unit_test_setup(arrays_of_any_device_are_none, prepare),
        cmocka_unit_test_setup(arrays_that_pile_up, prepare),
        cmocka_unit_test_setup(arrays_that_are_held, prepare),
        cmocka_unit_test_setup(an_exception_that_keeps_arrays, prepare),
        cmocka_unit_test_setup(advice_finds_its_row, prepare),
        cmocka_unit_test_setup(arrays_are_no_tensors, prepare),
        cmocka_unit_test_setup(tables_tell_shapes_and_variables, prepare),
        cmocka_unit_test_setup(silence_is_told_where_arrays_were_looked_for, prepare),
        cmocka_unit_test_setup(shapes_are_written_as_numpy_does, prepare),
        cmocka_unit_test(each_library_has_its_way_to_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
