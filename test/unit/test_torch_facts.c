/* What a failure tells of PyTorch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analyze/torch_facts.h"
#include "sample_failure.h"

static struct vg_run_failure s;

static int prepare(void **state)
{
    (void)state;
    sample_alone(&s);
    return 0;
}

static void a_setting_is_on_where_it_says_so(void **state)
{
    (void)state;
    static const struct {
        const char *settings;
        bool is_on;
    } cases[] = { { "", false },
                  { "PYTORCH_ALLOC_CONF=expandable_segments:True", true },
                  { "PYTORCH_CUDA_ALLOC_CONF=a:1, expandable_segments : True", true },
                  { "PYTORCH_ALLOC_CONF=expandable_segments:False", false },
                  { "PYTORCH_ALLOC_CONF=max_split_size_mb:32", false } };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        s.torch.settings = cases[i].settings;
        assert_int_equal(vg_torch_is_expandable(&s), cases[i].is_on);
    }
    s.torch.count[VG_TORCH_EXPANDABLE] = 1; /* whatever the settings say */
    assert_true(vg_torch_is_expandable(&s));
}

static void the_variable_is_the_one_that_is_set(void **state)
{
    (void)state;
    s.torch.settings = "PYTORCH_ALLOC_CONF=a:1";
    assert_string_equal(vg_torch_variable(&s), "PYTORCH_ALLOC_CONF");
    s.torch.settings = "PYTORCH_CUDA_ALLOC_CONF=a:1";
    assert_string_equal(vg_torch_variable(&s), "PYTORCH_CUDA_ALLOC_CONF");
    s.torch.settings = "";
    assert_string_equal(vg_torch_variable(&s), "PYTORCH_CUDA_ALLOC_CONF");
}

static void a_flush_tells_what_it_brought(void **state)
{
    (void)state;
    uint64_t bytes = 77;
    assert_false(vg_torch_flushed(&s, &bytes));
    assert_int_equal(bytes, 77);
    s.action_count = 2;
    SET(actions[0].name, "trim");
    SET(actions[1].name, "flush");
    actions[1].recovered_bytes = VG_GIB;
    assert_true(vg_torch_flushed(&s, &bytes));
    assert_true(bytes == VG_GIB);
    s.api = "cuMemCreate"; /* pieces of it have been taken again */
    assert_true(vg_torch_flushed(&s, &bytes));
    assert_true(bytes == VG_BYTES_UNKNOWN);
}

static void what_is_unknown_is_not_added(void **state)
{
    (void)state;
    s.torch.bytes[VG_TORCH_NATIVE] = VG_GIB;
    s.torch.bytes[VG_TORCH_ASYNC] = VG_BYTES_UNKNOWN;
    assert_true(vg_torch_reserved_bytes(&s) == VG_GIB);
    assert_false(vg_torch_is_used(&s));
    s.torch.loaded = true;
    assert_true(vg_torch_is_used(&s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_setting_is_on_where_it_says_so, prepare),
        cmocka_unit_test_setup(the_variable_is_the_one_that_is_set, prepare),
        cmocka_unit_test_setup(a_flush_tells_what_it_brought, prepare),
        cmocka_unit_test_setup(what_is_unknown_is_not_added, prepare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
