/* Lines of a program and its variables, in words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "view/line_text.h"

static char words[512];

static struct vg_text start(void)
{
    return vg_text_over(words, sizeof words);
}

static const struct vg_run_line step = { .path = "/p/net.py",
                                         .file = "net.py",
                                         .line = 11,
                                         .function = "main.<locals>.step",
                                         .text = "" };

static void lines_have_file_number_and_function(void **state)
{
    (void)state;
    struct vg_text out = start();
    vg_line_add(&out, &step);
    assert_string_equal(words, "net.py:11 step");
    struct vg_run_line line = step;
    line.function = "<module>"; /* says nothing */
    out = start();
    vg_line_add(&out, &line);
    assert_string_equal(words, "net.py:11");
    line.file = "";
    out = start();
    vg_line_add(&out, &line);
    assert_string_equal(words, "");
}

static void the_main_threads_line_stands_in(void **state)
{
    (void)state;
    struct vg_run_failure failure = { .main_line = step };
    struct vg_text out = start();
    vg_line_add_main(&out, &failure);
    assert_string_equal(words, "net.py:11 step (main thread) > ");
    failure.main_line.line = 0;
    out = start();
    vg_line_add_main(&out, &failure);
    assert_string_equal(words, "");
}

static void sites_have_a_line_or_a_label(void **state)
{
    (void)state;
    struct vg_run_site site = { .own = step, .called = "torch.sigmoid", .label = "a label" };
    struct vg_text out = start();
    vg_line_add_site(&out, &site);
    assert_string_equal(words, "net.py:11 step (torch.sigmoid)");
    site.own.file = "";
    out = start();
    vg_line_add_site(&out, &site);
    assert_string_equal(words, "a label");
    site.label = "";
    out = start();
    vg_line_add_site(&out, &site);
    assert_string_equal(words, "(no stack was recorded)");
}

static void variables_have_their_place(void **state)
{
    (void)state;
    struct vg_census_variable variable = { .place = VG_CENSUS_LOCAL,
                                           .path = "history",
                                           .type = "list",
                                           .length = 70,
                                           .function = "main",
                                           .file = "/p/train.py",
                                           .line = 24 };
    struct vg_text out = start();
    vg_line_add_variable(&out, &variable);
    assert_string_equal(words, "`history` (list of 70, train.py:24 main)");
    variable.length = -1;
    variable.line = 0;
    strcpy(variable.function, "<module>");
    out = start();
    vg_line_add_variable(&out, &variable);
    assert_string_equal(words, "`history` (list, train.py)");
    variable.place = VG_CENSUS_GLOBAL;
    variable.type[0] = '\0';
    variable.length = 0;
    out = start();
    vg_line_add_variable(&out, &variable);
    assert_string_equal(words, "`history` (type unknown of 0, global of train.py)");
    variable.place = VG_CENSUS_LIBRARY;
    strcpy(variable.function, "sys");
    out = start();
    vg_line_add_variable_name(&out, &variable);
    assert_string_equal(words, "`sys.history`");
}

static void what_a_function_works_on_has_no_name(void **state)
{
    (void)state;
    struct vg_census_variable variable = { .place = VG_CENSUS_WORK, .length = 70, .line = 24 };
    strcpy(variable.type, "list");
    strcpy(variable.function, "Loop.main");
    strcpy(variable.file, "/home/me/train.py");
    struct vg_text out = start();
    vg_line_add_variable(&out, &variable);
    assert_string_equal(words, "the list of 70 that train.py:24 Loop.main is working on");
    out = start();
    vg_line_add_variable_name(&out, &variable);
    assert_string_equal(words, "that list");
    variable.length = -1;
    variable.file[0] = '\0';
    out = start();
    vg_line_add_variable(&out, &variable);
    assert_string_equal(words, "the list that a function is working on");
}

static void what_is_handled_is_told_with_who_does(void **state)
{
    (void)state;
    struct vg_census_variable variable = { .place = VG_CENSUS_HANDLED, .length = -1, .line = 24 };
    strcpy(variable.type, "ValueError");
    strcpy(variable.function, "main.<locals>.serve");
    strcpy(variable.file, "/home/me/train.py");
    struct vg_text out = start();
    vg_line_add_variable(&out, &variable);
    assert_string_equal(words, "the ValueError that train.py:24 serve is handling");
    variable.place = VG_CENSUS_HANDLED_ELSEWHERE;
    out = start();
    vg_line_add_variable(&out, &variable);
    assert_string_equal(words,
                        "the ValueError that train.py:24 serve is handling in another thread");
    out = start();
    vg_line_add_variable_name(&out, &variable);
    assert_string_equal(words, "that ValueError");
    variable.file[0] = '\0';
    out = start();
    vg_line_add_variable(&out, &variable);
    assert_string_equal(words, "the ValueError that is being handled in another thread");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_have_file_number_and_function),
        cmocka_unit_test(the_main_threads_line_stands_in),
        cmocka_unit_test(sites_have_a_line_or_a_label),
        cmocka_unit_test(variables_have_their_place),
        cmocka_unit_test(what_a_function_works_on_has_no_name),
        cmocka_unit_test(what_is_handled_is_told_with_who_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
