/* Advice where the memory is held by processes of the same program, by one that was left behind, or
 * kept unused by a neighbour. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "advice_fixture.h"
#include "analyze/outcome.h"
#include "machine/machine.h"

/* The sample process asks for 2 GiB of which 1 GiB is missing; nobody else is there. */
static int setup(void **state)
{
    (void)state;
    sample_alone(&s);
    s.asked_bytes = 2 * VG_GIB;
    s.device.gpu.free_bytes = VG_GIB;
    s.action_count = 0;
    return 0;
}

static void ranks_of_the_job(void **state)
{
    (void)state;
    for (int rank = 1; rank < 4; rank++) {
        struct vg_run_other *const one = add_process(&s, 100 + rank, VG_GIB / 2, "python train.py");
        one->flags = VG_PROCESS_JOB | VG_PROCESS_GUARDED;
        one->rank = rank;
    }
    s.torch.loaded = true;
    expect_row("own-program");
    expect_text(cause, "3 other ranks of this job hold 1.50 GiB of this GPU together");
    expect_text(advice, "torch.cuda.set_device(local_rank)");
    expect_text(advice, "map_location=\"cpu\"");
    expect_no_text(advice, "stop");
    expect_no_text(advice, "wait");
    processes[1].bytes += VG_MIB;
    expect_row("own-program");
    expect_text(cause, "the most of it pid 102 ");
    processes[1].bytes -= VG_MIB;
    s.torch.loaded = false;
    expect_row("own-program");
    expect_no_text(advice, "torch");
    s.device.process_count = 1; /* one of them is not enough: it is not because of them */
    s.device.others_bytes = VG_GIB / 2;
    assert_string_not_equal(vg_advice_find(&s)->name, "own-program");
}

static void parent_and_workers(void **state)
{
    (void)state;
    struct vg_run_other *const one = add_process(&s, 100, 3 * VG_GIB / 2, "python load.py");
    one->flags = VG_PROCESS_PARENT;
    one->rank = -1;
    expect_row("own-program");
    expect_text(cause, "pid 100 (python load.py), which started this process, holds 1.50 GiB");
    expect_text(advice, "fewer processes");
    one->flags = VG_PROCESS_CHILD;
    expect_row("own-program");
    expect_text(cause, "which this process started");
    one->flags = VG_PROCESS_JOB; /* a worker beside it: no rank */
    expect_row("own-program");
    expect_text(cause, ", of the same job, holds 1.50 GiB");
    expect_text(advice, "fewer processes");
    one->flags = VG_PROCESS_CHILD;
    s.asked_bytes = VG_BYTES_UNKNOWN; /* a worker's context */
    s.device.gpu.free_bytes = 100 * VG_MIB;
    expect_row("own-program");
    s.device.gpu.free_bytes = 2 * VG_GIB; /* enough for one: it is something else */
    assert_string_not_equal(vg_advice_find(&s)->name, "own-program");
    s.asked_bytes = 2 * VG_GIB;
    s.device.gpu.free_bytes = VG_GIB;
    one->flags = 0;
    expect_row("co-tenant");
}

static void workers_with_a_context_each(void **state)
{
    (void)state;
    s.asked_bytes = VG_BYTES_UNKNOWN;
    s.device.gpu.free_bytes = 100 * VG_MIB;
    struct vg_run_other *const parent = add_process(&s, 100, 3 * VG_GIB / 2, "python load.py");
    parent->flags = VG_PROCESS_PARENT;
    parent->rank = -1;
    for (int i = 0; i < 4; i++) {
        struct vg_run_other *const one = add_process(&s, 101 + i, 320 * VG_MIB, "python load.py");
        one->flags = VG_PROCESS_JOB;
        one->rank = -1;
    }
    expect_row("worker-contexts");
    expect_text(cause,
                "100 MiB are free: 4 other processes of this program hold 320 MiB each, "
                "1.25 GiB together; pid 100 (python load.py), which started this process, "
                "holds 1.50 GiB.");
    expect_text(advice, "start fewer of them");
    expect_no_text(advice, "DataLoader");
    s.torch.loaded = true;
    expect_row("worker-contexts");
    expect_text(advice, "num_workers");
    struct vg_run_other *const last = &processes[4];
    last->bytes = 300 * VG_MIB;
    expect_row("worker-contexts");
    expect_text(cause, "hold 300 MiB to 320 MiB each");
    last->bytes = 3 * VG_GIB; /* holds more than a context: another story */
    expect_row("own-program");
    last->bytes = 320 * VG_MIB;
    s.asked_bytes = 2 * VG_GIB; /* no context is made */
    expect_row("own-program");
    s.asked_bytes = VG_BYTES_UNKNOWN;
    s.device.gpu.free_bytes = 2 * VG_GIB; /* enough for one: it is something else */
    assert_string_not_equal(vg_advice_find(&s)->name, "worker-contexts");
}

