/* VRAMGUARD_LIMIT: what is understood, what is refused and why. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "limit/limit.h"

static char why[96];

static int parse(const char *text, struct vg_limit_setting *out)
{
    strcpy(why, "untouched");
    return vg_limit_parse(text, out, why, sizeof why);
}

static void one_amount_is_for_every_device(void **state)
{
    (void)state;
    struct vg_limit_setting s;
    assert_int_equal(parse("8GiB", &s), 0);
    assert_true(s.set);
    for (int i = 0; i < VG_FILE_HOST; i++)
        assert_int_equal(vg_limit_bytes(&s.rules[i], 80 * VG_GIB), 8 * VG_GIB);
    assert_int_equal(parse("50%", &s), 0);
    for (int i = 0; i < VG_FILE_HOST; i++)
        assert_int_equal(vg_limit_bytes(&s.rules[i], 80 * VG_GIB), 40 * VG_GIB);
    assert_int_equal(parse("1B", &s), 0);
    assert_int_equal(vg_limit_bytes(&s.rules[0], VG_GIB), 1);
    assert_int_equal(parse("8192 MiB", &s), 0);
    assert_int_equal(vg_limit_bytes(&s.rules[0], VG_GIB), 8 * VG_GIB);
}

static void devices_have_their_own(void **state)
{
    (void)state;
    struct vg_limit_setting s;
    assert_int_equal(parse("0:8GiB,1:50%,30:5B", &s), 0);
    assert_true(s.set);
    assert_int_equal(vg_limit_bytes(&s.rules[0], 12 * VG_GIB), 8 * VG_GIB);
    assert_int_equal(vg_limit_bytes(&s.rules[1], 12 * VG_GIB), 6 * VG_GIB);
    assert_int_equal(vg_limit_bytes(&s.rules[30], 12 * VG_GIB), 5);
    for (int i = 2; i < 30; i++)
        assert_true(vg_limit_bytes(&s.rules[i], 12 * VG_GIB) == VG_BYTES_UNKNOWN);
    assert_int_equal(parse("007:1%", &s), 0);
    assert_int_equal(vg_limit_bytes(&s.rules[7], 100 * VG_GIB), VG_GIB);
}

static void nothing_is_no_limit(void **state)
{
    (void)state;
    struct vg_limit_setting s;
    assert_int_equal(parse("", &s), 0);
    assert_false(s.set);
    assert_true(vg_limit_bytes(&s.rules[0], VG_GIB) == VG_BYTES_UNKNOWN);
}

static void shares_are_exact(void **state)
{
    (void)state;
    const struct vg_limit_rule third = { .percent = 33 }, all = { .percent = 100 };
    assert_int_equal(vg_limit_bytes(&third, 1000), 330);
    assert_int_equal(vg_limit_bytes(&third, 101), 33);
    assert_int_equal(vg_limit_bytes(&third, 99), 32); /* rounded down: 32.67 */
    assert_int_equal(vg_limit_bytes(&all, 12345678912345), 12345678912345);
    assert_true(vg_limit_bytes(&all, UINT64_MAX - 1) == UINT64_MAX - 1); /* no overflow */
    assert_true(vg_limit_bytes(&third, VG_BYTES_UNKNOWN) == VG_BYTES_UNKNOWN);
}

static void refuses_the_rest(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
    } wrong[] = {
        { "0", "not an amount" },
        { "0GiB", "not an amount" },
        { "-1", "\"-1\": not a size" },
        { "8GiBx", "\"8GiBx\": not a size, for example 8GiB" },
        { "8", "\"8\": a size needs a unit, for example 8GiB" },
        { "1:8", "\"8\": a size needs a unit, for example 8GiB at 1" },
        { "8GiB ", "not a size" },
        { "99999999999GiB", "not an amount" },
        { "18446744073709551615B", "not an amount" }, /* stands for "unknown" */
        { "0%", "1% to 100%" },
        { "101%", "1% to 100%" },
        { "99999999999999999999%", "1% to 100%" },
        { "-5%", "not a share" },
        { "50%%", "not a share" },
        { "50% ", "not a share" },
        { "5.5%", "not a share" },
        { "%", "not a share" },
        { ",", "no \"GPU:\" before the amount at 1" },
        { ":", "no \"GPU:\"" },
        { ":8GiB", "no \"GPU:\"" },
        { "0:", "an amount is missing at 1" },
        { "0:8GiB,", "no \"GPU:\" before the amount at 8" },
        { "8GiB,1:50%", "no \"GPU:\" before the amount at 1" },
        { "0:8GiB,50%", "no \"GPU:\" before the amount at 8" },
        { "0:8GiB,1:", "an amount is missing at 8" },
        { "0:8GiB,0:50%", "GPU 0 is named twice at 8" },
        { "0:8GiB,00:50%", "GPU 0 is named twice" },
        { "31:1GiB", "GPUs are 0 to 30" },
        { "4294967296:1GiB", "GPUs are 0 to 30" },
        { "x:1GiB", "no \"GPU:\"" },
        { "0 :1GiB", "no \"GPU:\"" },
        { "0:1GiB;1:1GiB", "not a size" },
        { "0:0%", "1% to 100%" },
        { "1111111111111111111111111111111111111111111", "too long" },
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct vg_limit_setting s;
        memset(&s, 0x55, sizeof s);
        const struct vg_limit_setting before = s;
        if (parse(wrong[i].text, &s) != -EINVAL)
            fail_msg("\"%s\" was accepted", wrong[i].text);
        if (!strstr(why, wrong[i].reason))
            fail_msg("\"%s\": %s", wrong[i].text, why);
        assert_memory_equal(&s, &before, sizeof s);
        assert_int_equal(vg_limit_check(wrong[i].text, why, sizeof why), -EINVAL);
    }
    assert_int_equal(vg_limit_check("0:8GiB", why, sizeof why), 0);
}

static void survives_any_text(void **state)
{
    (void)state;
    static const char *const pieces[] = { "8",  "0",  "GiB", "%",  ":",    ",",
                                          "50", "31", " ",   "\n", "\377", "MB" };
    srand(5);
    int accepted = 0;
    for (int i = 0; i < 200000; i++) {
        char text[64] = "", reason[40];
        struct vg_limit_setting s;
        memset(reason, '#', sizeof reason);
        for (int k = rand() % 10; k > 0; k--)
            strcat(text, pieces[rand() % 12]);
        const int error = vg_limit_parse(text, &s, reason, 20);
        assert_int_equal(reason[20], '#');
        assert_true(error == 0 || error == -EINVAL);
        for (const char *c = reason; error && *c; c++)
            assert_true((unsigned char)*c >= 32);
        accepted += error == 0;
        for (int k = 0; error == 0 && k < VG_FILE_HOST; k++)
            assert_true(s.rules[k].percent <= 100 &&
                        (s.rules[k].percent == 0 || s.rules[k].bytes == 0));
    }
    assert_true(accepted > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_amount_is_for_every_device),
        cmocka_unit_test(devices_have_their_own),
        cmocka_unit_test(nothing_is_no_limit),
        cmocka_unit_test(shares_are_exact),
        cmocka_unit_test(refuses_the_rest),
        cmocka_unit_test(survives_any_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
