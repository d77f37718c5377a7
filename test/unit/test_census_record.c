/* The census of a failure in the run file: read again, of an older version, and hostile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analyze/census.h"
#include "base/text.h"
#include "event_fixture.h"
#include "view/render.h"

static struct vg_census census;

/* One with arrays, of which `bytes` are written; as read from the file. */
static const struct vg_census *write_and_read_census(uint32_t bytes)
{
    sample_alone(&s);
    s.census = &census;
    s.census_bytes = bytes;
    s.census_format = VG_CENSUS_FORMAT;
    assert_int_equal(vg_failure_record_append(recorder, &s, buffer), 0);
    read_back();
    assert_int_equal(run.failure_count, 1);
    assert_int_equal(run.failures[0].census_format, VG_CENSUS_FORMAT);
    assert_int_equal(run.failures[0].census_bytes, sizeof census);
    return run.failures[0].census;
}

static void make_census(void)
{
    memset(&census, 0, sizeof census);
    census.state = VG_CENSUS_COMPLETE;
    census.arrays[VG_CENSUS_CUPY] = (struct vg_census_amount){ 900, 9 };
    census.arrays_were_asked = census.arrays_are_of_device = 1;
    census.variable_count = 1;
    SET(census.variables[0].path, "history");
    census.held_arrays[0].arrays[VG_CENSUS_CUPY] = census.arrays[VG_CENSUS_CUPY];
    census.array_shape_count = 1;
    census.array_shapes[0] =
        (struct vg_census_array_shape){ .from = VG_CENSUS_CUPY,
                                        .shape = { .rank = 1, .sizes = { 100 }, .dtype = "int8" } };
}

static void a_census_is_read_again(void **state)
{
    (void)state;
    make_census();
    assert_memory_equal(write_and_read_census(sizeof census), &census, sizeof census);
    release();
}

static void a_census_of_an_older_version_has_no_arrays_of_the_device(void **state)
{
    (void)state;
    make_census();
    const struct vg_census *const read =
        write_and_read_census(offsetof(struct vg_census, arrays_were_asked));
    assert_int_equal(read->arrays[VG_CENSUS_CUPY].bytes, 900);
    assert_string_equal(read->variables[0].path, "history");
    assert_int_equal(read->arrays_are_of_device, 0);
    assert_int_equal(read->array_shape_count, 0);
    assert_int_equal(read->held_arrays[0].arrays[VG_CENSUS_CUPY].bytes, 0);
    release();
}

static void a_hostile_census_does_no_harm(void **state)
{
    (void)state;
    memset(&census, 0x1b, sizeof census);
    census.module_count = census.shape_count = census.variable_count = UINT32_MAX;
    census.array_shape_count = census.line_count = UINT32_MAX;
    census.state = VG_CENSUS_COMPLETE;
    const struct vg_census *const read = write_and_read_census(sizeof census);
    assert_int_equal(read->module_count, VG_CENSUS_MODULES);
    assert_int_equal(read->shape_count, VG_CENSUS_SHAPES);
    assert_int_equal(read->variable_count, VG_CENSUS_VARIABLES);
    assert_int_equal(read->array_shape_count, VG_CENSUS_SHAPES);
    assert_int_equal(read->line_count, VG_CENSUS_LINES);
    assert_non_null(run.failures[0].census_lines); /* of stacks that are not there */
    assert_string_equal(run.failures[0].census_lines[VG_CENSUS_LINES - 1].file, "");
    for (uint32_t i = 0; i < VG_CENSUS_VARIABLES; i++) {
        const struct vg_census_variable *const variable = &read->variables[i];
        assert_true(variable->place < VG_CENSUS_PLACES);
        assert_true(vg_text_is_safe(variable->path) && vg_text_is_safe(variable->type));
        assert_true(vg_text_is_safe(variable->function) && vg_text_is_safe(variable->file));
    }
    for (uint32_t i = 0; i < VG_CENSUS_SHAPES; i++)
        assert_true(vg_text_is_safe(read->array_shapes[i].shape.dtype));
    static char report[1 << 17];
    struct vg_text text = vg_text_over(report, sizeof report);
    vg_report_render(&run.failures[0], (struct vg_report_style){ 0 }, &text);
    assert_null(strchr(report, 0x1b));
    release();
}

static void a_state_that_there_is_not_is_none(void **state)
{
    (void)state;
    make_census();
    census.state = VG_CENSUS_STATES;
    const struct vg_census *const read = write_and_read_census(sizeof census);
    assert_int_equal(read->state, VG_CENSUS_NOT_TAKEN);
    release();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        EVENT_TEST(a_census_is_read_again),
        EVENT_TEST(a_census_of_an_older_version_has_no_arrays_of_the_device),
        EVENT_TEST(a_hostile_census_does_no_harm),
        EVENT_TEST(a_state_that_there_is_not_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
