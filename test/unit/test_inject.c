/* VRAMGUARD_INJECT: which rules there are, and which allocations they make fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "limit/inject.h"
#include "oom/oom_classify.h"

static char why[96];

static struct vg_inject parsed(const char *text)
{
    struct vg_inject inject;
    if (vg_inject_parse(text, &inject, why, sizeof why) != 0)
        fail_msg("\"%s\": %s", text, why);
    return inject;
}

/* The numbers from 1 to 20 that fail with 1 MiB, as a bit each. */
static unsigned failing(const char *text)
{
    const struct vg_inject inject = parsed(text);
    unsigned bits = 0;
    for (unsigned number = 1; number <= 20; number++)
        if (vg_inject_match(&inject, number, VG_MIB))
            bits |= 1u << number;
    return bits;
}

static void numbers_are_the_allocations_of_the_process(void **state)
{
    (void)state;
    assert_int_equal(failing("1"), 1u << 1);
    assert_int_equal(failing("3"), 1u << 3);
    assert_int_equal(failing("3-5"), 7u << 3);
    assert_int_equal(failing("5-5"), 1u << 5);
    assert_int_equal(failing("18+"), 7u << 18);
    assert_int_equal(failing("2,4,18+"), 1u << 2 | 1u << 4 | 7u << 18);
    assert_int_equal(failing("1000"), 0);
    assert_int_equal(failing("18446744073709551615"), 0);
}

static void sizes_are_exact(void **state)
{
    (void)state;
    const struct vg_inject inject = parsed(">1MiB");
    assert_null(vg_inject_match(&inject, 1, VG_MIB));
    assert_non_null(vg_inject_match(&inject, 1, VG_MIB + 1));
    assert_non_null(vg_inject_match(&inject, 9, UINT64_MAX - 1));
    assert_null(vg_inject_match(&inject, 1, VG_BYTES_UNKNOWN));
    const struct vg_inject any = parsed(">0");
    assert_non_null(vg_inject_match(&any, 1, 1));
}

static unsigned count_of(const char *text, unsigned numbers)
{
    const struct vg_inject inject = parsed(text);
    unsigned count = 0;
    for (unsigned number = 1; number <= numbers; number++)
        count += vg_inject_match(&inject, number, 1) != NULL;
    return count;
}

static void shares_are_about_what_they_say(void **state)
{
    (void)state;
    assert_int_equal(count_of("0%", 100000), 0);
    assert_int_equal(count_of("100%", 100000), 100000);
    assert_in_range(count_of("10%", 100000), 9500, 10500); /* 5 standard deviations */
    assert_in_range(count_of("10%:77", 100000), 9500, 10500);
    assert_in_range(count_of("0.1%", 100000), 50, 150);
    assert_in_range(count_of("99.9%", 100000), 99850, 99950);
}

static void a_seed_decides_which(void **state)
{
    (void)state;
    assert_int_equal(failing("30%"), failing("30%:1")); /* the default seed */
    assert_int_not_equal(failing("30%:2"), failing("30%:3"));
    assert_int_equal(failing("30%:2"), failing("30%:2"));
    assert_int_equal(failing("30%:2") & ~failing("60%:2"), 0); /* more of the same */
}

static void the_rule_that_fits_is_named(void **state)
{
    (void)state;
    const struct vg_inject inject = parsed("3,>1GiB,25%:9");
    assert_string_equal(vg_inject_match(&inject, 3, 1)->text, "3");
    assert_string_equal(vg_inject_match(&inject, 4, 2 * VG_GIB)->text, ">1GiB");
}

