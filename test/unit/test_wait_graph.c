/* Deadlocks: wait/wait_graph.c against an oracle that tries all sets, and cases made by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wait/wait_graph.h"

static struct vg_wait_graph picture;
static uint16_t victims[VG_WAIT_GRAPH_PROCESSES];

/* ---- pictures by hand ---- */

static void start_picture(size_t gpus)
{
    memset(&picture, 0, sizeof picture);
    picture.gpu_count = gpus;
}

/* A process that began to wait at `since_ns`, of priority 50. Returns its index. */
static uint16_t add_process(uint64_t since_ns)
{
    picture.processes[picture.process_count] = (struct vg_wait_graph_process){
        .owner = 1000 + picture.process_count, .since_ns = since_ns, .priority = 50
    };
    return (uint16_t)picture.process_count++;
}

static void holds(uint16_t process, size_t gpu, uint64_t bytes)
{
    picture.processes[process].held_bytes[gpu] = bytes;
}

static void waits(uint16_t process, uint16_t gpu, uint64_t bytes)
{
    picture.waits[picture.wait_count++] =
        (struct vg_wait_graph_wait){ .process = process, .gpu = gpu, .wanted_bytes = bytes };
}

static void assert_nobody(void)
{
    assert_int_equal(vg_wait_graph_find_victims(&picture, victims), 0);
}

static void assert_only(uint16_t process)
{
    assert_int_equal(vg_wait_graph_find_victims(&picture, victims), 1);
    assert_int_equal(victims[0], process);
}

/* Two hold 5 each of 10 and want one more. */
static void draw_two_holders(void)
{
    start_picture(1);
    for (uint64_t i = 0; i < 2; i++) {
        const uint16_t process = add_process(100 + i);
        holds(process, 0, 5);
        waits(process, 0, 1);
    }
}

static void of_two_holders_the_younger_gives_way(void **state)
{
    (void)state;
    draw_two_holders();
    assert_only(1);
    picture.processes[0].since_ns = 200;
    assert_only(0);
}

static void lower_priority_gives_way(void **state)
{
    (void)state;
    draw_two_holders();
    picture.processes[0].priority = 49;
    assert_only(0);
}

static void of_equals_the_smaller_holding_then_the_larger_owner_gives_way(void **state)
{
    (void)state;
    draw_two_holders();
    picture.processes[1].since_ns = picture.processes[0].since_ns;
    holds(0, 0, 4);
    assert_only(0);
    holds(0, 0, 5);
    assert_only(1); /* owner 1001 */
    picture.processes[0].owner = 2000;
    assert_only(0);
}

static void enough_free_is_no_knot(void **state)
{
    (void)state;
    draw_two_holders();
    picture.free_bytes[0] = 1;
    assert_nobody();
}

/* Whoever is not guarded may free at any time, and is never chosen. */
static void unguarded_holder_is_no_knot(void **state)
{
    (void)state;
    draw_two_holders();
    picture.outside_bytes[0] = 1;
    assert_nobody();
    picture.outside_bytes[0] = 0;
    picture.free_bytes[0] = UINT64_MAX; /* NVML does not tell */
    assert_nobody();
}

static void running_holder_is_no_knot(void **state)
{
    (void)state;
    draw_two_holders();
    holds(add_process(0), 0, 1);
    assert_nobody();
}

/* Too little would come free outside and from those who run. */
static void hope_that_is_too_small_does_not_count(void **state)
{
    (void)state;
    draw_two_holders();
    picture.waits[0].wanted_bytes = picture.waits[1].wanted_bytes = 4;
    picture.outside_bytes[0] = 1;
    picture.free_bytes[0] = 1;
    holds(add_process(0), 0, 1);
    assert_only(1);
}

static void who_is_chosen_already_is_waited_for(void **state)
{
    (void)state;
    draw_two_holders();
    picture.processes[0].chosen = true; /* not the one that would be chosen now */
    assert_nobody();
}

static void who_waits_without_holding_is_spared(void **state)
{
    (void)state;
    draw_two_holders();
    const uint16_t young = add_process(900);
    picture.processes[young].priority = 0;
    waits(young, 0, 1);
    assert_only(1);
}

