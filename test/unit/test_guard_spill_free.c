/* Spilled memory that is given back: in stream order, with its context, by a forked child, by many
 * threads. Each test runs in a process of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "spill_fixture.h"

/* ---- cuMemFreeAsync ---- */

static void deferred_child(void *argument)
{
    (void)argument;
    const CUdeviceptr first = spilled(1 << 20), second = spilled(2 << 20), third = spilled(4096);
    struct vg_spilled_range range;
    driver.query = CUDA_ERROR_NOT_READY;
    CHECK(guarded_free_async(first) == CUDA_SUCCESS);
    CHECK(driver.host_allocations == 3 && driver.waits == 0); /* in use: neither freed nor waited */
    CHECK(!vg_guard_find_spilled(first, &range));
    CHECK(guarded_free_async(first) == CUDA_ERROR_INVALID_VALUE);
    CHECK(guarded_free(third) == CUDA_SUCCESS);
    CHECK(driver.host_allocations == 2 && table()->bytes == 3 << 20);
    driver.query = CUDA_SUCCESS;
    CHECK(guarded_free(0xdead000) == CUDA_ERROR_INVALID_VALUE); /* any free gives it back */
    CHECK(driver.host_allocations == 1 && driver.events == 0);
    CHECK(guarded_free_async(second) == CUDA_SUCCESS); /* done already: at once */
    check_clean();
}

static void freed_in_stream_order_when_the_work_is_done(void **state)
{
    (void)state;
    struct record record;
    uint64_t bytes;
    in_child(deferred_child);
    assert_true(read_record(in_scratch("run.vgr"), &record));
    assert_int_equal(count_live(&record, &bytes), 0);
    free_record(&record);
}

static void async_errors_child(void *argument)
{
    (void)argument;
    struct vg_spilled_range range;
    const CUdeviceptr kept = spilled(1 << 20), other = spilled(1 << 20);
    driver.capturing = 1; /* belongs to a graph: the driver's answer */
    CHECK(guarded_free_async(kept) == CUDA_ERROR_INVALID_VALUE);
    CHECK(vg_guard_find_spilled(kept, &range));
    driver.capturing = CU_STREAM_CAPTURE_STATUS_NONE;
    driver.record = 400; /* a stream of another context, or none */
    driver.synchronize = 400;
    CHECK(guarded_free_async(kept) == 400);
    CHECK(vg_guard_find_spilled(kept, &range) && driver.events == 0);
    driver.synchronize = CUDA_SUCCESS;
    CHECK(guarded_free_async(kept) == CUDA_SUCCESS);
    CHECK(driver.host_allocations == 1 && driver.waits == 2);
    driver.make_event = CUDA_ERROR_OUT_OF_MEMORY;
    CHECK(guarded_free_async(other) == CUDA_SUCCESS && driver.waits == 3);
    check_clean();
}

static void without_an_event_the_stream_is_waited_for(void **state)
{
    (void)state;
    in_child(async_errors_child);
}

static void context_child(void *argument)
{
    (void)argument;
    struct vg_spilled_range range;
    const CUdeviceptr live = spilled(1 << 20), deferred = spilled(1 << 20);
    driver.query = CUDA_ERROR_NOT_READY;
    CHECK(guarded_free_async(deferred) == CUDA_SUCCESS);
    vg_guard_drop_context((CUcontext)(uintptr_t)0xc1);
    CHECK(vg_guard_find_spilled(live, &range) && table()->bytes == 2 << 20);
    vg_guard_drop_context((CUcontext)(uintptr_t)0xc0);
    CHECK(!vg_guard_find_spilled(live, &range) && table()->bytes == 0);
    CHECK(table()->deferred_count == 0 && vg_spilled_entries == 0);
}

static void a_context_takes_its_spilled_memory_with_it(void **state)
{
    (void)state;
    struct record record;
    uint64_t bytes;
    in_child(context_child);
    assert_true(read_record(in_scratch("run.vgr"), &record));
    assert_int_equal(count_live(&record, &bytes), 0);
    free_record(&record);
}

/* ---- fork, threads ---- */

static void fork_child(void *argument)
{
    (void)argument;
    struct vg_spilled_range range;
    const CUdeviceptr kept = spilled(1 << 20);
    const pid_t pid = fork();
    if (pid == 0) {
        setenv("VRAMGUARD_LOG", "/dev/null", 1);
        CHECK(vg_spilled_entries == 1);              /* a hint only */
        CHECK(!vg_guard_find_spilled(kept, &range)); /* is the parent's */
        CHECK(guarded_free(kept) == CUDA_ERROR_INVALID_VALUE);
        _exit(0);
    }
    int status = -1;
    waitpid(pid, &status, 0);
    CHECK(status == 0);
    CHECK(guarded_free(kept) == CUDA_SUCCESS);
    check_clean();
}

