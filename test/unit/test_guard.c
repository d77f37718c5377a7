/* The guard over a driver of the test's own: what the program gets, what is recorded, what is
 * attempt. Each test runs in a process of its own, since the guard's state is made once a process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guard_fixture.h"

static void allocations_child(void *argument)
{
    (void)argument;
    const CUdeviceptr first = allocated(1 << 20);
    allocated(2 << 20);
    CHECK(guarded_free(first) == CUDA_SUCCESS);
    CHECK(driver.last_freed == first);
    CHECK(driver.alloc_calls == 2 && driver.free_calls == 1);
}

static void allocations_are_recorded(void **state)
{
    (void)state;
    struct record record;
    uint64_t bytes;
    in_child(allocations_child);
    assert_string_equal(attempt, "");
    read_only_record(&record);
    assert_int_equal(count_live(&record, &bytes), 1);
    assert_int_equal(bytes, 2 << 20);
    assert_int_equal(record.header->devices[0].live_bytes, 2 << 20);
    assert_int_equal(record.header->devices[0].peak_bytes, 3 << 20);
    assert_int_equal(record.header->devices[0].total_bytes, 256 << 20);
    assert_int_equal(record.header->end, VG_END_EXIT);
    assert_int_equal(record.header->failure_count, 0);
    free_record(&record);
}

static void count_failures(uint32_t type, const void *payload, uint32_t size_bytes, void *argument)
{
    (void)payload;
    *(int *)argument += type == VG_JOURNAL_FAILURE_PARTS && size_bytes > 0;
}

static void out_of_memory_child(void *argument)
{
    (void)argument;
    CUdeviceptr address = 0x1234;
    driver.failures = 1;
    errno = 4711;
    CHECK(guarded_alloc(&address, 64 << 20) == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(errno == 4711);
    CHECK(address == 0x1234); /* as the driver left it */
    CHECK(driver.alloc_calls == 1);
    allocated(1 << 20); /* and on it goes */
}

static void out_of_memory_is_reported_once(void **state)
{
    (void)state;
    struct record record;
    uint64_t bytes;
    int failures = 0;
    in_child(out_of_memory_child);
    assert_int_equal(count_text("GPU 0 out of memory: "), 1);
    assert_non_null(strstr(attempt, "64.0 MiB"));
    read_only_record(&record);
    assert_int_equal(record.header->failure_count, 1);
    assert_int_equal(record.header->devices[0].failed_count, 1);
    assert_true(walk_journal(&record, count_failures, &failures) >= 1);
    assert_int_equal(failures, 1);
    assert_int_equal(count_live(&record, &bytes), 1);
    free_record(&record);
}

enum { STORM = 1000 };

static void storm_child(void *argument)
{
    (void)argument;
    CUdeviceptr address;
    driver.failures = STORM;
    for (int i = 0; i < STORM; i++)
        CHECK(guarded_alloc(&address, 64 << 20) == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(driver.alloc_calls == STORM);
}

static void storm_of_failures_is_counted_not_told(void **state)
{
    (void)state;
    struct record record;
    in_child(storm_child);
    assert_in_range(count_text("GPU 0 out of memory: "), 1, 8);
    read_only_record(&record);
    assert_int_equal(record.header->failure_count, STORM);
    assert_int_equal(record.header->devices[0].failed_count, STORM);
    free_record(&record);
}

static void other_errors_child(void *argument)
{
    (void)argument;
    const CUresult errors[] = { CUDA_ERROR_INVALID_VALUE,   CUDA_ERROR_NOT_INITIALIZED,
                                CUDA_ERROR_DEINITIALIZED,   CUDA_ERROR_INVALID_CONTEXT,
                                CUDA_ERROR_INVALID_DEVICE,  CUDA_ERROR_NOT_SUPPORTED,
                                700 /* illegal address */,  999 /* unknown */,
                                12345 /* a newer driver */, -1 };
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        CUdeviceptr address = 77;
        driver.next_result = errors[i];
        driver.failures = 1;
        CHECK(guarded_alloc(&address, 4096) == errors[i]);
        CHECK(address == 77);
        CHECK(driver.alloc_calls == (int)i + 1); /* no second try */
    }
    CHECK(guarded_alloc(NULL, 4096) == CUDA_ERROR_INVALID_VALUE);
    CUdeviceptr address;
    CHECK(guarded_alloc(&address, 0) == CUDA_ERROR_INVALID_VALUE);
}

