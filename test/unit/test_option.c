/* Options from the environment: each row's values, one line per wrong one, any text survived. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/option.h"
#include "base/option_names.h"
#include "base/spelling.h"
#include "core_fixture.h"
#include "oom/policy.h"

static const struct vg_option_row *find_row(const char *environment)
{
    size_t count;
    const struct vg_option_row *const rows = vg_option_rows(&count);
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].environment, environment) == 0)
            return &rows[i];
    fail_msg("no option %s", environment);
    return NULL;
}

static int parse(const char *environment, const char *text, struct vg_option_value *out)
{
    char why[96];
    return vg_option_parse(find_row(environment), text, out, why, sizeof why);
}

static void every_row_has_what_it_takes(void **state)
{
    (void)state;
    size_t count;
    const struct vg_option_row *const rows = vg_option_rows(&count);
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        struct vg_option_value value;
        char why[96];
        assert_int_equal(strncmp(rows[i].environment, "VRAMGUARD", 9), 0);
        assert_true(strlen(rows[i].help) > 0 && strlen(rows[i].allowed) > 0);
        assert_int_equal(vg_option_parse(&rows[i], rows[i].default_text, &value, why, sizeof why),
                         0);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(rows[i].environment, rows[k].environment);
            assert_int_not_equal(rows[i].offset, rows[k].offset);
        }
    }
}

static void choices_are_exact(void **state)
{
    (void)state;
    struct vg_option_value value = { .number = 77 };
    const char *const wrong[] = { "", "o", "onn", " on", "on ", "on|off", "|", "2", "nope" };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(parse("VRAMGUARD", wrong[i], &value), -EINVAL);
    assert_int_equal(value.number, 77);
    assert_int_equal(parse("VRAMGUARD", "on", &value), 0);
    assert_int_equal(value.number, VG_ENABLED_ON);
    assert_int_equal(parse("VRAMGUARD", "off", &value), 0);
    assert_int_equal(value.number, VG_ENABLED_OFF);
    const char *const off[] = { "0", "false", "no", "False", "OFF" };
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++) {
        assert_int_equal(parse("VRAMGUARD", off[i], &value), 0);
        assert_int_equal(value.number, VG_ENABLED_OFF);
    }
    assert_int_equal(parse("VRAMGUARD", "1", &value), 0);
    assert_int_equal(value.number, VG_ENABLED_ON);
    assert_int_equal(parse("VRAMGUARD_STACKS", "no", &value), 0);
    assert_int_equal(value.number, VG_STACKS_OFF);
    assert_int_equal(parse("VRAMGUARD_STACKS", "yes", &value), -EINVAL);
    assert_int_equal(parse("VRAMGUARD_STACKS", "native", &value), 0);
    assert_int_equal(value.number, VG_STACKS_NATIVE);
}

static void counts_are_whole_and_in_range(void **state)
{
    (void)state;
    struct vg_option_value value = { .number = 77 };
    const char *const wrong[] = {
        "", "-1", "+1", " 1", "1 ", "1x", "0x1", "1000001", "1.", "1e3", "99999999999999999999"
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(parse("VRAMGUARD_KEEP", wrong[i], &value), -EINVAL);
    assert_int_equal(value.number, 77);
    assert_int_equal(parse("VRAMGUARD_KEEP", "0", &value), 0);
    assert_int_equal(value.number, 0);
    assert_int_equal(parse("VRAMGUARD_KEEP", "1000000", &value), 0);
    assert_int_equal(value.number, 1000000);
    assert_string_equal(value.text, "1000000");
}

static void misspelt_names_find_their_option(void **state)
{
    (void)state;
    const struct {
        const char *assignment, *nearest; /* NULL: not for us, or right */
    } cases[] = {
        { "VRAMGUARD_POLCY=trim", "VRAMGUARD_POLICY" },
        { "VRAMGUARD_POLICY=trim", NULL },
        { "VRAMGUARD_PRIORITY", NULL },
        { "VRAMGUARD_LIMITS=8GiB", "VRAMGUARD_LIMIT" },
        { "VRAMGUARD_WAIT=10m", "VRAMGUARD_NEED_WAIT" },
        { "VRAMGAURD=off", "VRAMGUARD" },
        { "VRAM_GUARD_NEED=1GiB", "VRAMGUARD_NEED" },
        { "vramguard_need=1GiB", "VRAMGUARD_NEED" },
        { "VRAMGUARD_RUN=/x", NULL },
        { "VRAMGUARD_TRIM_FREE_BYTES=1", NULL },
        { "VRAMGUARD_VERSION=1", NULL },
        { "VRAM_SIZE=24", NULL },
        { "VRAM", NULL },
        { "", NULL },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char name[64] = "";
        const char *nearest = NULL;
        const bool misspelt =
            vg_option_is_misspelt(cases[i].assignment, name, sizeof name, &nearest);
        if (misspelt != (cases[i].nearest != NULL))
            fail_msg("%s", cases[i].assignment);
        if (!misspelt)
            continue;
        assert_int_equal(strncmp(name, cases[i].assignment, strlen(name)), 0);
        assert_string_equal(nearest, cases[i].nearest);
    }
}

