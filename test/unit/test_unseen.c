/* Notes of what vramguard run has started: taken away by who is recorded, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/option_names.h"
#include "core_fixture.h"
#include "record/unseen.h"

static void notes_are_told_from_other_files(void **state)
{
    (void)state;
    assert_true(vg_unseen_is_note("/home/x/.local/state/vramguard/unseen/1700000000-4711"));
    assert_true(vg_unseen_is_note("/unseen/1-2"));
    assert_true(vg_unseen_is_note("/unseen/1-2.unwritten"));
    assert_true(vg_unseen_is_note("/unseen/1-2.elsewhere"));
    static const char *const others[] = { "",
                                          "1-2",
                                          "/unseen/",
                                          "/unseen/1",
                                          "/unseen/-2",
                                          "/unseen/1-",
                                          "/unseen/1-2x",
                                          "/unseen/1-2-3",
                                          "/unseen/x1-2",
                                          "/unseen/1-2.vgr",
                                          "/unseen/1-.unwritten",
                                          "/unseen/1-2.unwritten2",
                                          "/seen/1-2",
                                          "/unseen/1_2",
                                          "/unseen2/1-2",
                                          "/unseen/1-2/x",
                                          "unseen/1-2" };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        if (vg_unseen_is_note(others[i]))
            fail_msg("\"%s\" is none", others[i]);
}

static const char *make_file(const char *name)
{
    const char *const path = in_scratch(name);
    FILE *const file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    return path;
}

static void a_note_is_taken_away_and_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in_scratch("unseen"), 0700), 0);
    const char *const note = make_file("unseen/12-34"), *const other = make_file("other");
    unsetenv(VG_RUN_VARIABLE);
    assert_false(vg_unseen_is_asked_for());
    vg_unseen_settle(VG_UNSEEN_RECORDED);
    setenv(VG_RUN_VARIABLE, "", 1);
    assert_false(vg_unseen_is_asked_for());
    setenv(VG_RUN_VARIABLE, other, 1);
    assert_true(vg_unseen_is_asked_for());
    vg_unseen_settle(VG_UNSEEN_RECORDED);
    assert_int_equal(access(other, F_OK), 0);
    assert_int_equal(access(note, F_OK), 0);
    setenv(VG_RUN_VARIABLE, note, 1);
    errno = 4711;
    vg_unseen_settle(VG_UNSEEN_RECORDED);
    vg_unseen_settle(VG_UNSEEN_UNWRITTEN); /* it is gone already */
    assert_int_equal(errno, 4711);
    assert_int_equal(access(note, F_OK), -1);
}

static void without_a_run_file_there_a_note_stays_under_another_name(void **state)
{
    (void)state;
    assert_int_equal(mkdir(in_scratch("unseen"), 0700), 0);
    const char *const note = make_file("unseen/12-34");
    setenv(VG_RUN_VARIABLE, note, 1);
    vg_unseen_settle(VG_UNSEEN_UNWRITTEN);
    assert_int_equal(access(note, F_OK), -1);
    assert_int_equal(access(in_scratch("unseen/12-34.unwritten"), F_OK), 0);
    setenv(VG_RUN_VARIABLE, make_file("unseen/12-35"), 1);
    vg_unseen_settle(VG_UNSEEN_ELSEWHERE);
    assert_int_equal(access(in_scratch("unseen/12-35.elsewhere"), F_OK), 0);
}

static void notes_lie_in_the_state_directory(void **state)
{
    (void)state;
    char whole[512], part[512];
    assert_int_equal(vg_unseen_directory(whole, sizeof whole), 0);
    assert_string_equal(whole, in_scratch("vramguard/unseen"));
    const size_t length = strlen(whole);
    assert_int_equal(vg_unseen_directory(part, length + 1), 0);
    for (size_t cap = length; cap > 0; cap--) {
        memset(part, '#', sizeof part);
        assert_int_equal(vg_unseen_directory(part, cap), -ENAMETOOLONG);
        assert_int_equal(part[cap], '#');
    }
}

#define NOTE_TEST(name) cmocka_unit_test_setup_teardown(name, make_scratch, remove_scratch)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(notes_are_told_from_other_files),
        NOTE_TEST(a_note_is_taken_away_and_nothing_else),
        NOTE_TEST(without_a_run_file_there_a_note_stays_under_another_name),
        NOTE_TEST(notes_lie_in_the_state_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