static void other_errors_are_passed_through(void **state)
{
    (void)state;
    struct record record;
    uint64_t bytes;
    in_child(other_errors_child);
    assert_string_equal(attempt, "");
    read_only_record(&record);
    assert_int_equal(record.header->failure_count, 0);
    assert_int_equal(count_live(&record, &bytes), 0);
    free_record(&record);
}

static void failing_free_child(void *argument)
{
    (void)argument;
    const CUdeviceptr kept = allocated(1 << 20);
    const CUresult errors[] = { CUDA_ERROR_INVALID_VALUE, CUDA_ERROR_DEINITIALIZED, 700,
                                CUDA_ERROR_OUT_OF_MEMORY };
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        driver.free_result = errors[i];
        CHECK(guarded_free(kept) == errors[i]);
    }
    CHECK(driver.free_calls == 4);
}

static void failing_free_puts_back(void **state)
{
    (void)state;
    struct record record;
    uint64_t bytes;
    in_child(failing_free_child);
    assert_string_equal(attempt, "");
    read_only_record(&record);
    assert_int_equal(count_live(&record, &bytes), 1);
    assert_int_equal(record.header->devices[0].live_bytes, 1 << 20);
    free_record(&record);
}

/* Who waits is told at once of what comes free, and a failing free tells nobody. */
static void waited_for_child(void *argument)
{
    static struct vg_queue queue;
    (void)argument;
    const CUdeviceptr first = allocated(1 << 20), second = allocated(1 << 20);
    struct vg_registration *const registration = &vg_process_current->registrations[0];
    struct vg_queue *const own = registration->queue;
    __atomic_store_n(&registration->queue, &queue, __ATOMIC_RELEASE);
    CHECK(guarded_free(first) == CUDA_SUCCESS);
    CHECK(atomic_load(&queue.freed) == 0); /* nobody waits */
    atomic_store(&queue.waiting, 1);
    driver.free_result = CUDA_ERROR_INVALID_VALUE;
    CHECK(guarded_free(second) == CUDA_ERROR_INVALID_VALUE);
    CHECK(atomic_load(&queue.freed) == 0);
    driver.free_result = CUDA_SUCCESS;
    CHECK(guarded_free(second) == CUDA_SUCCESS);
    CHECK(atomic_load(&queue.freed) == 1);
    __atomic_store_n(&registration->queue, own, __ATOMIC_RELEASE);
}

static void a_free_tells_who_waits(void **state)
{
    (void)state;
    in_child(waited_for_child);
    assert_string_equal(attempt, "");
}

static void unknown_pointer_child(void *argument)
{
    (void)argument;
    allocated(512);
    CHECK(guarded_free(0xdead0000) == CUDA_SUCCESS);
    CHECK(driver.last_freed == 0xdead0000);
    CHECK(guarded_free(0) == CUDA_SUCCESS);
    CHECK(driver.free_calls == 2);
    driver.free_result = CUDA_ERROR_INVALID_VALUE;
    CHECK(guarded_free(0xdead0000) == CUDA_ERROR_INVALID_VALUE);
}

static void unknown_pointers_go_to_the_driver(void **state)
{
    (void)state;
    struct record record;
    uint64_t bytes;
    in_child(unknown_pointer_child);
    assert_string_equal(attempt, "");
    read_only_record(&record);
    assert_int_equal(count_live(&record, &bytes), 1);
    free_record(&record);
}

