/* The guard in programs that fork, and that have threads. Each test runs in a process of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guard_fixture.h"

/* ---- fork ---- */

static pid_t (*make_child)(void);

static void fork_child(void *argument)
{
    (void)argument;
    const CUdeviceptr inherited = allocated(1 << 20);
    allocated(2 << 20);
    const pid_t pid = make_child();
    if (pid == 0) {
        CHECK(guarded_free(inherited) == CUDA_SUCCESS);
        CHECK(driver.last_freed == inherited);
        allocated(5 << 20);
        const pid_t grandchild = make_child();
        if (grandchild == 0) {
            allocated(7 << 20);
            exit(9);
        }
        int status;
        CHECK(waitpid(grandchild, &status, 0) == grandchild && WEXITSTATUS(status) == 9);
        exit(8);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 8);
    _exit(0); /* without exit handlers: nobody may have written an end for us */
}

static void check_forked(pid_t (*how)(void))
{
    char paths[8][512];
    unsigned found = 0;
    make_child = how;
    in_child(fork_child);
    assert_string_equal(attempt, "");
    assert_int_equal(list_records(paths, 8), 3);
    for (int i = 0; i < 3; i++) {
        struct record record;
        uint64_t bytes;
        assert_true(read_record(paths[i], &record));
        const uint64_t count = count_live(&record, &bytes);
        if (bytes == 3 << 20 && count == 2 && record.header->end == VG_END_NONE)
            found |= 1; /* the parent's: the child's free and exit did not touch it */
        if (bytes == 5 << 20 && count == 1 && record.header->end == VG_END_EXIT &&
            record.header->exit_status == 8)
            found |= 2;
        if (bytes == 7 << 20 && count == 1 && record.header->exit_status == 9)
            found |= 4;
        free_record(&record);
    }
    assert_int_equal(found, 7);
}

static void child_of_fork_has_its_own_state(void **state)
{
    (void)state;
    check_forked(fork_by_call);
}

static void child_of_a_system_call_has_its_own_state(void **state)
{
    (void)state;
    check_forked(fork_by_system_call);
}

static void quiet_child(void *argument)
{
    (void)argument;
    allocated(1 << 20);
    const pid_t pid = fork();
    if (pid == 0)
        exit(5); /* never touches CUDA: its exit is not the parent's end */
    int status;
    CHECK(waitpid(pid, &status, 0) == pid);
    _exit(0);
}

static void child_without_cuda_leaves_the_record_alone(void **state)
{
    (void)state;
    struct record record;
    in_child(quiet_child);
    read_only_record(&record);
    assert_int_equal(record.header->end, VG_END_NONE);
    free_record(&record);
}

static void failing_fork_child(void *argument)
{
    (void)argument;
    CUdeviceptr address;
    driver.failures = 1;
    CHECK(guarded_alloc(&address, 64 << 20) == CUDA_ERROR_OUT_OF_MEMORY);
    const pid_t pid = fork();
    driver.failures = 1;
    if (pid == 0)
        exit(guarded_alloc(&address, 32 << 20) == CUDA_ERROR_OUT_OF_MEMORY ? 0 : 1);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

static void first_failure_of_a_child_is_told_in_full(void **state)
{
    (void)state;
    in_child(failing_fork_child);
    assert_int_equal(count_text("GPU 0 out of memory: "), 2);
    const char *const first = strstr(attempt, "GPU 0 out of memory: ");
    const char *const second = strstr(first + 1, "GPU 0 out of memory: ");
    const int first_lines = line_count(first) - line_count(second);
    assert_true(first_lines > 5);
    assert_true(line_count(second) > 5);
}

/* ---- threads ---- */

#ifdef __SANITIZE_THREAD__
enum { THREADS = 8, ROUNDS = 500, KEPT = 100 };
#else
enum { THREADS = 8, ROUNDS = 5000, KEPT = 1000 };
#endif

static void *allocate_and_free(void *argument)
{
    static _Thread_local CUdeviceptr kept[KEPT];
    (void)argument;
    pthread_barrier_wait(&start_line);
    for (int i = 0; i < ROUNDS; i++) {
        if (kept[i % KEPT])
            CHECK(guarded_free(kept[i % KEPT]) == CUDA_SUCCESS);
        kept[i % KEPT] = allocated(512);
    }
    return NULL;
}

static void threads_child(void *argument)
{
    (void)argument;
    run_threads(THREADS, allocate_and_free);
    CHECK(driver.alloc_calls == THREADS * ROUNDS);
}

static void threads_make_the_first_calls_together(void **state)
{
    (void)state;
    struct record record;
    uint64_t bytes;
    in_child(threads_child);
    assert_string_equal(attempt, "");
    read_only_record(&record); /* one file, though eight came first */
    assert_int_equal(count_live(&record, &bytes), THREADS * KEPT);
    assert_int_equal(bytes, THREADS * KEPT * 512);
    free_record(&record);
}

static void *fail_once(void *argument)
{
    CUdeviceptr address;
    (void)argument;
    pthread_barrier_wait(&start_line);
    CHECK(guarded_alloc(&address, 64 << 20) == CUDA_ERROR_OUT_OF_MEMORY);
    return NULL;
}

static CUresult always_full(CUdeviceptr *address, size_t bytes)
{
    (void)address, (void)bytes;
    return CUDA_ERROR_OUT_OF_MEMORY;
}

static void failing_threads_child(void *argument)
{
    (void)argument;
    vg_driver.cuMemAlloc_v2 = always_full;
    run_threads(THREADS, fail_once);
}

/* Workers of a pool, say: the same failure of each is one to its user, and counted. */
static void threads_that_fail_together_are_told_once(void **state)
{
    (void)state;
    struct record record;
    in_child(failing_threads_child);
    assert_int_equal(count_text("out of memory"), 1);
    assert_int_equal(count_text("\n  why "), 1);
    read_only_record(&record);
    assert_int_equal(record.header->failure_count, THREADS);
    free_record(&record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GUARD_TEST(child_of_fork_has_its_own_state),
        GUARD_TEST(child_of_a_system_call_has_its_own_state),
        GUARD_TEST(child_without_cuda_leaves_the_record_alone),
        GUARD_TEST(first_failure_of_a_child_is_told_in_full),
        GUARD_TEST(threads_make_the_first_calls_together),
        GUARD_TEST(threads_that_fail_together_are_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
