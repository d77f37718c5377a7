/* Byte counts as people write and read them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"

static const char *format(uint64_t bytes)
{
    static char out[VG_SIZE_TEXT_CAP];
    return vg_size_format(out, bytes);
}

static const char *format_gib(uint64_t bytes)
{
    static char out[VG_SIZE_TEXT_CAP];
    return vg_size_format_gib(out, bytes);
}

static void formats_three_digits(void **state)
{
    (void)state;
    assert_string_equal(format(0), "0 B");
    assert_string_equal(format(1), "1 B");
    assert_string_equal(format(1023), "1023 B");
    assert_string_equal(format(1024), "1.00 KiB");
    assert_string_equal(format(1536), "1.50 KiB");
    assert_string_equal(format(10 * VG_KIB), "10.0 KiB");
    assert_string_equal(format(119 * VG_MIB), "119 MiB");
    assert_string_equal(format(2 * VG_GIB), "2.00 GiB");
    assert_string_equal(format(UINT64_C(11994053836)), "11.2 GiB");
    assert_string_equal(format(UINT64_MAX), "unknown");
    assert_string_equal(format(UINT64_MAX - 1), "16.0 EiB");
}

static void rounds_up_to_the_next_unit(void **state)
{
    (void)state;
    assert_string_equal(format(VG_MIB - 1), "1.00 MiB");
    assert_string_equal(format(VG_GIB - 1), "1.00 GiB");
    assert_string_equal(format(1023 * VG_MIB), "1023 MiB");
    assert_string_equal(format(10 * VG_MIB - 1), "10.0 MiB");
    assert_string_equal(format(100 * VG_MIB - 1), "100 MiB");
}

static void formats_columns_of_gib(void **state)
{
    (void)state;
    assert_string_equal(format_gib(0), "0.00 GiB");
    assert_string_equal(format_gib(VG_GIB / 2), "0.50 GiB");
    assert_string_equal(format_gib(UINT64_C(6549825126)), "6.10 GiB");
    assert_string_equal(format_gib(512), "512 B");
    assert_string_equal(format_gib(VG_MIB), "1.00 MiB");
    assert_string_equal(format_gib(UINT64_MAX), "unknown");
}

static void every_result_fits(void **state)
{
    (void)state;
    for (int shift = 0; shift < 64; shift++)
        for (int step = -1; step <= 1; step++) {
            const uint64_t bytes = (UINT64_C(1) << shift) + (uint64_t)step;
            assert_true(strlen(format(bytes)) < VG_SIZE_TEXT_CAP);
            assert_true(strlen(format_gib(bytes)) < VG_SIZE_TEXT_CAP);
        }
}

static void assert_parses(const char *text, uint64_t wanted)
{
    uint64_t bytes = 12345;
    assert_int_equal(vg_size_parse(text, &bytes), 0);
    assert_int_equal(bytes, wanted);
}

static void parses_what_people_write(void **state)
{
    (void)state;
    assert_parses("0", 0);
    assert_parses("4096B", 4096);
    assert_parses("1B", 1);
    assert_parses("512 MiB", 512 * VG_MIB);
    assert_parses("300MB", 300 * VG_MIB);
    assert_parses("300m", 300 * VG_MIB);
    assert_parses("24GiB", 24 * VG_GIB);
    assert_parses("11.17GiB", UINT64_C(11993696174));
    assert_parses("0.5k", 512);
    assert_parses("2T", 2048 * VG_GIB);
    assert_parses("15E", UINT64_C(15) << 60);
    assert_parses("1.00000000000000000000000000000000000000001 KiB", 1024);
}

static void refuses_the_rest(void **state)
{
    (void)state;
    const char *const wrong[] = { "",      " ",      "GiB",  "-1",  "+1",    " 1",  "1x",
                                  "1GiBx", "1.",     ".5",   "1..", "1.5.2", "1 2", "1GiGi",
                                  "0x10",  "1e3",    "1i",   "8",   "1.5",   "4 ",  "1 iB",
                                  "1KK",   "1GiB ,", "1,5G", "1BB" };
    uint64_t bytes = 77;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (vg_size_parse(wrong[i], &bytes) != -EINVAL)
            fail_msg("\"%s\" was taken for %llu", wrong[i], (unsigned long long)bytes);
    const char *const large[] = { "16E",
                                  "18446744073709551615B",
                                  "18446744073709551616",
                                  "99999999999999999999999999999999999999999999",
                                  "17179869184G",
                                  "1844674407370955161G" };
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++)
        assert_int_equal(vg_size_parse(large[i], &bytes), -ERANGE);
    assert_int_equal(bytes, 77);
}

static void says_what_a_size_lacks(void **state)
{
    (void)state;
    const char *const bare[] = { "8", "0", "1.5", "8 ", "007" };
    for (size_t i = 0; i < sizeof bare / sizeof bare[0]; i++)
        assert_string_equal(vg_size_complaint(bare[i]), "a size needs a unit, for example 8GiB");
    const char *const other[] = { "", "x", "8x", " 8", "-8", "8GiBB" };
    for (size_t i = 0; i < sizeof other / sizeof other[0]; i++)
        assert_string_equal(vg_size_complaint(other[i]), "not a size, for example 8GiB");
}

static void parses_percentages(void **state)
{
    (void)state;
    unsigned percent = 77;
    assert_int_equal(vg_percent_parse("1%", &percent), 0);
    assert_int_equal(percent, 1);
    assert_int_equal(vg_percent_parse("100%", &percent), 0);
    assert_int_equal(percent, 100);
    const char *const large[] = { "0%", "101%", "99999999999999999999%" };
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++)
        assert_int_equal(vg_percent_parse(large[i], &percent), -ERANGE);
    const char *const wrong[] = { "", "%", "5", "5 %", "5%%", "-5%", "5.5%" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(vg_percent_parse(wrong[i], &percent), -EINVAL);
    assert_int_equal(percent, 100);
}

static void parses_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t ms;
    } cases[] = { { "30", 30000 },    { "250ms", 250 },
                  { "1.5s", 1500 },   { "10m", 600000 },
                  { "2 h", 7200000 }, { "7d", 604800000 },
                  { "2min", 120000 }, { "0", 0 },
                  { "0.0005s", 0 },   { "1.00000000000000000000000000000000000001s", 1000 } };
    uint64_t ms = 77;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(vg_duration_parse(cases[i].text, &ms), 0);
        assert_int_equal(ms, cases[i].ms);
    }
    const char *const wrong[] = { "", "s", "-1s", "1x", "1.s", "1 s ", "1ss" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(vg_duration_parse(wrong[i], &ms), -EINVAL);
    assert_int_equal(vg_duration_parse("18446744073709551615", &ms), -ERANGE);
    assert_int_equal(vg_duration_parse("18446744073709551615ms", &ms), -ERANGE);
    assert_int_equal(ms, 1000);
}

static void formats_durations(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *text;
    } cases[] = { { 0, "0 ms" },          { 999, "999 ms" },  { 1000, "1 s" },
                  { 1099, "1 s" },        { 3149, "3.1 s" },  { 59950, "59.9 s" },
                  { 60000, "60 s" },      { 90000, "90 s" },  { 119999, "119 s" },
                  { 120000, "2 min" },    { 3600000, "1 h" }, { 5400000, "90 min" },
                  { 7199999, "119 min" }, { 7200000, "2 h" }, { 86400000, "24 h" } };
    char out[VG_DURATION_TEXT_CAP];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(vg_duration_format(out, cases[i].ms), cases[i].text);
}

static void survives_any_text(void **state)
{
    (void)state;
    static const char letters[] = "0123456789.9kKmMgGtTeEiIbB x-+,";
    srand(1);
    for (int i = 0; i < 300000; i++) {
        char text[24];
        const int length = rand() % (int)(sizeof text - 1);
        for (int k = 0; k < length; k++)
            text[k] = rand() % 8 ? letters[rand() % (int)(sizeof letters - 1)] : (char)rand();
        text[length] = '\0';
        uint64_t bytes = 77;
        const int error = vg_size_parse(text, &bytes);
        assert_true(error == 0 || error == -EINVAL || error == -ERANGE);
        assert_true(error == 0 ? bytes != UINT64_MAX : bytes == 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_three_digits),     cmocka_unit_test(rounds_up_to_the_next_unit),
        cmocka_unit_test(formats_columns_of_gib),   cmocka_unit_test(every_result_fits),
        cmocka_unit_test(parses_what_people_write), cmocka_unit_test(refuses_the_rest),
        cmocka_unit_test(says_what_a_size_lacks),   cmocka_unit_test(survives_any_text),
        cmocka_unit_test(parses_percentages),       cmocka_unit_test(parses_durations),
        cmocka_unit_test(formats_durations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