static void no_context_child(void *argument)
{
    (void)argument;
    CUdeviceptr address = 77;
    driver.has_context = false;
    driver.next_result = CUDA_ERROR_INVALID_CONTEXT;
    driver.failures = 1;
    CHECK(guarded_alloc(&address, 4096) == CUDA_ERROR_INVALID_CONTEXT);
    driver.next_result = CUDA_ERROR_OUT_OF_MEMORY;
    driver.failures = 1;
    CHECK(guarded_alloc(&address, 4096) == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(address == 77);
    CHECK(guarded_free(77) == CUDA_SUCCESS);
    CHECK(guarded_alloc(&address, 4096) == CUDA_SUCCESS); /* a driver may have its reasons */
    CHECK(guarded_free(address) == CUDA_SUCCESS);
    vg_driver.cuCtxGetDevice = NULL; /* not even the question exists */
    CHECK(guarded_alloc(&address, 4096) == CUDA_SUCCESS);
}

static void without_a_context_nothing_breaks(void **state)
{
    (void)state;
    struct record record;
    uint64_t bytes;
    in_child(no_context_child);
    assert_int_equal(count_text("out of memory"), 1);
    read_only_record(&record);
    assert_int_equal(record.header->failure_count, 1);
    assert_int_equal(count_live(&record, &bytes), 0);
    free_record(&record);
}

static void odd_device_child(void *argument)
{
    (void)argument;
    const CUdevice odd[] = { -1, VG_FILE_HOST, VG_FILE_DEVICES, 1000000, INT32_MAX, INT32_MIN };
    CUdeviceptr address;
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        driver.device = odd[i];
        CHECK(guarded_alloc(&address, 4096) == CUDA_SUCCESS);
        driver.failures = 1;
        CHECK(guarded_alloc(&address, 4096) == CUDA_ERROR_OUT_OF_MEMORY);
        CHECK(guarded_free(address) == CUDA_SUCCESS);
    }
    driver.device = VG_FILE_HOST - 1;
    allocated(1 << 20);
}

static void device_numbers_beyond_the_table(void **state)
{
    (void)state;
    struct record record;
    uint64_t bytes;
    in_child(odd_device_child);
    read_only_record(&record);
    assert_int_equal(record.header->failure_count, 6);
    assert_int_equal(count_live(&record, &bytes), 1);
    assert_int_equal(record.header->devices[VG_FILE_HOST - 1].live_bytes, 1 << 20);
    free_record(&record);
}

static CUdeviceptr inner_address;

/* A driver (or a callback of it) that calls exported functions itself. */
static CUresult nesting_alloc(CUdeviceptr *address, size_t bytes)
{
    vg_driver.cuMemAlloc_v2 = fake_alloc;
    CHECK(guarded_alloc(&inner_address, 4096) == CUDA_SUCCESS);
    CHECK(guarded_free(inner_address) == CUDA_SUCCESS);
    CHECK(guarded_alloc(&inner_address, 4096) == CUDA_SUCCESS);
    driver.failures = 1;
    CUdeviceptr never;
    CHECK(guarded_alloc(&never, 4096) == CUDA_ERROR_OUT_OF_MEMORY);
    return fake_alloc(address, bytes);
}

static void nested_child(void *argument)
{
    (void)argument;
    vg_driver.cuMemAlloc_v2 = nesting_alloc;
    allocated(1 << 20);
    CHECK(driver.alloc_calls == 4 && driver.free_calls == 1);
    allocated(1 << 20); /* the guard is on again */
}

static void nested_calls_bypass(void **state)
{
    (void)state;
    struct record record;
    uint64_t bytes;
    in_child(nested_child);
    assert_string_equal(attempt, "");
    read_only_record(&record);
    assert_int_equal(count_live(&record, &bytes), 2);
    assert_int_equal(bytes, 2 << 20);
    assert_int_equal(record.header->failure_count, 0);
    free_record(&record);
}

static CUresult fake_pool(CUmemoryPool *pool, CUdevice device)
{
    (void)device;
    *pool = (CUmemoryPool)(uintptr_t)8;
    return CUDA_SUCCESS;
}

static size_t trimmed_bytes;

static CUresult fake_trim(CUmemoryPool pool, size_t keep_bytes)
{
    CHECK(pool == (CUmemoryPool)(uintptr_t)8 && keep_bytes == 0);
    trimmed_bytes = 5 << 20;
    return CUDA_SUCCESS;
}

static CUresult info_after_trim(size_t *free_bytes, size_t *total_bytes)
{
    *free_bytes = (10 << 20) + trimmed_bytes;
    *total_bytes = 256 << 20;
    return CUDA_SUCCESS;
}

