/* Outcomes of actions: the table's rows, the notes of an action, and what a damaged file holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "analyze/outcome.h"
#include "base/size.h"
#include "view/outcome_text.h"

static const struct {
    unsigned code;
    const char *json_name, *sentence;
} rows[] = {
#define VG_OUTCOME(number, name, json_name, sentence) { number, json_name, sentence },
#include "analyze/outcome_table.h"
#undef VG_OUTCOME
};

enum { ROWS = sizeof rows / sizeof rows[0] };

static struct vg_oom_action action;
static char text[1024];

static const char *words_of(const struct vg_outcome *outcome, const char *subject)
{
    struct vg_text out = vg_text_over(text, sizeof text);
    vg_outcome_text(&out, outcome, subject);
    return text;
}

static const char *words_of_all(void)
{
    struct vg_text out = vg_text_over(text, sizeof text);
    vg_outcome_text_all(&out, &action);
    return text;
}

static int clear_action(void **state)
{
    (void)state;
    memset(&action, 0, sizeof action);
    return 0;
}

static void every_row_is_one_of_a_kind_and_says_something(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        const struct vg_outcome outcome = {
            .code = (uint16_t)rows[i].code, .pid = 77, .bytes = 3 * VG_MIB, .more_bytes = 5 * VG_MIB
        };
        assert_in_range(rows[i].code, 1, UINT16_MAX);
        assert_string_equal(vg_outcome_json_name((uint16_t)rows[i].code), rows[i].json_name);
        for (size_t k = 0; k < i; k++) {
            assert_int_not_equal(rows[k].code, rows[i].code);
            assert_string_not_equal(rows[k].json_name, rows[i].json_name);
        }
        words_of(&outcome, "subject");
        assert_true(strlen(text) > 2);
        assert_null(strpbrk(text, "{}"));
        /* Each field of the sentence has become something. */
        if (strstr(rows[i].sentence, "{who}"))
            assert_non_null(strstr(text, "pid 77 (subject)"));
        if (strstr(rows[i].sentence, "{bytes}"))
            assert_non_null(strstr(text, "3.00 MiB"));
        if (strstr(rows[i].sentence, "{more}"))
            assert_non_null(strstr(text, "5.00 MiB"));
        if (strstr(rows[i].sentence, "{text}"))
            assert_non_null(strstr(text, "subject"));
        if (strstr(rows[i].sentence, "{number}"))
            assert_non_null(strstr(text, "77"));
        size_t fields = 0, known = 0;
        for (const char *p = rows[i].sentence; (p = strchr(p, '{')); p++)
            fields++;
        static const char *const names[] = { "{who}",  "{bytes}",  "{more}",
                                             "{time}", "{number}", "{text}" };
        for (size_t n = 0; n < sizeof names / sizeof names[0]; n++)
            for (const char *p = rows[i].sentence; (p = strstr(p, names[n])); p++)
                known++;
        assert_int_equal(fields, known);
    }
}

static void an_unknown_code_is_named_by_its_number(void **state)
{
    (void)state;
    const struct vg_outcome outcome = { .code = 65000 };
    assert_null(vg_outcome_json_name(65000));
    assert_string_equal(words_of(&outcome, ""), "outcome 65000");
}

static void who_is_not_known_is_another_process(void **state)
{
    (void)state;
    struct vg_outcome outcome = { .code = VG_OUTCOME_HOLDER_FREED, .bytes = 2 * VG_GIB };
    assert_string_equal(words_of(&outcome, ""), "another process freed 2.00 GiB");
    outcome.pid = 4711;
    assert_string_equal(words_of(&outcome, ""), "pid 4711 freed 2.00 GiB");
}

static void outcomes_are_told_in_order(void **state)
{
    (void)state;
    vg_outcome_add(&action, (struct vg_outcome){ .code = VG_OUTCOME_GOT_IT }, NULL);
    vg_outcome_add(
        &action,
        (struct vg_outcome){ .code = VG_OUTCOME_HOLDER_FREED, .pid = 4711, .bytes = 2 * VG_GIB },
        "python train.py");
    assert_string_equal(words_of_all(), "got it, pid 4711 (python train.py) freed 2.00 GiB");
    assert_true(vg_outcome_is_among(&action, VG_OUTCOME_HOLDER_FREED));
    assert_false(vg_outcome_is_among(&action, VG_OUTCOME_HOLDER_KEEPS));
}

static void too_many_end_in_dots(void **state)
{
    (void)state;
    for (int i = 0; i < VG_ACTION_OUTCOMES + 2; i++)
        vg_outcome_add(&action, (struct vg_outcome){ .code = VG_OUTCOME_GAVE, .bytes = 1 },
                       "pools");
    assert_int_equal(action.outcome_count, VG_ACTION_OUTCOMES);
    assert_non_null(strstr(words_of_all(), "pools +1 B, ..."));
}

static void long_texts_are_cut(void **state)
{
    (void)state;
    char name[VG_ACTION_TEXTS_CAP + 40];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    vg_outcome_add(&action, (struct vg_outcome){ .code = VG_OUTCOME_ASKED }, name);
    vg_outcome_add(&action, (struct vg_outcome){ .code = VG_OUTCOME_THREW }, name);
    assert_int_equal(strlen(vg_outcome_subject(&action, &action.outcomes[0])),
                     VG_ACTION_TEXTS_CAP - 1);
    assert_string_equal(vg_outcome_subject(&action, &action.outcomes[1]), "");
    assert_int_equal(vg_outcome_repair(&action), 0);
}

static void a_damaged_action_is_made_safe(void **state)
{
    (void)state;
    memset(&action, 0xff, sizeof action);
    action.texts[3] = '\033';
    assert_true(vg_outcome_repair(&action) > 0);
    assert_true(action.outcome_count <= VG_ACTION_OUTCOMES);
    assert_null(memchr(words_of_all(), '\033', sizeof text));
    assert_int_equal(vg_outcome_repair(&action), 0);
    action.outcomes[0].text_at = (uint16_t)(sizeof action.texts + 1);
    assert_int_equal(vg_outcome_repair(&action), 1);
    assert_int_equal(action.outcomes[0].text_at, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(every_row_is_one_of_a_kind_and_says_something, clear_action),
        cmocka_unit_test_setup(an_unknown_code_is_named_by_its_number, clear_action),
        cmocka_unit_test_setup(who_is_not_known_is_another_process, clear_action),
        cmocka_unit_test_setup(outcomes_are_told_in_order, clear_action),
        cmocka_unit_test_setup(too_many_end_in_dots, clear_action),
        cmocka_unit_test_setup(long_texts_are_cut, clear_action),
        cmocka_unit_test_setup(a_damaged_action_is_made_safe, clear_action),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