static void long_texts_are_refused(void **state)
{
    (void)state;
    struct vg_option_value value;
    char text[VG_OPTION_TEXT_CAP + 1];
    memset(text, 'a', sizeof text);
    text[VG_OPTION_TEXT_CAP] = '\0';
    assert_int_equal(parse("VRAMGUARD_LOG", text, &value), -EINVAL);
    text[VG_OPTION_TEXT_CAP - 1] = '\0';
    assert_int_equal(parse("VRAMGUARD_LOG", text, &value), 0);
    assert_string_equal(value.text, text);
}

static void survives_any_text(void **state)
{
    (void)state;
    static const char letters[] = "onfaivetrm,|0123456789 -%/\n";
    size_t count;
    const struct vg_option_row *const rows = vg_option_rows(&count);
    vg_policy_check_options();
    srand(4);
    for (int i = 0; i < 100000; i++) {
        char text[40], why[48];
        const int length = rand() % 39;
        for (int k = 0; k < length; k++)
            text[k] = rand() % 8 ? letters[rand() % 27] : (char)(1 + rand() % 255);
        text[length] = '\0';
        memset(why, '#', sizeof why);
        const struct vg_option_row *const row = &rows[(size_t)rand() % count];
        struct vg_option_value value = { .number = 77, .text = "before" };
        const int error = vg_option_parse(row, text, &value, why, 32);
        assert_int_equal(why[32], '#');
        assert_true(error == 0 || error == -EINVAL);
        assert_string_equal(value.text, error ? "before" : text);
        if (!error && row->type == VG_OPTION_COUNT_TYPE)
            assert_in_range(value.number, row->minimum, row->maximum);
    }
}

static void read_child(void *argument)
{
    struct vg_options options;
    setenv("VRAMGUARD", "on", 1);
    setenv("VRAMGUARD_STACKS", argument, 1);
    setenv("VRAMGUARD_KEEP", "7", 1);
    setenv("VRAMGUARD_LOG", "/some/where", 1);
    unsetenv("VRAMGUARD_POLICY");
    errno = 4711;
    vg_option_read_environment(&options);
    CHECK(errno == 4711);
    CHECK(options.enabled.number == VG_ENABLED_ON);
    CHECK(options.keep_runs.number == 7);
    CHECK(strcmp(options.log_path.text, "/some/where") == 0);
    CHECK(strcmp(options.policy.text, "trim,wait") == 0);
    CHECK(options.stacks.number ==
          (strcmp(argument, "native") == 0 ? VG_STACKS_NATIVE : VG_STACKS_FULL)); /* the default */
}