static void trim_child(void *argument)
{
    (void)argument;
    vg_driver.cuDeviceGetDefaultMemPool = fake_pool;
    vg_driver.cuMemPoolTrimTo = fake_trim;
    vg_driver.cuMemGetInfo_v2 = info_after_trim;
    driver.failures = 1;
    allocated(20 << 20); /* after a second try */
    CHECK(driver.alloc_calls == 2);
    CHECK(trimmed_bytes > 0);
    driver.failures = 2; /* nothing more to trim: one try, one report */
    CUdeviceptr address;
    CHECK(guarded_alloc(&address, 20 << 20) == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(driver.alloc_calls == 3);
}

static void policy_makes_the_call_again(void **state)
{
    (void)state;
    struct record record;
    setenv("VRAMGUARD_POLICY", "trim", 1);
    in_child(trim_child);
    assert_int_equal(count_text("GPU 0 out of memory: "), 1);
    read_only_record(&record);
    assert_int_equal(record.header->failure_count, 1);
    free_record(&record);
}

static void switched_off_child(void *argument)
{
    (void)argument;
    CUdeviceptr address;
    allocated(4096);
    driver.failures = 1;
    CHECK(guarded_alloc(&address, 4096) == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(guarded_free(5) == CUDA_SUCCESS);
}

/* So large that, without NVML, another process may hold some of it. */
static CUresult large_gpu_info(size_t *free_bytes, size_t *total_bytes)
{
    const CUresult result = fake_mem_info(free_bytes, total_bytes);
    *total_bytes = (size_t)4 << 30;
    return result;
}

/* Enough seems to be free, then it does not, so it is waited; and while it is, enough seems to be
 * free again: the wait goes on, and comes to an end as any other. */
static void again_then_waiting_child(void *argument)
{
    static const int free_mib[] = { 10, 200, 10, 200, 200, 200 };
    CUdeviceptr address;
    (void)argument;
    setenv("VRAMGUARD_POLICY", "wait=5s", 1);
    vg_driver.cuMemGetInfo_v2 = large_gpu_info;
    driver.free_mib = free_mib;
    driver.failures = 4;
    CHECK(guarded_alloc(&address, 100 << 20) == CUDA_SUCCESS);
    CHECK(driver.alloc_calls == 5);
    CHECK(vg_process_current->history.waiting == 0);
    CHECK(vg_process_current->history.in_waits_ns > 0);
    CHECK(!vg_queue_is_waited_for(vg_process_current->registrations[0].queue));
}

static void a_wait_outlasts_that_enough_seems_free(void **state)
{
    (void)state;
    in_child(again_then_waiting_child);
}

static void switched_off_is_silent(void **state)
{
    (void)state;
    char paths[1][512];
    setenv("VRAMGUARD", "off", 1);
    in_child(switched_off_child);
    assert_string_equal(attempt, "");
    assert_int_equal(list_records(paths, 1), 0);
}

static void missing_function_child(void *argument)
{
    struct vg_call call;
    struct vg_free_call free_call;
    (void)argument;
    CHECK(!vg_guard_begin(&call, VG_FN_cuMemAllocManaged, 1));
    CHECK(!vg_guard_begin_free(&free_call, VG_FN_cuMemFree, 1));
    allocated(4096);
}

static void function_the_driver_lacks_is_not_guarded(void **state)
{
    (void)state;
    in_child(missing_function_child);
    assert_string_equal(attempt, "");
}

static void errno_child(void *argument)
{
    (void)argument;
    setenv("XDG_STATE_HOME", "/proc/nothing", 1);
    errno = 4711;
    const CUdeviceptr address = allocated(4096);
    CHECK(errno == 4711);
    CHECK(guarded_free(address) == CUDA_SUCCESS);
    CHECK(errno == 4711);
}

static void errno_is_preserved(void **state)
{
    (void)state;
    in_child(errno_child);
    assert_int_equal(line_count(attempt), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GUARD_TEST(allocations_are_recorded),
        GUARD_TEST(out_of_memory_is_reported_once),
        GUARD_TEST(storm_of_failures_is_counted_not_told),
        GUARD_TEST(other_errors_are_passed_through),
        GUARD_TEST(failing_free_puts_back),
        GUARD_TEST(a_free_tells_who_waits),
        GUARD_TEST(unknown_pointers_go_to_the_driver),
        GUARD_TEST(without_a_context_nothing_breaks),
        GUARD_TEST(device_numbers_beyond_the_table),
        GUARD_TEST(nested_calls_bypass),
        GUARD_TEST(policy_makes_the_call_again),
        GUARD_TEST(a_wait_outlasts_that_enough_seems_free),
        GUARD_TEST(switched_off_is_silent),
        GUARD_TEST(function_the_driver_lacks_is_not_guarded),
        GUARD_TEST(errno_is_preserved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
