/* How many of a batch fit at most: said where the record tells it, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "census_fixture.h"
#include "view/batch_text.h"

#define SMALLER "a smaller batch (with gradient accumulation)"

static const char *smaller(void)
{
    struct vg_text text = vg_text_over(text_data, sizeof text_data);
    vg_batch_text_add_smaller(&failure, &text);
    return text_data;
}

static const char *rendered(void)
{
    struct vg_text text = vg_text_over(text_data, sizeof text_data);
    vg_batch_text_render(&text, &failure, 11, 200);
    return text_data;
}

/* A batch of 32 takes 800 MiB, 100 MiB more were asked for, as for another of its tensors; there
 * are 100 MiB of parameters. */
static int prepare_batch(void **state)
{
    prepare(state);
    census.kinds[VG_CENSUS_PARAMETER].bytes = 100 * MIB;
    census.kinds[VG_CENSUS_GRAPH].bytes = 800 * MIB;
    census.batch = (struct vg_census_batch){ .size = 32,
                                             .bytes = 800 * MIB,
                                             .block_bytes = { 3 * MIB, 100 * MIB } };
    failure.asked_bytes = 100 * MIB;
    failure.torch.reserved_bytes = 900 * MIB;
    failure.device.gpu.free_bytes = 75 * MIB;
    return 0;
}

static void what_fits_is_what_there_is_room_for(void **state)
{
    (void)state; /* 900 + 75 - 100 of 800 + 100 MiB, times 32: 31.1 */
    assert_string_equal(smaller(), SMALLER
                        ": of this one's 32 at most 31 fit, by what it has "
                        "taken so far");
    failure.device.gpu.free_bytes = 100 * MIB;
    assert_string_equal(smaller(), SMALLER); /* all of them: it was in pieces */
    failure.device.gpu.free_bytes = 99 * MIB;
    assert_non_null(strstr(smaller(), "at most 31 fit"));
    census.kinds[VG_CENSUS_GRADIENT].bytes = 100 * MIB;
    assert_non_null(strstr(smaller(), "at most 28 fit"));
    census.batch.alike_bytes = 100 * MIB;
    assert_non_null(strstr(smaller(), "at most 25 fit"));
}

static void a_small_tensors_segment_is_not_its_size(void **state)
{
    (void)state;
    failure.asked_bytes = census.batch.block_bytes[0] = 20 * MIB;
    failure.device.gpu.free_bytes = 0;
    assert_string_equal(smaller(), SMALLER);
    failure.torch.reserved_bytes = 890 * MIB;
    assert_non_null(strstr(smaller(), "at most 31 fit"));
}

static void layers_tell_what_is_to_come(void **state)
{
    (void)state;
    census.batch.is_in_forward = 1;
    census.batch.layers = 12;
    census.batch.layers_done = 8;
    census.batch.layer_bytes = 95 * MIB;
    census.batch.coming_bytes = 320 * MIB;
    assert_string_equal(smaller(), SMALLER
                        ": of this one's 32 at most 25 fit, if the other layers "
                        "keep as much as the first 8");
    census.batch.coming_bytes = 90 * MIB; /* less than was asked for */
    assert_non_null(strstr(smaller(), "at most 31 fit, by what it has taken so far"));
}

static void a_forward_pass_of_unknown_length_tells_only_what_is_much(void **state)
{
    (void)state;
    census.batch.is_in_forward = 1;
    assert_string_equal(smaller(), SMALLER);
    failure.torch.reserved_bytes = 850 * MIB; /* 29.3 */
    assert_string_equal(smaller(), SMALLER);
    failure.torch.reserved_bytes = 840 * MIB; /* 28.98 */
    assert_non_null(strstr(smaller(), "at most 28 fit, by"));
}

static void nothing_is_said_where_memory_grows_otherwise(void **state)
{
    (void)state;
    census.batch.other_bytes = 50 * MIB;
    assert_non_null(strstr(smaller(), "at most 31 fit"));
    census.batch.other_bytes = 51 * MIB;
    assert_string_equal(smaller(), SMALLER);
}

static void nothing_is_said_of_a_tensor_of_all_pairs(void **state)
{
    (void)state;
    census.batch.size = 4096;
    failure.device.gpu.free_bytes = 50 * MIB;
    failure.asked_bytes = census.batch.block_bytes[0] = 64 * MIB; /* 4 bytes each */
    assert_string_equal(smaller(), SMALLER);
    census.batch.block_bytes[0] = 0;
    failure.asked_bytes = 66 * MIB;
    assert_string_equal(smaller(), SMALLER); /* or of other shapes that the batch has not yet */
    census.batch.block_bytes[1] = 65 * MIB;
    assert_non_null(strstr(smaller(), "of this one's 4096 at most 4024 fit"));
    census.batch.block_bytes[1] = 64 * MIB; /* it would be as much */
    assert_string_equal(smaller(), SMALLER);
}

