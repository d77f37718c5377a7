/* When is a variable set as it would be advised? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/setting.h"

static char settings[VG_SETTINGS_CAP];

static void set(const char *name, const char *value)
{
    struct vg_text text = vg_text_over(settings, sizeof settings);
    vg_setting_add(&text, "CUDA_VISIBLE_DEVICES", "2,1");
    vg_setting_add(&text, name, value);
}

static void each_rule(void **state)
{
    (void)state;
    static const struct {
        const char *name, *is, *wanted;
        bool so;
    } cases[] = {
        { "XLA_PYTHON_CLIENT_PREALLOCATE", "False", "false", true },
        { "XLA_PYTHON_CLIENT_PREALLOCATE", "true", "false", false },
        { "XLA_PYTHON_CLIENT_MEM_FRACTION", "0.5", ".50", true },
        { "XLA_PYTHON_CLIENT_MEM_FRACTION", ".125", ".50", true },
        { "XLA_PYTHON_CLIENT_MEM_FRACTION", ".75", ".50", false },
        { "XLA_PYTHON_CLIENT_MEM_FRACTION", "half", ".50", false },
        { "CUPY_GPU_MEMORY_LIMIT", "90%", "50%", true },
        { "PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:32, expandable_segments:True",
          "expandable_segments:True", true },
        { "PYTORCH_ALLOC_CONF", "expandable_segments:True", "expandable_segments:True", true },
        { "PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:False", "expandable_segments:True",
          false },
        { "PYTORCH_ALLOC_CONF", "a:1,b:2", "b:2,a:1", true },
        { "PYTORCH_ALLOC_CONF", "a:1", "a:1,b:2", false },
        { "PYTORCH_ALLOC_CONF", "b:2", "a:1,b:2", false },
        { "VRAMGUARD_POLICY", "trim,wait=10m", "trim,wait=10m", true },
        { "VRAMGUARD_POLICY", "wait=20m,trim", "trim,wait=10m", true },
        { "VRAMGUARD_POLICY", "trim,wait", "trim,wait=10m", false },
        { "VRAMGUARD_POLICY", "wait=1h", "trim,wait=10m", false },
        { "VRAMGUARD_POLICY", "off", "trim", false },
        { "VRAMGUARD_POLICY", "trim,wait", "trim", true },
        { "CUDA_VISIBLE_DEVICES", "", "1", false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set(cases[i].name, cases[i].is);
        const bool so = vg_setting_is_so(settings, cases[i].name, cases[i].wanted);
        if (so != cases[i].so)
            fail_msg("%s=%s, wanted %s: %d", cases[i].name, cases[i].is, cases[i].wanted, so);
    }
}

static void pytorchs_variables_are_one(void **state)
{
    (void)state;
    set("PYTORCH_ALLOC_CONF", "expandable_segments:True");
    assert_true(vg_setting_is_so(settings, "PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True"));
}

static void another_variable_makes_it_moot(void **state)
{
    (void)state;
    set("XLA_PYTHON_CLIENT_ALLOCATOR", "platform");
    assert_true(vg_setting_is_so(settings, "XLA_PYTHON_CLIENT_PREALLOCATE", "false"));
    set("XLA_PYTHON_CLIENT_ALLOCATOR", "default");
    assert_false(vg_setting_is_so(settings, "XLA_PYTHON_CLIENT_PREALLOCATE", "false"));
}

static void what_is_not_set_is_not_so(void **state)
{
    (void)state;
    char value[VG_SETTING_VALUE_CAP];
    assert_false(vg_setting_is_so(NULL, "CUPY_GPU_MEMORY_LIMIT", "50%"));
    assert_false(vg_setting_is_so("", "CUPY_GPU_MEMORY_LIMIT", "50%"));
    assert_false(vg_setting_is_so("NOT_IN_THE_TABLE=1|", "NOT_IN_THE_TABLE", "1"));
    set("CUPY_GPU_MEMORY_LIMIT", "a|VRAMGUARD_NEED=1");
    assert_false(vg_setting_find(settings, "VRAMGUARD_NEED", value));
    assert_true(vg_setting_find(settings, "CUPY_GPU_MEMORY_LIMIT", value));
    assert_string_equal(value, "a?VRAMGUARD_NEED=1");
    assert_false(vg_setting_find(settings, "CUPY_GPU_MEMORY", value)); /* a name's beginning */
    assert_string_equal(value, "");
}

static void the_environment_is_read(void **state)
{
    (void)state;
    char value[VG_SETTING_VALUE_CAP];
    struct vg_text text = vg_text_over(settings, sizeof settings);
    setenv("TF_FORCE_GPU_ALLOW_GROWTH", "true", 1);
    setenv("VRAMGUARD_NEED", "1GiB", 1); /* not here: it may be wrong, or come from a file */
    vg_setting_read(&text);
    assert_true(vg_setting_find(settings, "TF_FORCE_GPU_ALLOW_GROWTH", value));
    assert_false(vg_setting_find(settings, "VRAMGUARD_NEED", value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule),
        cmocka_unit_test(pytorchs_variables_are_one),
        cmocka_unit_test(another_variable_makes_it_moot),
        cmocka_unit_test(what_is_not_set_is_not_so),
        cmocka_unit_test(the_environment_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