/* One waits for more than there is, holding nothing: nobody's end would help it. */
static void futile_wait_alone_has_no_victim(void **state)
{
    (void)state;
    start_picture(1);
    picture.free_bytes[0] = 10;
    waits(add_process(1), 0, 11);
    assert_nobody();
    const uint16_t holder = add_process(2);
    holds(holder, 0, 3);
    waits(holder, 0, 20);
    assert_only(holder); /* which lets the first one go on */
}

/* A waits for B's GPU, B for C's, C for A's. */
static void ring_over_three_gpus_has_one_victim(void **state)
{
    (void)state;
    start_picture(3);
    for (uint16_t i = 0; i < 3; i++) {
        const uint16_t process = add_process(100 + i);
        holds(process, i, 10);
        waits(process, (uint16_t)((i + 1) % 3), 1);
    }
    assert_only(2);
    picture.processes[1].priority = 7;
    assert_only(1);
    /* Cut anywhere, it is no ring. */
    for (size_t i = 0; i < 3; i++) {
        picture.free_bytes[i] = 1;
        assert_nobody();
        picture.free_bytes[i] = 0;
    }
}

static void independent_knots_have_a_victim_each(void **state)
{
    (void)state;
    start_picture(2);
    for (uint16_t i = 0; i < 4; i++) {
        const uint16_t process = add_process(100 + i);
        holds(process, i / 2, 5);
        waits(process, i / 2, 1);
    }
    assert_int_equal(vg_wait_graph_find_victims(&picture, victims), 2);
    assert_int_equal(victims[0] + victims[1], 1 + 3);
    picture.processes[0].chosen = true;
    assert_only(3);
}

/* The youngest would free too little for anybody; the second youngest frees enough. */
static void who_helps_at_once_is_preferred(void **state)
{
    (void)state;
    start_picture(1);
    const uint64_t held[] = { 6, 5, 1 };
    for (uint16_t i = 0; i < 3; i++) {
        holds(add_process(100 + i), 0, held[i]);
        waits(i, 0, 4);
    }
    assert_only(1);
}

/* Two threads of one process wait; either may be served. */
static void one_wait_that_can_be_served_frees_the_process(void **state)
{
    (void)state;
    draw_two_holders();
    waits(0, 0, 0);
    assert_nobody();
}

static void sums_saturate(void **state)
{
    (void)state;
    draw_two_holders();
    holds(0, 0, UINT64_MAX);
    holds(1, 0, UINT64_MAX);
    assert_only(1);
    holds(add_process(1), 0, UINT64_MAX);
    picture.free_bytes[0] = picture.outside_bytes[0] = UINT64_MAX;
    picture.waits[0].wanted_bytes = UINT64_MAX;
    assert_nobody();
    picture.gpu_count = 2;
    holds(0, 1, UINT64_MAX);
    assert_nobody();
    draw_two_holders();
    picture.free_bytes[0] = UINT64_MAX;
    picture.outside_bytes[0] = 1;
    assert_nobody();
}

/* As many as the picture holds, all in one ring. */
static void full_picture(void **state)
{
    (void)state;
    start_picture(VG_WAIT_GRAPH_GPUS);
    for (uint16_t i = 0; i < VG_WAIT_GRAPH_PROCESSES; i++) {
        holds(add_process(i), i % VG_WAIT_GRAPH_GPUS, 1);
        waits(i, (uint16_t)((i + 1) % VG_WAIT_GRAPH_GPUS), 100);
        waits(i, (uint16_t)((i + 2) % VG_WAIT_GRAPH_GPUS), 100);
    }
    assert_int_equal(picture.wait_count, VG_WAIT_GRAPH_WAITS);
    assert_only(VG_WAIT_GRAPH_PROCESSES - 1);
}

/* ---- the oracle ---- */

static uint64_t drawn(uint64_t limit)
{
    return (uint64_t)rand() % limit;
}

static void draw_at_random(void)
{
    start_picture(1 + drawn(3));
    const uint64_t processes = 1 + drawn(6), scale = 1 + drawn(6);
    for (uint64_t gpu = 0; gpu < picture.gpu_count; gpu++) {
        picture.free_bytes[gpu] = drawn(3) ? drawn(scale) : 0;
        picture.outside_bytes[gpu] = drawn(3) ? 0 : drawn(scale);
    }
    for (uint64_t i = 0; i < processes; i++) {
        struct vg_wait_graph_process *const process = &picture.processes[add_process(drawn(3))];
        process->owner = drawn(1000) * 8 + i;
        process->priority = (uint16_t)drawn(3);
        process->chosen = drawn(12) == 0;
        for (uint64_t gpu = 0; gpu < picture.gpu_count; gpu++)
            process->held_bytes[gpu] = drawn(2) ? drawn(scale + 1) : 0;
        for (uint64_t count = drawn(4) ? 1 + drawn(4) / 3 : 0; count > 0; count--)
            waits((uint16_t)i, (uint16_t)drawn(picture.gpu_count), drawn(3 * scale));
    }
}

