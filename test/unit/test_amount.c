/* Amounts in sentences and in columns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/amount.h"

static const char *column(int64_t bytes, uint64_t total_bytes)
{
    static char out[VG_SIZE_TEXT_CAP];
    return vg_amount_format_column(out, bytes, total_bytes);
}

static void sentences_have_two_decimals_from_one_gib_on(void **state)
{
    (void)state;
    assert_string_equal(VG_AMOUNT(0), "0 B");
    assert_string_equal(VG_AMOUNT(512 * VG_MIB), "512 MiB");
    assert_string_equal(VG_AMOUNT(VG_GIB), "1.00 GiB");
    assert_string_equal(VG_AMOUNT(16 * VG_GIB), "16.00 GiB"); /* a size alone: "16.0 GiB" */
    assert_string_equal(VG_AMOUNT(VG_BYTES_UNKNOWN), "unknown");
}

static void garbage_is_unknown(void **state)
{
    (void)state;
    assert_true(vg_amount_known(VG_AMOUNT_LIMIT));
    assert_false(vg_amount_known(VG_AMOUNT_LIMIT + 1));
    assert_string_equal(VG_AMOUNT(VG_AMOUNT_LIMIT + 1), "unknown");
}

static void columns_keep_to_one_unit(void **state)
{
    (void)state;
    assert_string_equal(column((int64_t)(300 * VG_MIB), 8 * VG_GIB), "0.29 GiB");
    assert_string_equal(column((int64_t)(300 * VG_MIB), VG_GIB), "0.29 GiB");
    assert_string_equal(column((int64_t)(300 * VG_MIB), VG_GIB - 1), "300 MiB");
    assert_string_equal(column(-(int64_t)(2 * VG_GIB), VG_BYTES_UNKNOWN), "-2.00 GiB");
    assert_string_equal(column((int64_t)(999 * VG_GIB), 999 * VG_GIB), "999.00 GiB");
    assert_string_equal(column((int64_t)(1000 * VG_GIB), 1000 * VG_GIB), "1000 GiB");
    assert_true(strlen(column(-(int64_t)(1000 * VG_GIB), 1000 * VG_GIB)) <= 10);
}

static const char *duration(uint64_t ns)
{
    static char data[32];
    struct vg_text text = vg_text_over(data, sizeof data);
    vg_amount_add_duration(&text, ns);
    return data;
}

static void durations_are_short(void **state)
{
    (void)state;
    assert_string_equal(duration(0), "0 us");
    assert_string_equal(duration(340999), "340 us");
    assert_string_equal(duration(999999), "999 us");
    assert_string_equal(duration(1000000), "1 ms");
    assert_string_equal(duration(999999999), "999 ms");
    assert_string_equal(duration(3150000000), "3.1 s");
    assert_string_equal(duration(75050000000), "75.0 s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sentences_have_two_decimals_from_one_gib_on),
        cmocka_unit_test(garbage_is_unknown),
        cmocka_unit_test(columns_keep_to_one_unit),
        cmocka_unit_test(durations_are_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
