/* The guard under a limit that processes share, or not, in children and where no account can be
 * shared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guard_limit_fixture.h"

static pid_t (*make_child)(void);

/* The child of a process that has used CUDA: shares, and is charged for its own only. */
static void fork_after_use_child(void *argument)
{
    CUdeviceptr inherited, address;
    (void)argument;
    CHECK(take(&inherited, 600000) == CUDA_SUCCESS);
    const pid_t pid = make_child();
    if (pid == 0) {
        CHECK(left_on(0) == 400000);
        CHECK(give(inherited, 0) == CUDA_SUCCESS && left_on(0) == 400000);
        CHECK(take(&address, 400001) == CUDA_ERROR_OUT_OF_MEMORY);
        CHECK(take(&address, 300000) == CUDA_SUCCESS && left_on(0) == 100000);
        kill(getpid(), SIGKILL);
    }
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
    CHECK(left_on(0) == 400000);
    CHECK(take(&address, 400000) == CUDA_SUCCESS);
    _exit(0);
}

static void forked_child_shares_the_account(void **state)
{
    (void)state;
    make_child = fork_by_call;
    in_child(fork_after_use_child);
}

static void child_of_a_system_call_shares_the_account(void **state)
{
    (void)state;
    make_child = fork_by_system_call;
    in_child(fork_after_use_child);
}

static void fork_own_child(void *argument)
{
    CUdeviceptr address;
    (void)argument;
    CHECK(take(&address, 600000) == CUDA_SUCCESS);
    const pid_t pid = fork();
    if (pid == 0)
        _exit(left_on(0) == LIMIT ? 0 : 1);
    int status;
    CHECK(waitpid(pid, &status, 0) == pid && status == 0);
    CHECK(left_on(0) == 400000);
}

static void forked_child_has_its_own_account(void **state)
{
    (void)state;
    in_child(fork_own_child);
}

/* What is left of the limit as it counts for this process. */
static uint64_t left_of(int ordinal, uint64_t expected_limit_bytes)
{
    uint64_t limit_bytes, left_bytes;
    struct vg_process_state *const state = vg_process_start();
    CHECK(vg_quota_left(&state->allowance, ordinal, &limit_bytes, &left_bytes));
    CHECK(limit_bytes == expected_limit_bytes);
    return left_bytes;
}

/* Joins, and gives the segment away. */
static void occupy_child(void *argument)
{
    CUdeviceptr address;
    struct shmid_ds segment;
    (void)argument;
    CHECK(take(&address, 1) == CUDA_SUCCESS);
    const int id = segment_id(vg_process_start()->allowance.devices[0].ledger.file);
    CHECK(shmctl(id, IPC_STAT, &segment) == 0);
    segment.shm_perm.mode = 0666;
    CHECK(shmctl(id, IPC_SET, &segment) == 0);
}

static void unusable_child(void *argument)
{
    CUdeviceptr address;
    (void)argument;
    CHECK(take(&address, LIMIT + 1) == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(take(&address, LIMIT) == CUDA_SUCCESS && left_on(0) == 0);
}

static void refused_child(void *argument)
{
    CUdeviceptr address;
    (void)argument;
    CHECK(take(&address, 1) == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(left_of(0, 0) == 0);
}

/* Another program has taken the account's place: no limit is kept by letting everybody have it. */
static void without_a_shared_account_nothing_is_given(void **state)
{
    (void)state;
    in_child(occupy_child);
    in_child(refused_child);
    assert_non_null(strstr(attempt, "allocations on GPU 0 are refused"));
}

static void an_unusable_folder_does_not_matter(void **state)
{
    (void)state;
    assert_int_equal(mkdir(vg_registry_directory, 0777), 0);
    assert_int_equal(chmod(vg_registry_directory, 0777), 0);
    in_child(unusable_child);
}

static void without_a_uuid_the_process_is_limited(void **state)
{
    (void)state;
    driver.no_uuid = true;
    in_child(unusable_child);
    assert_non_null(strstr(attempt, "(the GPU has no UUID): this process is limited alone"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        OWN_TEST(forked_child_has_its_own_account),
        SHARED_TEST(forked_child_shares_the_account),
        SHARED_TEST(child_of_a_system_call_shares_the_account),
        SHARED_TEST(without_a_shared_account_nothing_is_given),
        SHARED_TEST(an_unusable_folder_does_not_matter),
        SHARED_TEST(without_a_uuid_the_process_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