/* Is each of `set` stuck if all of it is? */
static bool is_stuck_together(unsigned set)
{
    for (size_t i = 0; i < picture.wait_count; i++) {
        const struct vg_wait_graph_wait *const wait = &picture.waits[i];
        uint64_t bytes = picture.free_bytes[wait->gpu] + picture.outside_bytes[wait->gpu];
        if (!(set >> wait->process & 1))
            continue;
        for (size_t k = 0; k < picture.process_count; k++)
            if (!(set >> k & 1))
                bytes += picture.processes[k].held_bytes[wait->gpu];
        if (bytes >= wait->wanted_bytes)
            return false;
    }
    return true;
}

/* The largest such set of those who wait: the union of all. */
static unsigned stuck_set(void)
{
    unsigned waiting = 0, stuck = 0;
    for (size_t i = 0; i < picture.wait_count; i++)
        waiting |= 1U << picture.waits[i].process;
    for (unsigned set = 0; set < 1U << picture.process_count; set++)
        if ((set & ~waiting) == 0 && is_stuck_together(set))
            stuck |= set;
    return stuck;
}

static bool waits_for(size_t a, size_t b)
{
    for (size_t i = 0; i < picture.wait_count; i++)
        if (picture.waits[i].process == a &&
            picture.processes[b].held_bytes[picture.waits[i].gpu] > 0)
            return true;
    return false;
}

/* All that are in one knot with `process`. */
static unsigned knot_of(size_t process, unsigned stuck)
{
    unsigned knot = 1U << process;
    for (unsigned before = 0; before != knot;) {
        before = knot;
        for (size_t a = 0; a < picture.process_count; a++)
            for (size_t b = 0; b < picture.process_count; b++)
                if ((stuck >> a & 1) && (stuck >> b & 1) && (waits_for(a, b) || waits_for(b, a)) &&
                    ((knot >> a | knot >> b) & 1))
                    knot |= 1U << a | 1U << b;
    }
    return knot;
}

/* Of those who are stuck: 0 nobody waits for what `candidate` holds, 1 somebody does, 2 it would
 * let somebody go on. */
static int use_of(size_t candidate, unsigned stuck)
{
    int use = 0;
    for (size_t i = 0; i < picture.wait_count; i++) {
        const struct vg_wait_graph_wait *const wait = &picture.waits[i];
        if (wait->process == candidate || !(stuck >> wait->process & 1) ||
            picture.processes[candidate].held_bytes[wait->gpu] == 0)
            continue;
        uint64_t bytes = picture.free_bytes[wait->gpu] + picture.outside_bytes[wait->gpu];
        for (size_t k = 0; k < picture.process_count; k++)
            if (!(stuck >> k & 1) || k == candidate)
                bytes += picture.processes[k].held_bytes[wait->gpu];
        use = bytes >= wait->wanted_bytes ? 2 : use ? use : 1;
    }
    return use;
}

/* What `process` is compared by: the smallest gives way. */
struct rank {
    uint64_t keys[5];
};

static struct rank rank_of(size_t process, unsigned stuck)
{
    const struct vg_wait_graph_process *const p = &picture.processes[process];
    uint64_t held = 0;
    for (size_t gpu = 0; gpu < picture.gpu_count; gpu++)
        held += p->held_bytes[gpu];
    return (struct rank){ { (uint64_t)(2 - use_of(process, stuck)), p->priority,
                            UINT64_MAX - p->since_ns, held, UINT64_MAX - p->owner } };
}

static bool is_smaller(struct rank a, struct rank b)
{
    for (int i = 0; i < 5; i++)
        if (a.keys[i] != b.keys[i])
            return a.keys[i] < b.keys[i];
    return false;
}