static void refuses_the_rest(void **state)
{
    (void)state;
    const char *const wrong[] = {
        "",
        "0",
        "-1",
        "+1",
        "1 ",
        " 1",
        "1-",
        "5-3",
        "0-3",
        "1++",
        "1+2",
        ",",
        "1,",
        ",1",
        "1,,2",
        ">",
        ">x",
        ">8",
        ">1GiB ",
        ">-1",
        "%",
        "101%",
        "1%:",
        "1%:x",
        "1%:-1",
        "1%:1:1",
        "-1%",
        "1.%x",
        "1..2%",
        "100.1%",
        "a",
        "1a",
        "1;2",
        "1.5",
        "18446744073709551616",
        "1-18446744073709551616",
        "99999999999999999999%",
        "1%:99999999999999999999999999999999999999999999999999999999999999999999999999",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct vg_inject inject = { .count = 99 };
        why[0] = '\0';
        if (vg_inject_parse(wrong[i], &inject, why, sizeof why) != -EINVAL)
            fail_msg("\"%s\" was accepted", wrong[i]);
        assert_int_equal(inject.count, 99);
        assert_string_not_equal(why, "");
    }
    struct vg_inject inject;
    assert_int_equal(vg_inject_parse("1,2,\033[31m", &inject, why, sizeof why), -EINVAL);
    assert_null(strchr(why, '\033'));
    assert_non_null(strstr(why, "at 5"));
    assert_int_equal(vg_inject_parse("1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", &inject, why, 96), 0);
    assert_int_equal(vg_inject_parse("1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1", &inject, why, 96),
                     -EINVAL);
}

static void survives_any_text(void **state)
{
    (void)state;
    static const char *const pieces[] = { "1",   "99", "+", "-", ">", "%",    ":",
                                          "GiB", ".",  ",", " ", "0", "\377", "%s" };
    srand(5);
    for (int i = 0; i < 200000; i++) {
        char text[128] = "", reason[40];
        memset(reason, '#', sizeof reason);
        for (int k = rand() % 12; k > 0; k--)
            strcat(text, pieces[rand() % 14]);
        struct vg_inject inject = { .count = 99 };
        const int error = vg_inject_parse(text, &inject, reason, 20);
        assert_int_equal(reason[20], '#');
        assert_true(error == 0 ? inject.count <= VG_INJECT_RULES_MAX
                               : error == -EINVAL && inject.count == 99);
    }
}

/* The first of PyTorch's two calls fails by our will, the second for want of memory: that is the
 * one to act on. */
static void pytorchs_second_call_is_acted_on(void **state)
{
    (void)state;
    struct vg_oom_state history = { .probing_until_ns = 0 };
    struct vg_last_failure last = { .function = 0 };
    struct vg_failure failure = { .asked_bytes = 2 * VG_MIB,
                                  .caller = VG_CALLER_PYTORCH,
                                  .twice = true,
                                  .refused_by = VG_REFUSED_BY_INJECT };
    assert_int_equal(vg_oom_classify(&failure, 7, &history, &last, 1), VG_DECISION_REPORT);
    failure.refused_by = VG_REFUSED_BY_DRIVER;
    assert_int_equal(vg_oom_classify(&failure, 7, &history, &last, 2), VG_DECISION_POLICY);
    last.passed = 0; /* it was given up (guard) */
    assert_int_equal(vg_oom_classify(&failure, 7, &history, &last, 3), VG_DECISION_DEFER);
    failure.refused_by = VG_REFUSED_BY_INJECT; /* now the second one: it was acted on */
    assert_int_equal(vg_oom_classify(&failure, 7, &history, &last, 4), VG_DECISION_REPORT);
    failure.refused_by = VG_REFUSED_BY_DRIVER;
    assert_int_equal(vg_oom_classify(&failure, 7, &history, &last, 5), VG_DECISION_DEFER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_the_allocations_of_the_process),
        cmocka_unit_test(sizes_are_exact),
        cmocka_unit_test(shares_are_about_what_they_say),
        cmocka_unit_test(a_seed_decides_which),
        cmocka_unit_test(the_rule_that_fits_is_named),
        cmocka_unit_test(refuses_the_rest),
        cmocka_unit_test(survives_any_text),
        cmocka_unit_test(pytorchs_second_call_is_acted_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