static void wrong_values_are_one_line_and_the_default(void **state)
{
    (void)state;
    char text[2048], wrong[] = "so\nme\033[31m";
    assert_int_equal(run_child(read_child, wrong, text, sizeof text), 0);
    assert_int_equal(line_count(text), 1);
    assert_non_null(strstr(text, "VRAMGUARD_STACKS"));
    assert_non_null(strstr(text, "off|native|python|full"));
    assert_non_null(strstr(text, "default \"full\""));
    assert_null(strchr(text, '\033'));
}

static void off_child(void *argument)
{
    struct vg_options options;
    (void)argument;
    setenv("VRAMGUARD", "off", 1);
    setenv("VRAMGUARD_STACKS", "wrong", 1);
    vg_option_read_environment(&options);
    CHECK(options.enabled.number == VG_ENABLED_OFF);
    CHECK(options.stacks.number == VG_STACKS_FULL);
}

static void off_is_silent(void **state)
{
    (void)state;
    char text[2048];
    assert_int_equal(run_child(off_child, NULL, text, sizeof text), 0);
    assert_string_equal(text, "");
}

/* PyTorch's settings are shown in reports: printable, cut, under the name that is read. */
static void torch_child(void *argument)
{
    struct vg_options options;
    char lengthy[400];
    (void)argument;
    unsetenv("PYTORCH_ALLOC_CONF");
    unsetenv("PYTORCH_CUDA_ALLOC_CONF");
    vg_option_read_environment(&options);
    CHECK(options.torch_settings[0] == '\0');
    setenv("PYTORCH_CUDA_ALLOC_CONF", "max_split_size_mb:64\033[31m", 1);
    setenv("PYTORCH_ALLOC_CONF", "max_split_size_mb:32", 1);
    vg_option_read_environment(&options);
    CHECK(strcmp(options.torch_settings, "PYTORCH_CUDA_ALLOC_CONF=max_split_size_mb:64?[31m") == 0);
    setenv("PYTORCH_CUDA_ALLOC_CONF", "", 1);
    vg_option_read_environment(&options);
    CHECK(options.torch_settings[0] == '\0');
    unsetenv("PYTORCH_CUDA_ALLOC_CONF");
    memset(lengthy, 'x', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = '\0';
    setenv("PYTORCH_ALLOC_CONF", lengthy, 1);
    vg_option_read_environment(&options);
    CHECK(strncmp(options.torch_settings, "PYTORCH_ALLOC_CONF=xxx", 22) == 0);
    const size_t length = strlen(options.torch_settings);
    CHECK(length < sizeof options.torch_settings);
    CHECK(strcmp(options.torch_settings + length - 4, "x...") == 0);
    setenv("WORLD_SIZE", "1", 1);
    vg_option_read_environment(&options);
    CHECK(!options.distributed);
    setenv("WORLD_SIZE", "2", 1);
    vg_option_read_environment(&options);
    CHECK(options.distributed);
    unsetenv("WORLD_SIZE");
    static const char *const sizes[] = { "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS",
                                         "PMI_SIZE" };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        setenv(sizes[i], "8", 1);
        vg_option_read_environment(&options);
        CHECK(options.distributed);
        unsetenv(sizes[i]);
    }
    setenv("SLURM_NTASKS", "8", 1); /* also set in a batch script, outside any step */
    vg_option_read_environment(&options);
    CHECK(!options.distributed);
    unsetenv("SLURM_NTASKS");
}

static void pytorchs_settings_are_read(void **state)
{
    (void)state;
    char text[2048];
    assert_int_equal(run_child(torch_child, NULL, text, sizeof text), 0);
    assert_string_equal(text, "");
}

static void right_values_are_silent(void **state)
{
    (void)state;
    char text[2048], right[] = "native";
    assert_int_equal(run_child(read_child, right, text, sizeof text), 0);
    assert_string_equal(text, "");
}

static void config_child(void *argument)
{
    struct vg_options options;
    setenv("VRAMGUARD_CONFIG", argument, 1);
    setenv("VRAMGUARD_KEEP", "", 1);
    unsetenv("VRAMGUARD_PRIORITY");
    setenv("VRAMGUARD_STACKS", "native", 1);
    vg_option_read_environment(&options);
    CHECK(options.keep_runs.number == 7); /* an empty variable is none */
    CHECK(options.priority.number == 60);
    CHECK(options.stacks.number == VG_STACKS_NATIVE); /* the environment counts more */
}