/* The victim of `knot`, -1 for none. */
static int expected_victim(unsigned knot, unsigned stuck)
{
    int best = -1;
    for (size_t i = 0; i < picture.process_count; i++) {
        if (!(knot >> i & 1))
            continue;
        if (picture.processes[i].chosen)
            return -1;
        if (use_of(i, stuck) > 0 &&
            (best < 0 || is_smaller(rank_of(i, stuck), rank_of((size_t)best, stuck))))
            best = (int)i;
    }
    return best;
}

static unsigned expected_victims(unsigned stuck)
{
    unsigned set = 0;
    for (size_t i = 0; i < picture.process_count; i++) {
        const int victim = stuck >> i & 1 ? expected_victim(knot_of(i, stuck), stuck) : -1;
        if (victim >= 0)
            set |= 1U << victim;
    }
    return set;
}

static unsigned found_victims(void)
{
    unsigned set = 0;
    const size_t count = vg_wait_graph_find_victims(&picture, victims);
    for (size_t i = 0; i < count; i++) {
        assert_true(victims[i] < picture.process_count);
        assert_false(set >> victims[i] & 1);
        set |= 1U << victims[i];
    }
    return set;
}

static void agrees_with_the_oracle(void **state)
{
    (void)state;
    unsigned with_victims = 0, with_two = 0;
    for (unsigned seed = 1; seed <= 60000; seed++) {
        srand(seed);
        draw_at_random();
        const unsigned expected = expected_victims(stuck_set()), found = found_victims();
        if (expected != found)
            fail_msg("seed %u: victims %#x, expected %#x", seed, found, expected);
        with_victims += found != 0;
        with_two += __builtin_popcount(found) > 1;
    }
    print_message("%u pictures with victims, %u with more than one\n", with_victims, with_two);
    assert_true(with_victims > 3000 && with_two > 20);
}

/* The process gives way: it ends, and what it held is free. */
static void end_process(size_t process)
{
    size_t kept = 0;
    for (size_t gpu = 0; gpu < picture.gpu_count; gpu++) {
        picture.free_bytes[gpu] += picture.processes[process].held_bytes[gpu];
        picture.processes[process].held_bytes[gpu] = 0;
    }
    picture.processes[process].chosen = false;
    for (size_t i = 0; i < picture.wait_count; i++)
        if (picture.waits[i].process != process)
            picture.waits[kept++] = picture.waits[i];
    picture.wait_count = kept;
}

/* Round after round until there are no victims: then nobody waits for what one who is stuck holds;
 * who still waits, waits for more than there will ever be. */
static void rounds_leave_no_knot(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20000; seed++) {
        srand(seed);
        draw_at_random();
        for (size_t i = 0; i < picture.process_count; i++)
            picture.processes[i].chosen = false;
        for (size_t count, rounds = 0; (count = vg_wait_graph_find_victims(&picture, victims)) > 0;
             rounds++) {
            assert_true(rounds < 8);
            for (size_t i = 0; i < count; i++)
                end_process(victims[i]);
        }
        const unsigned stuck = stuck_set();
        for (size_t a = 0; a < picture.process_count; a++)
            for (size_t b = 0; b < picture.process_count; b++)
                if (a != b && (stuck >> a & 1) && (stuck >> b & 1) && waits_for(a, b))
                    fail_msg("seed %u: %zu waits for %zu and nobody gives way", seed, a, b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_two_holders_the_younger_gives_way),
        cmocka_unit_test(lower_priority_gives_way),
        cmocka_unit_test(of_equals_the_smaller_holding_then_the_larger_owner_gives_way),
        cmocka_unit_test(enough_free_is_no_knot),
        cmocka_unit_test(unguarded_holder_is_no_knot),
        cmocka_unit_test(running_holder_is_no_knot),
        cmocka_unit_test(hope_that_is_too_small_does_not_count),
        cmocka_unit_test(who_is_chosen_already_is_waited_for),
        cmocka_unit_test(who_waits_without_holding_is_spared),
        cmocka_unit_test(futile_wait_alone_has_no_victim),
        cmocka_unit_test(ring_over_three_gpus_has_one_victim),
        cmocka_unit_test(independent_knots_have_a_victim_each),
        cmocka_unit_test(who_helps_at_once_is_preferred),
        cmocka_unit_test(one_wait_that_can_be_served_frees_the_process),
        cmocka_unit_test(sums_saturate),
        cmocka_unit_test(full_picture),
        cmocka_unit_test(agrees_with_the_oracle),
        cmocka_unit_test(rounds_leave_no_knot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
