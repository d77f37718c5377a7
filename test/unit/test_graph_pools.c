/* What PyTorch takes for CUDA graphs: does one capture use the memory of another? */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "driver/captures.h"
#include "heap/graph_pools.h"

#define MIB (UINT64_C(1) << 20)

static struct vg_graph_pools pools;

static int prepare(void **state)
{
    (void)state;
    memset(&pools, 0, sizeof pools);
    return 0;
}

/* 64 MiB lie in blocks before; each capture makes blocks of `bytes`, in a segment of its own. */
static void capture_apart(uint32_t capture, uint64_t bytes)
{
    vg_graph_pools_add_segment(&pools, capture, bytes);
    vg_graph_pools_add_block(&pools, capture, bytes, 64 * MIB + bytes);
}

static void pools_of_their_own_share_nothing(void **state)
{
    (void)state;
    capture_apart(1, 20 * MIB);
    capture_apart(2, 20 * MIB);
    /* Freed and given out again within the capture. */
    vg_graph_pools_add_block(&pools, 2, 20 * MIB, 84 * MIB);
    assert_int_equal(pools.capture, 2);
    assert_int_equal(pools.reuser_count, 0);
}

static void a_block_without_a_segment_is_another_captures_memory(void **state)
{
    (void)state;
    capture_apart(1, 40 * MIB);
    vg_graph_pools_add_block(&pools, 2, 20 * MIB, 84 * MIB);
    vg_graph_pools_add_block(&pools, 2, 20 * MIB, 104 * MIB);
    assert_int_equal(pools.reuser_count, 1); /* one capture, however many blocks */
    vg_graph_pools_add_block(&pools, 3, 20 * MIB, 84 * MIB);
    assert_int_equal(pools.reuser_count, 2);
}

/* 20 MiB of its own, and as much of the first one's. */
static void more_than_the_own_segments_is_another_captures_too(void **state)
{
    (void)state;
    capture_apart(1, 20 * MIB);
    capture_apart(2, 20 * MIB);
    vg_graph_pools_add_block(&pools, 2, 20 * MIB, 104 * MIB);
    assert_int_equal(pools.reuser_count, 1);
}

static void *allocate_beside(void *found)
{
    uint32_t *const captures = found;
    captures[0] = vg_captures_allocating();
    vg_captures_mode_set(CU_STREAM_CAPTURE_MODE_RELAXED);
    captures[1] = vg_captures_allocating();
    return NULL;
}

/* As autograd's threads do, where the backward pass is captured, too. */
static void another_thread_says_that_it_allocates(void **state)
{
    (void)state;
    uint32_t captures[2];
    pthread_t thread;
    vg_captures_begun(CUDA_SUCCESS);
    assert_int_equal(pthread_create(&thread, NULL, allocate_beside, captures), 0);
    pthread_join(thread, NULL);
    assert_int_equal(captures[0], 0);
    assert_int_equal(captures[1], vg_captures_allocating());
    assert_int_not_equal(captures[1], 0);
    vg_captures_ended(CUDA_SUCCESS);
}

static void who_allocates_for_a_capture(void **state)
{
    (void)state;
    assert_int_equal(vg_captures_allocating(), 0);
    vg_captures_mode_set(CU_STREAM_CAPTURE_MODE_RELAXED);
    assert_int_equal(vg_captures_allocating(), 0); /* there is none */
    vg_captures_mode_set((CUstreamCaptureMode)0);
    vg_captures_begun(CUDA_ERROR_INVALID_VALUE);
    assert_int_equal(vg_captures_allocating(), 0);
    vg_captures_begun(CUDA_SUCCESS);
    assert_int_equal(vg_captures_allocating(), 1);
    vg_captures_ended(CUDA_ERROR_INVALID_VALUE); /* was not this one's */
    assert_int_equal(vg_captures_allocating(), 1);
    vg_captures_ended(CUDA_SUCCESS);
    assert_int_equal(vg_captures_allocating(), 0);
    vg_captures_begun(CUDA_SUCCESS);
    assert_int_equal(vg_captures_allocating(), 2);
    vg_captures_ended(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
    assert_int_equal(vg_captures_allocating(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(pools_of_their_own_share_nothing, prepare),
        cmocka_unit_test_setup(a_block_without_a_segment_is_another_captures_memory, prepare),
        cmocka_unit_test_setup(more_than_the_own_segments_is_another_captures_too, prepare),
        cmocka_unit_test(who_allocates_for_a_capture),
        cmocka_unit_test(another_thread_says_that_it_allocates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