static void the_file_stands_in_for_the_environment(void **state)
{
    (void)state;
    char text[2048], path[128];
    snprintf(path, sizeof path, "%s/settings", scratch);
    FILE *const file = fopen(path, "w");
    assert_non_null(file);
    fputs("VRAMGUARD_KEEP=7\nVRAMGUARD_PRIORITY=60\nVRAMGUARD_STACKS=full\n", file);
    fclose(file);
    assert_int_equal(run_child(config_child, path, text, sizeof text), 0);
    assert_string_equal(text, "");
}

static void jax_child(void *argument)
{
    struct vg_options options;
    unsetenv("XLA_PYTHON_CLIENT_ALLOCATOR");
    if (argument)
        setenv("XLA_PYTHON_CLIENT_ALLOCATOR", argument, 1);
    vg_option_read_environment(&options);
    CHECK(options.jax_asks_once ==
          (argument && (strcmp(argument, "platform") == 0 || strcmp(argument, "cuda_async") == 0)));
}

static void jax_without_its_pool_is_known(void **state)
{
    (void)state;
    char text[2048], platform[] = "platform", async[] = "cuda_async", pool[] = "bfc";
    char *const cases[] = { NULL, platform, async, pool };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(run_child(jax_child, cases[i], text, sizeof text), 0);
}

static void misspelt_child(void *argument)
{
    static char words[4][40];
    static char *environment[5];
    for (int i = 0; i < *(int *)argument; i++) {
        snprintf(words[i], sizeof words[i], "VRAMGUARD_POLICY%d=trim", i);
        environment[i] = words[i];
    }
    environ = environment;
    errno = 4711;
    vg_option_report_misspelt();
    CHECK(errno == 4711);
}

static void misspelt_names_are_three_lines_at_most(void **state)
{
    (void)state;
    for (int count = 0; count <= 4; count++) {
        char text[2048];
        assert_int_equal(run_child(misspelt_child, &count, text, sizeof text), 0);
        assert_int_equal(line_count(text), count < 3 ? count : 3);
    }
}

static void spellings_have_distances(void **state)
{
    (void)state;
    assert_int_equal(vg_spelling_distance("", ""), 0);
    assert_int_equal(vg_spelling_distance("limit", "limit"), 0);
    assert_int_equal(vg_spelling_distance("", "abc"), 3);
    assert_int_equal(vg_spelling_distance("abc", ""), 3);
    assert_int_equal(vg_spelling_distance("limit", "limot"), 1); /* replaced */
    assert_int_equal(vg_spelling_distance("limits", "limit"), 1);
    assert_int_equal(vg_spelling_distance("imit", "limit"), 1);
    assert_int_equal(vg_spelling_distance("ilmit", "limit"), 2); /* exchanged: two of them */
    assert_int_equal(vg_spelling_distance("xxlimit", "limit"), 2);
    assert_int_equal(vg_spelling_distance("kitten", "sitting"), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_has_what_it_takes),
        cmocka_unit_test(choices_are_exact),
        cmocka_unit_test(counts_are_whole_and_in_range),
        cmocka_unit_test(misspelt_names_find_their_option),
        cmocka_unit_test(long_texts_are_refused),
        cmocka_unit_test(survives_any_text),
        cmocka_unit_test(wrong_values_are_one_line_and_the_default),
        cmocka_unit_test(off_is_silent),
        cmocka_unit_test(pytorchs_settings_are_read),
        cmocka_unit_test(right_values_are_silent),
        cmocka_unit_test_setup_teardown(the_file_stands_in_for_the_environment, make_scratch,
                                        remove_scratch),
        cmocka_unit_test(jax_without_its_pool_is_known),
        cmocka_unit_test(misspelt_names_are_three_lines_at_most),
        cmocka_unit_test(spellings_have_distances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