static void one_that_was_left_behind(void **state)
{
    (void)state;
    struct vg_run_other *const one = add_process(&s, 100, 3 * VG_GIB, "python trainer.py");
    one->flags = VG_PROCESS_ORPHAN;
    expect_row("orphan");
    expect_text(cause,
                "pid 100 (python trainer.py) holds 3.00 GiB, and the program that started it "
                "has ended");
    expect_text(advice, "kill 100");
    expect_no_text(advice, "wait");
    one->bytes = VG_GIB / 4; /* it is not because of this one */
    s.device.others_bytes = VG_GIB / 4;
    assert_string_not_equal(vg_advice_find(&s)->name, "orphan");
}

static void a_neighbours_unused_pool(void **state)
{
    (void)state;
    struct vg_run_other *const one = add_process(&s, 100, 3 * VG_GIB, "./solver");
    one->idle_bytes = 5 * VG_GIB / 4;
    expect_row("idle-neighbour");
    expect_text(cause, "pid 100 (solver) keeps 1.25 GiB in memory pools");
    expect_text(advice, "VRAMGUARD_POLICY=trim,wait");
    s.actions = actions;
    s.action_count = 1;
    SET(actions[0].name, "wait");
    expect_row("idle-neighbour");
    expect_no_text(advice, "VRAMGUARD_POLICY"); /* it is set */
    one->idle_bytes = VG_GIB / 2;
    expect_row("co-tenant");
}

static void how_long_a_neighbour_has_not_moved(void **state)
{
    (void)state;
    struct vg_run_other *const one = add_process(&s, 100, 3 * VG_GIB, "python server.py");
    expect_row("co-tenant");
    expect_no_text(cause, "unchanged");
    one->unchanged_ns = UINT64_C(3 * 3600) * 1000000000;
    expect_row("co-tenant");
    expect_text(cause, "holds 3.00 GiB, unchanged for 3 h; without it this would fit");
}

static void a_long_wait_is_not_advised_again(void **state)
{
    (void)state;
    add_process(&s, 100, 3 * VG_GIB, "python server.py");
    s.actions = actions;
    s.action_count = 1;
    SET(actions[0].name, "wait");
    actions[0].duration_ns = UINT64_C(30) * 1000000000;
    expect_row("co-tenant");
    expect_text(advice, "wait longer for it: VRAMGUARD_POLICY=trim,wait=10m");
    actions[0].duration_ns = UINT64_C(600) * 1000000000;
    expect_row("co-tenant");
    expect_text(advice, "stop it: waiting for it brought nothing");
    expect_no_text(advice, "wait longer");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(ranks_of_the_job, setup),
        cmocka_unit_test_setup(parent_and_workers, setup),
        cmocka_unit_test_setup(workers_with_a_context_each, setup),
        cmocka_unit_test_setup(one_that_was_left_behind, setup),
        cmocka_unit_test_setup(a_neighbours_unused_pool, setup),
        cmocka_unit_test_setup(how_long_a_neighbour_has_not_moved, setup),
        cmocka_unit_test_setup(a_long_wait_is_not_advised_again, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
