/* Advice never tells people to set what is set, whichever row it comes from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "advice_fixture.h"
#include "view/framework.h"

static char settings[VG_SETTINGS_CAP];
static const char *advised;

static void no_cause(const struct vg_run_failure *f, struct vg_text *out)
{
    (void)f;
    (void)out;
}

static void advise(const struct vg_run_failure *f, struct vg_text *out)
{
    (void)f;
    vg_text_add(out, advised);
}

static const char *filtered(const char *text, const char *set)
{
    static const struct vg_advice_row row = { "row", NULL, no_cause, advise };
    struct vg_text out = vg_text_over(advice, sizeof advice);
    advised = text;
    s.settings = set;
    vg_advice_add(&row, &s, &out);
    return advice;
}

static void what_is_done_is_left_out(void **state)
{
    (void)state;
    static const struct {
        const char *text, *set, *left;
    } cases[] = {
        { "a; or b (c; d, or e), or f", "", "a; or b (c; d, or e), or f" },
        { "stop it, or wait longer for it: VRAMGUARD_POLICY=trim,wait=10m; or GPU 1",
          "VRAMGUARD_POLICY=trim,wait=10m|", "stop it; or GPU 1" },
        { "stop it, or wait longer for it: VRAMGUARD_POLICY=trim,wait=10m; or GPU 1",
          "VRAMGUARD_POLICY=trim,wait|",
          "stop it, or wait longer for it: VRAMGUARD_POLICY=trim,wait=10m; or GPU 1" },
        { "CUPY_GPU_MEMORY_LIMIT=50%; or b", "CUPY_GPU_MEMORY_LIMIT=9%|", "b" },
        { "a; add expandable_segments:True to PYTORCH_ALLOC_CONF",
          "PYTORCH_ALLOC_CONF=expandable_segments:True|", "a" },
        { "a; or start JAX there with XLA_PYTHON_CLIENT_PREALLOCATE=false",
          "XLA_PYTHON_CLIENT_PREALLOCATE=false|",
          "a; or start JAX there with XLA_PYTHON_CLIENT_PREALLOCATE=false" },
        { "a (CUPY_GPU_MEMORY_LIMIT=50%; b); c", "CUPY_GPU_MEMORY_LIMIT=9%|", "c" },
        { "CUDA_MODULE_LOADING=LAZY, and b; c", "CUDA_MODULE_LOADING=LAZY|", "c" },
        { "load it with dtype=torch.float16", "VRAMGUARD_NEED=1|",
          "load it with dtype=torch.float16" },
        { "CUPY_GPU_MEMORY_LIMIT=50%", "CUPY_GPU_MEMORY_LIMIT=9%|",
          "allocate less or free earlier; the largest holders are listed below" },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(filtered(cases[i].text, cases[i].set), cases[i].left);
}

static bool is_in_table(const char *name)
{
    size_t count;
    const struct vg_setting_row *const rows = vg_setting_rows(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].name, name) == 0)
            return true;
    return false;
}

/* A frame of the framework numbered so, which then made the call. */
static void call_from(size_t number)
{
    static struct vg_run_frame frame;
    static char word[64];
    size_t count;
    const struct vg_framework *const rows = vg_framework_rows(&count);
    if (number >= count)
        return;
    const struct vg_framework *const row = &rows[number];
    const bool is_python = row->paths[0] != '\0';
    const char *const words = is_python ? row->paths : row->modules;
    snprintf(word, sizeof word, "%.*s", (int)strcspn(words, "|"), words);
    frame = (struct vg_run_frame){ .module = is_python ? "" : word,
                                   .function = "f",
                                   .file = is_python ? word : "",
                                   .flags = is_python ? VG_FRAME_PYTHON : 0 };
    s.stack.frames = &frame;
    s.stack.frame_count = 1;
}

/* A failure of any kind, with amounts of any size. */
static void sample_any(void)
{
    sample_shared(&s);
    uint64_t *const amounts[] = {
        &s.asked_bytes,        &s.device.gpu.free_bytes,      &s.device.live_bytes,
        &s.device.self_bytes,  &s.device.others_bytes,        &s.device.gpu.total_bytes,
        &processes[0].bytes,   &s.device.pool_reserved_bytes, &s.device.graph_used_bytes,
        &s.device.limit_bytes, &actions[0].recovered_bytes,   &s.device.limit_left_bytes,
    };
    SET(actions[0].name, "flush");
    s.action_count = rand() % 2;
    s.refused_by = (uint32_t)rand() % 4;
    s.device.limit_bytes = (uint64_t)(rand() % 3) * VG_GIB;
    for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++)
        if (rand() % 3 == 0)
            *amounts[i] = rand() % 3
                              ? ((uint64_t)rand() << 31 | (uint64_t)rand()) >> (6 + rand() % 34)
                              : VG_BYTES_UNKNOWN;
    processes[0].flags = (uint32_t)rand() % 8;
    if (rand() % 4 == 0)
        use_torch();
    else
        call_from((size_t)rand() % 16);
}

/* Sets all that is advised now. Returns whether there was anything. */
static bool follow_advice(void)
{
    struct vg_advised_setting setting;
    struct vg_text out = vg_text_over(settings, sizeof settings);
    bool any = false;
    for (const char *at = advice; (at = vg_advised_setting_next(at, &setting)) != NULL;) {
        if (!is_in_table(setting.name))
            fail_msg("%s is advised and not in base/setting_table.h: %s", setting.name, advice);
        vg_setting_add(&out, setting.name, setting.value);
        any = true;
    }
    s.settings = settings;
    return any;
}

static void what_was_followed_is_not_advised_again(void **state)
{
    (void)state;
    unsigned followed = 0;
    srand(5);
    for (int round = 0; round < 20000; round++) {
        struct vg_advised_setting setting;
        sample_any();
        const struct vg_advice_row *const row = vg_advice_find(&s);
        expect_row(row->name);
        if (!follow_advice())
            continue;
        followed++;
        expect_row(row->name);
        for (const char *at = advice; (at = vg_advised_setting_next(at, &setting)) != NULL;)
            if (!strstr(at, "there") && !strstr(advice, " there "))
                fail_msg("%s=%s is set, and advised: %s", setting.name, setting.value, advice);
    }
    assert_true(followed > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_done_is_left_out),
        cmocka_unit_test(what_was_followed_is_not_advised_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
