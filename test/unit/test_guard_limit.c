/* The guard under VRAMGUARD_LIMIT: what is refused, what is charged, what is given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guard_limit_fixture.h"

static CUresult fake_mem_info(size_t *free_bytes, size_t *total_bytes)
{
    *free_bytes = *total_bytes = 1 << 30;
    driver.result = CUDA_SUCCESS; /* of the next call: it may be made again */
    return CUDA_SUCCESS;
}

static void to_the_byte_child(void *argument)
{
    CUdeviceptr first, second, untouched = 77;
    (void)argument;
    CHECK(take(&untouched, LIMIT + 1) == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(take(&first, 600000) == CUDA_SUCCESS);
    CHECK(take(&untouched, 400001) == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(driver.calls == 1); /* what is refused is not asked for */
    CHECK(take(&second, 400000) == CUDA_SUCCESS && left_on(0) == 0);
    CHECK(take(&untouched, 1) == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(untouched == 77);
    CHECK(give(first, 600000) == CUDA_SUCCESS && left_on(0) == 600000);
    CHECK(give(second, 400000) == CUDA_SUCCESS && left_on(0) == LIMIT);
    CHECK(give(second, 0) == CUDA_SUCCESS && left_on(0) == LIMIT); /* not known any more */
}

static void exact_to_the_byte(void **state)
{
    (void)state;
    in_child(to_the_byte_child);
    assert_non_null(strstr(attempt, "that VRAMGUARD_LIMIT allows"));
}

static void failures_child(void *argument)
{
    CUdeviceptr address;
    const CUresult errors[] = { CUDA_ERROR_OUT_OF_MEMORY, CUDA_ERROR_INVALID_VALUE, 700 };
    (void)argument;
    for (int i = 0; i < 3; i++) {
        driver.result = errors[i];
        CHECK(take(&address, 900000) == errors[i] && left_on(0) == LIMIT);
    }
    driver.result = CUDA_SUCCESS;
    CHECK(take(&address, 900000) == CUDA_SUCCESS);
    driver.free_result = CUDA_ERROR_INVALID_VALUE;
    CHECK(give(address, 900000) == CUDA_ERROR_INVALID_VALUE && left_on(0) == 100000);
    driver.free_result = CUDA_SUCCESS;
    CHECK(give(address, 900000) == CUDA_SUCCESS && left_on(0) == LIMIT);
}

static void failing_calls_charge_nothing(void **state)
{
    (void)state;
    in_child(failures_child);
}

/* So much is free that the failed call is made again. */
static void again_child(void *argument)
{
    CUdeviceptr address;
    (void)argument;
    vg_driver.cuMemGetInfo_v2 = fake_mem_info;
    driver.result = CUDA_ERROR_OUT_OF_MEMORY;
    CHECK(take(&address, 900000) == CUDA_SUCCESS);
    CHECK(driver.calls == 2 && left_on(0) == 100000);
    CHECK(give(address, 900000) == CUDA_SUCCESS && left_on(0) == LIMIT);
}

static void a_call_made_again_is_charged_once(void **state)
{
    (void)state;
    in_child(again_child);
}

static void resized_child(void *argument)
{
    CUdeviceptr address, untouched = 77;
    (void)argument;
    CHECK(take_more(&address, 500000, 100000) == CUDA_SUCCESS && left_on(0) == 400000);
    CHECK(take_more(&untouched, 400000, 1) == CUDA_ERROR_OUT_OF_MEMORY && left_on(0) == 400000);
    CHECK(untouched == 77);
    CHECK(take_more(&untouched, 400000, (size_t)-100000) == CUDA_SUCCESS); /* less than thought */
    CHECK(left_on(0) == 100000);
    CHECK(give(address, 600000) == CUDA_SUCCESS && left_on(0) == 700000);
}

static void the_amount_may_be_known_afterwards(void **state)
{
    (void)state;
    in_child(resized_child);
}

static void unseen_ends_child(void *argument)
{
    CUdeviceptr address;
    (void)argument;
    CHECK(take(&address, 300000) == CUDA_SUCCESS);
    driver.next_address = driver.last_address; /* its end was not seen: it is given out again */
    device = 1;
    CHECK(take(&address, 200000) == CUDA_SUCCESS);
    CHECK(left_on(0) == LIMIT && left_on(1) == 800000);
    device = 0;
    driver.context = 16;
    for (int i = 0; i < 10; i++)
        CHECK(take(&address, 50000) == CUDA_SUCCESS);
    driver.context = 8;
    CHECK(take(&address, 1000) == CUDA_SUCCESS && left_on(0) == 499000);
    vg_guard_drop_context((CUcontext)(uintptr_t)16);
    CHECK(left_on(0) == 999000 && left_on(1) == 800000);
}

static void ends_that_are_not_seen_give_back(void **state)
{
    (void)state;
    in_child(unseen_ends_child);
}

static void is_graph_node_child(void *argument)
{
    struct vg_call call;
    (void)argument;
    CHECK(vg_guard_begin(&call, VG_FN_cuMemAlloc_v2, 5 * LIMIT));
    call.is_graph_node = true;
    CHECK(vg_guard_admits(&call));
    vg_guard_end(&call);
    CHECK(vg_guard_begin(&call, VG_FN_cuMemAlloc_v2, VG_BYTES_UNKNOWN));
    CHECK(vg_guard_admits(&call)); /* nothing to compare */
    call.result = CUDA_SUCCESS;
    vg_guard_record(&call, VG_KIND_ARRAY, 5, VG_BYTES_UNKNOWN);
    vg_guard_end(&call);
    CHECK(left_on(0) == LIMIT);
    CHECK(vg_guard_begin(&call, VG_FN_cuMemAlloc_v2, 4096));
    CHECK(vg_guard_admits(&call) && left_on(0) == LIMIT - 4096);
    call.result = CUDA_SUCCESS;
    vg_guard_record(&call, VG_KIND_PINNED, 6, 4096); /* lies on the host */
    vg_guard_end(&call);
    CHECK(left_on(0) == LIMIT);
}

static void what_takes_no_memory_is_not_charged(void **state)
{
    (void)state;
    in_child(is_graph_node_child);
}

/* What there was no memory to record cannot be given back when it is freed: it is not charged. */
static void unrecorded_child(void *argument)
{
    struct vg_process_state *const state = vg_process_start();
    CUdeviceptr address;
    uint64_t taken = 1;
    (void)argument;
    CHECK(take(&address, 1) == CUDA_SUCCESS);
    state->recorder.live.reserved_bytes = state->recorder.live.usable_bytes; /* it cannot grow */
    for (; taken < 100000 && state->track.lost_count == 0; taken++)
        CHECK(take(&address, 1) == CUDA_SUCCESS);
    CHECK(state->track.lost_count == 1);
    CHECK(left_on(0) == LIMIT - (taken - 1));
}

static void what_is_not_recorded_is_not_charged(void **state)
{
    (void)state;
    in_child(unrecorded_child);
}

static void devices_child(void *argument)
{
    CUdeviceptr address;
    (void)argument;
    for (device = 0; device < DEVICES; device++)
        CHECK(take(&address, LIMIT) == CUDA_SUCCESS && left_on(device) == 0);
    device = DEVICES; /* the driver does not know it: its error is the program's */
    CHECK(take(&address, 5 * LIMIT) == CUDA_SUCCESS);
    device = -1;
    CHECK(take(&address, 5 * LIMIT) == CUDA_SUCCESS);
}

static void devices_have_accounts_of_their_own(void **state)
{
    (void)state;
    in_child(devices_child);
}

static void early_child(void *argument)
{
    CUdeviceptr address;
    (void)argument;
    driver.total_result = CUDA_ERROR_NOT_INITIALIZED;
    CHECK(take(&address, 5 * LIMIT) == CUDA_SUCCESS);
    driver.total_result = CUDA_SUCCESS;
    CHECK(take(&address, LIMIT + 1) == CUDA_ERROR_OUT_OF_MEMORY);
}

static void before_the_driver_is_ready_there_is_no_limit(void **state)
{
    (void)state;
    in_child(early_child);
}

static void unknown_total_child(void *argument)
{
    CUdeviceptr address;
    (void)argument;
    driver.total_result = 999;
    CHECK(take(&address, 5 * LIMIT) == CUDA_SUCCESS);
}

static void a_share_of_an_unknown_total_is_told(void **state)
{
    (void)state;
    setenv("VRAMGUARD_LIMIT", "50%", 1);
    in_child(unknown_total_child);
    assert_int_equal(line_count(attempt), 1);
    assert_non_null(strstr(attempt, "GPU 0 has: it is not limited"));
}

/* ---- threads ---- */

#ifdef __SANITIZE_THREAD__
enum { THREADS = 8, ROUNDS = 1000 };
#else
enum { THREADS = 8, ROUNDS = 20000 };
#endif

static _Atomic uint64_t taken;

/* ThreadSanitizer does not bear libunwind's clean-up at the end of a thread. */
static void begin_thread(void)
{
    left_on(0);
#ifdef __SANITIZE_THREAD__
    vg_thread.stack_lowest = (uintptr_t)__builtin_frame_address(0) - 23 * 1024; /* as if it were */
#endif
    pthread_barrier_wait(&start_line);
}

static void *take_the_rest(void *argument)
{
    CUdeviceptr address;
    (void)argument;
    begin_thread();
    while (take(&address, 7) == CUDA_SUCCESS)
        taken += 7;
    if (take(&address, 1) == CUDA_SUCCESS)
        taken += 1;
    return NULL;
}

static void *take_and_give(void *argument)
{
    enum { KEPT = 16 };
    CUdeviceptr kept[KEPT] = { 0 };
    size_t bytes[KEPT] = { 0 };
    unsigned seed = (unsigned)(uintptr_t)argument;
    begin_thread();
    for (int i = 0; i < ROUNDS; i++) {
        const int k = rand_r(&seed) % KEPT;
        if (kept[k])
            CHECK(give(kept[k], bytes[k]) == CUDA_SUCCESS);
        bytes[k] = 1 + (size_t)(rand_r(&seed) % 40000);
        kept[k] = 0;
        if (take(&kept[k], bytes[k]) != CUDA_SUCCESS)
            kept[k] = 0;
    }
    for (int k = 0; k < KEPT; k++)
        if (kept[k])
            CHECK(give(kept[k], bytes[k]) == CUDA_SUCCESS);
    return NULL;
}

/* Failures are attempt a few times and then only counted: threads that fail are to meet at the
 * account, not at the report. */
static void use_up_reports(void)
{
    CUdeviceptr address;
    for (int i = 0; i < 20; i++)
        CHECK(take(&address, LIMIT + 1) == CUDA_ERROR_OUT_OF_MEMORY);
}

static void last_byte_child(void *argument)
{
    CUdeviceptr address;
    (void)argument;
    CHECK(take(&address, LIMIT - 10000) == CUDA_SUCCESS);
    use_up_reports();
    run_threads(THREADS, take_the_rest);
    CHECK(taken == 10000 && left_on(0) == 0);
}

static void threads_race_for_the_last_byte(void **state)
{
    (void)state;
    in_child(last_byte_child);
}

static void churn_child(void *argument)
{
    (void)argument;
    use_up_reports();
    run_threads(THREADS, take_and_give);
    CHECK(driver.most_bytes <= (int64_t)LIMIT && driver.most_bytes > (int64_t)LIMIT / 2);
    CHECK(left_on(0) == LIMIT);
}

static void threads_never_pass_the_limit_and_leave_nothing_charged(void **state)
{
    (void)state;
    in_child(churn_child);
}

#define BOTH_TEST(name) OWN_TEST(name), SHARED_TEST(name)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH_TEST(exact_to_the_byte),
        BOTH_TEST(failing_calls_charge_nothing),
        BOTH_TEST(a_call_made_again_is_charged_once),
        BOTH_TEST(the_amount_may_be_known_afterwards),
        BOTH_TEST(ends_that_are_not_seen_give_back),
        BOTH_TEST(what_takes_no_memory_is_not_charged),
        BOTH_TEST(what_is_not_recorded_is_not_charged),
        BOTH_TEST(devices_have_accounts_of_their_own),
        BOTH_TEST(before_the_driver_is_ready_there_is_no_limit),
        BOTH_TEST(a_share_of_an_unknown_total_is_told),
        BOTH_TEST(threads_race_for_the_last_byte),
        BOTH_TEST(threads_never_pass_the_limit_and_leave_nothing_charged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