static void what_a_model_has_of_the_batch_is_smaller_too(void **state)
{
    (void)state; /* 875 + 40 of 900 + 40, times 32: 31.1; and 875 + 100 of 1000 */
    census.batch.model_bytes = 40 * MIB;
    failure.device.gpu.free_bytes = 0;
    assert_non_null(strstr(smaller(), "at most 28 fit"));
    census.batch.model_bytes = 0;
    assert_non_null(strstr(smaller(), "at most 28 fit"));
    census.batch.model_bytes = 1000 * MIB; /* a damaged record */
    assert_non_null(strstr(smaller(), "at most 15 fit"));
}

static void nothing_is_said_without_a_whole_census(void **state)
{
    (void)state;
    census.state = VG_CENSUS_OUT_OF_TIME;
    assert_string_equal(smaller(), SMALLER);
    census.state = VG_CENSUS_COMPLETE;
    census.batch.size = 0;
    assert_string_equal(smaller(), SMALLER);
    census.batch.size = 32;
    failure.refused_by = VG_REFUSED_BY_PYTORCH;
    assert_string_equal(smaller(), SMALLER);
    failure.refused_by = VG_REFUSED_BY_DRIVER;
    failure.device.gpu.free_bytes = VG_BYTES_UNKNOWN;
    assert_string_equal(smaller(), SMALLER);
    failure.device.gpu.free_bytes = 75 * MIB;
    failure.asked_bytes = VG_BYTES_UNKNOWN;
    assert_string_equal(smaller(), SMALLER);
}

static void a_batch_of_one_is_not_made_smaller(void **state)
{
    (void)state;
    census.batch.size = 1;
    assert_string_equal(smaller(), "shorter or smaller inputs (the batch is 1 already)");
}

static void not_even_one_is_said(void **state)
{
    (void)state;
    census.batch.size = 2;
    census.batch.is_in_forward = 1;
    census.batch.layers = 24;
    census.batch.layers_done = 3;
    census.batch.layer_bytes = 200 * MIB;
    census.batch.coming_bytes = 4000 * MIB;
    assert_string_equal(smaller(),
                        "shorter or smaller inputs: not even 1 of this batch's 2 fits, "
                        "if the other layers keep as much as the first 3");
}

static void a_damaged_record_does_no_harm(void **state)
{
    (void)state;
    failure.asked_bytes = 1;
    census.batch = (struct vg_census_batch){ .size = UINT32_MAX };
    assert_string_equal(smaller(), SMALLER);
    census.batch.bytes = census.batch.alike_bytes = UINT64_MAX / 2;
    census.batch.layers_done = UINT32_MAX;
    census.batch.layers = 1;
    smaller();
    assert_non_null(strstr(rendered(), "the forward pass is in layer"));
}

static void the_report_tells_the_batch(void **state)
{
    (void)state;
    assert_string_equal(rendered(), "  Batch    32, the first dimension of tensors of 800 MiB\n");
    census.batch.layers = 12;
    census.batch.layers_done = 8;
    census.batch.layer_bytes = 95 * MIB;
    assert_string_equal(rendered(),
                        "  Batch    32, the first dimension of tensors of 800 MiB; the "
                        "forward pass is in layer 9 of 12, and each one before it "
                        "keeps 95.0 MiB\n");
    census.batch.size = 0;
    assert_string_equal(rendered(), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(what_fits_is_what_there_is_room_for, prepare_batch),
        cmocka_unit_test_setup(a_small_tensors_segment_is_not_its_size, prepare_batch),
        cmocka_unit_test_setup(layers_tell_what_is_to_come, prepare_batch),
        cmocka_unit_test_setup(a_forward_pass_of_unknown_length_tells_only_what_is_much,
                               prepare_batch),
        cmocka_unit_test_setup(nothing_is_said_where_memory_grows_otherwise, prepare_batch),
        cmocka_unit_test_setup(nothing_is_said_of_a_tensor_of_all_pairs, prepare_batch),
        cmocka_unit_test_setup(what_a_model_has_of_the_batch_is_smaller_too, prepare_batch),
        cmocka_unit_test_setup(nothing_is_said_without_a_whole_census, prepare_batch),
        cmocka_unit_test_setup(a_batch_of_one_is_not_made_smaller, prepare_batch),
        cmocka_unit_test_setup(not_even_one_is_said, prepare_batch),
        cmocka_unit_test_setup(a_damaged_record_does_no_harm, prepare_batch),
        cmocka_unit_test_setup(the_report_tells_the_batch, prepare_batch),
    };
    return cmocka_run_group_tests_name("batch_text", tests, NULL, NULL);
}
