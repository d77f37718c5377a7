/* Of the ranks of one job one tells of a failure in full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "registry_fixture.h"
#include "shared/job_reports.h"
#include "shared/shared_file.h"

enum { JOB = 11, OTHER_JOB = 12, CAUSE = 21, OTHER_CAUSE = 22, RANKS = 8, ROUNDS = 50 };

static const uint64_t start = 7000000, hour = 360000; /* in ticks, hundred a second */

/* A rank of a process that was started at `start`. */
static bool claim(uint64_t job, uint64_t cause, int32_t rank, uint64_t now)
{
    const struct vg_job_rank self = { .job_hash = job, .rank = rank, .start_ticks = start };
    int32_t teller = -7;
    const bool first = vg_job_reports_claim(&self, cause, now, &teller);
    assert_true(first == (teller == -7));
    return first;
}

static void the_first_rank_tells(void **state)
{
    (void)state;
    const struct vg_job_rank self = { .job_hash = JOB, .rank = 0, .start_ticks = start };
    int32_t teller = -1;
    assert_true(claim(JOB, CAUSE, 3, start));
    assert_false(vg_job_reports_claim(&self, CAUSE, start + 5, &teller));
    assert_int_equal(teller, 3);
    assert_false(claim(JOB, CAUSE, 1, start - 1 + hour));
    assert_true(claim(JOB, CAUSE, 3, start + 5));
    assert_false(claim(JOB, CAUSE, 1, start + 4)); /* it has looked at the clock before */
    assert_true(claim(JOB, CAUSE, 3, start + 7));
}

static void another_cause_job_or_hour_is_told(void **state)
{
    (void)state;
    const uint64_t now = start + 10 * hour;
    assert_true(claim(JOB, CAUSE, 0, now));
    assert_true(claim(JOB, OTHER_CAUSE, 1, now));
    assert_true(claim(OTHER_JOB, CAUSE, 1, now));
    assert_false(claim(JOB, CAUSE, 1, now));
    assert_true(claim(JOB, CAUSE, 1, now + hour));
    assert_false(claim(JOB, CAUSE, 0, now + hour));
}

/* The same launcher with the same port, again: what stands above is of the run before. */
static void another_run_is_told(void **state)
{
    (void)state;
    struct vg_job_rank self = { .job_hash = JOB, .rank = 1, .start_ticks = start + 100 };
    int32_t teller;
    assert_true(claim(JOB, CAUSE, 0, start + 99));
    assert_true(vg_job_reports_claim(&self, CAUSE, start + 200, &teller));
    self.rank = 0;
    assert_false(vg_job_reports_claim(&self, CAUSE, start + 201, &teller));
    assert_int_equal(teller, 1);
}

static void ranks_that_do_not_fit_tell(void **state)
{
    (void)state;
    const uint64_t now = start + 20 * hour;
    assert_true(claim(JOB, CAUSE, 0, now));
    assert_true(claim(JOB, CAUSE, 1 << 14, now));
    assert_true(claim(JOB, CAUSE, -1, now));
    assert_false(claim(JOB, CAUSE, (1 << 14) - 1, now));
}

/* Processes that ask at the same time: exactly one of each round's gets it. */
static void one_of_many_at_once(void **state)
{
    (void)state;
    int counts[2];
    assert_int_equal(pipe(counts), 0);
    for (int rank = 0; rank < RANKS; rank++) {
        if (fork() > 0)
            continue;
        for (int round = 0; round < ROUNDS; round++) {
            const char number = (char)round;
            if (claim(JOB + (uint64_t)round, CAUSE, rank, start + 30 * hour))
                CHECK(write(counts[1], &number, 1) == 1);
        }
        _exit(0);
    }
    for (int rank = 0; rank < RANKS; rank++) {
        int status;
        assert_true(wait(&status) > 0 && status == 0);
    }
    close(counts[1]);
    int told[ROUNDS] = { 0 }, twice = 0;
    for (char number; read(counts[0], &number, 1) == 1;)
        told[(int)number]++;
    for (int round = 0; round < ROUNDS; round++) {
        assert_true(told[round] >= 1);
        twice += told[round] > 1; /* two jobs of these share an entry */
    }
    assert_true(twice <= ROUNDS / 5);
    close(counts[0]);
}

static void without_a_folder_everybody_tells(void **state)
{
    (void)state;
    const char *const before = vg_registry_directory;
    vg_registry_directory = "/proc/none";
    errno = 77;
    assert_true(claim(JOB, CAUSE, 0, start + 40 * hour));
    assert_true(claim(JOB, CAUSE, 1, start + 40 * hour));
    assert_int_equal(errno, 77);
    vg_registry_directory = before;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_rank_tells), cmocka_unit_test(another_cause_job_or_hour_is_told),
        cmocka_unit_test(another_run_is_told),  cmocka_unit_test(ranks_that_do_not_fit_tell),
        cmocka_unit_test(one_of_many_at_once),  cmocka_unit_test(without_a_folder_everybody_tells),
    };
    return cmocka_run_group_tests(tests, make_registry_folder, remove_scratch);
}
