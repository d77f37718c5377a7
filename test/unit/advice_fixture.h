/* For unit tests of the advice: a report, and what is said of it. */
#ifndef VRAMGUARD_TEST_ADVICE_FIXTURE_H
#define VRAMGUARD_TEST_ADVICE_FIXTURE_H

#include "sample_failure.h"
#include "view/advice.h"
#include "view/advice_filter.h"

static struct vg_run_failure s;
static char cause[VG_ADVICE_TEXT_CAP], advice[VG_ADVICE_TEXT_CAP];

static void expect_row(const char *name)
{
    const struct vg_advice_row *const row = vg_advice_find(&s);
    struct vg_text text = vg_text_over(cause, sizeof cause);
    row->cause(&s, &text);
    assert_false(text.truncated);
    text = vg_text_over(advice, sizeof advice);
    vg_advice_add(row, &s, &text);
    assert_false(text.truncated);
    assert_string_equal(row->name, name);
    assert_true(strlen(cause) > 20 && cause[strlen(cause) - 1] == '.');
    assert_true(strlen(advice) > 6 && advice[strlen(advice) - 1] != '.');
}

/* PyTorch's allocator is in use. */
static inline void use_torch(void)
{
    s.torch.loaded = true;
    s.torch.bytes[VG_TORCH_NATIVE] = VG_GIB;
    s.torch.count[VG_TORCH_NATIVE] = 1;
}

static inline void expect_text(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" lacks \"%s\"", text, part);
}

static inline void expect_no_text(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("\"%s\" contains \"%s\"", text, part);
}

#endif