static void a_forked_child_knows_nothing_of_it(void **state)
{
    (void)state;
    in_child(fork_child);
    assert_int_equal(line_count(attempt), 2); /* the child says nothing at its end */
}

/* Each thread holds up to 36 KiB. Under ThreadSanitizer there is room for all: a report reads the
 * tables without locks (vg_live_index_each), which it does not like. */
#ifdef __SANITIZE_THREAD__
enum { THREADS = 8, ROUNDS = 300, THREADS_CAP_KIB = 512 };
#else
enum { THREADS = 8, ROUNDS = 3000, THREADS_CAP_KIB = 160 };
#endif

static pthread_barrier_t finished;

static void *spill_and_free(void *argument)
{
    CUdeviceptr held[3] = { 0 };
    unsigned seed = (unsigned)(uintptr_t)argument;
    for (int i = 0; i < ROUNDS; i++) {
        CUdeviceptr *const at = &held[i % 3];
        if (*at)
            CHECK((i % 2 ? guarded_free(*at) : guarded_free_async(*at)) == CUDA_SUCCESS);
        *at = 0;
        guarded_alloc(at, 4096 + (size_t)(rand_r(&seed) % 3) * 4096);
        struct vg_spilled_range range;
        CHECK(!*at || (vg_guard_find_spilled(*at + 7, &range) && range.address == *at));
        CHECK(driver.host_bytes <= THREADS_CAP_KIB << 10);
    }
    for (int i = 0; i < 3; i++)
        CHECK(!held[i] || guarded_free(held[i]) == CUDA_SUCCESS);
    pthread_barrier_wait(&finished);
#ifdef __SANITIZE_THREAD__ /* does not bear libunwind's clean-up at the end of a thread */
    for (;;)
        pause();
#endif
    return NULL;
}

static void threads_child(void *argument)
{
    pthread_t threads[THREADS];
    (void)argument;
    pthread_barrier_init(&finished, NULL, THREADS + 1);
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, spill_and_free, (void *)i) == 0);
    pthread_barrier_wait(&finished);
#ifndef __SANITIZE_THREAD__
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
#endif
    spilled(4096); /* a free also reaps what is left */
    vg_guard_free_spilled(0, &(CUresult){ 0 });
    CHECK(driver.host_allocations == 1 && driver.host_bytes == 4096 && driver.events == 0);
    CHECK(table()->bytes == 4096 && table()->reserved_bytes == 0);
    CHECK(table()->peak_bytes <= THREADS_CAP_KIB << 10);
}

static void threads_spill_and_free_together(void **state)
{
    (void)state;
    struct record record;
    uint64_t bytes;
    char cap[32];
    snprintf(cap, sizeof cap, "%dKiB", THREADS_CAP_KIB);
    setenv("VRAMGUARD_SPILL_CAP", cap, 1);
    in_child(threads_child);
    assert_true(read_record(in_scratch("run.vgr"), &record));
    assert_int_equal(count_live(&record, &bytes), 1);
    assert_int_equal(bytes, 4096);
    assert_true(record.header->spill_peak_bytes > 100 << 10);
    free_record(&record);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* their frames are larger */
static void *spill_on_a_small_stack(void *argument)
{
    (void)argument;
    CHECK(guarded_free(spilled(2 << 20)) == CUDA_SUCCESS);
    return NULL;
}

static void small_stack_child(void *argument)
{
    pthread_attr_t small;
    pthread_t thread;
    (void)argument;
    struct vg_guard_frame frame = { 0 };
    CHECK(vg_guard_enter(&frame, sizeof frame)); /* makes the state, which takes more */
    vg_guard_leave();
    pthread_attr_init(&small);
    CHECK(pthread_attr_setstacksize(&small, (size_t)sysconf(_SC_THREAD_STACK_MIN)) == 0);
    CHECK(pthread_create(&thread, &small, spill_on_a_small_stack, NULL) == 0);
    pthread_join(thread, NULL);
}

static void the_smallest_stack_is_large_enough(void **state)
{
    (void)state;
    write_text("self/cgroup", "0::/a/b/c\n");
    write_text("memory.max", "8589934592\n");
    write_text("memory.current", "1000\n");
    write_text("memory.stat", "inactive_file 1\n");
    in_child(small_stack_child);
    assert_int_equal(count_text("2.00 MiB (cuMemAlloc_v2) did not fit"), 1);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        SPILL_TEST(freed_in_stream_order_when_the_work_is_done),
        SPILL_TEST(without_an_event_the_stream_is_waited_for),
        SPILL_TEST(a_context_takes_its_spilled_memory_with_it),
        SPILL_TEST(a_forked_child_knows_nothing_of_it),
        SPILL_TEST(threads_spill_and_free_together),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        SPILL_TEST(the_smallest_stack_is_large_enough),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
