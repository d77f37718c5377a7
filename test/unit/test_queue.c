/* The line of those who wait: its rules one by one, and threads as processes at full speed, for the
 * sanitizers. What no order of steps may break is in test_queue_model.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/size.h"
#include "core_fixture.h"
#include "os/process.h"

/* Each thread is a process of its own. */
static _Thread_local uint64_t own_owner = 1000;

static uint64_t owner_self(void)
{
    return own_owner;
}

#define vg_process_owner_self owner_self
#include "shared/queue.c"
#undef vg_process_owner_self

static struct vg_queue queue;

enum { OWNERS = 1100 };
static _Atomic bool is_dead[OWNERS], is_stopped[OWNERS];
static _Atomic bool is_quiet[OWNERS], is_thread_gone[OWNERS]; /* of the rules only */

static enum vg_process_activity activity_of(uint64_t owner)
{
    errno = ENOENT; /* as a look into /proc leaves it */
    if (atomic_load(&is_dead[owner]))
        return VG_PROCESS_GONE;
    return atomic_load(&is_stopped[owner]) ? VG_PROCESS_STOPPED : VG_PROCESS_RUNS;
}

static enum vg_process_activity thread_activity_of(uint64_t owner, uint32_t thread, uint64_t image)
{
    (void)thread, (void)image;
    return atomic_load(&is_thread_gone[owner]) ? VG_PROCESS_GONE : activity_of(owner);
}

static int setup(void **state)
{
    (void)state;
    memset(is_quiet, 0, sizeof is_quiet);
    memset(is_thread_gone, 0, sizeof is_thread_gone);
    memset(&queue, 0, sizeof queue);
    memset(is_dead, 0, sizeof is_dead);
    memset(is_stopped, 0, sizeof is_stopped);
    own_owner = 1000;
    return 0;
}

/* ---- rules ---- */

#define SECONDS(n) ((uint64_t)(n)*1000000000)

/* vg_queue_turn, after all who are in line and not quiet have shown themselves at that time. */
static enum vg_turn turn_of(struct vg_queue *line, const struct vg_queue_slot *place,
                            uint64_t free_bytes, uint64_t now_ns)
{
    for (int i = 0; i < VG_QUEUE_WAITERS; i++) {
        const uint64_t owner = atomic_load(&line->waiters[i].owner);
        if (owner != 0 && !atomic_load(&is_quiet[owner]))
            atomic_store(&line->waiters[i].seen_ns, now_ns);
    }
    return vg_queue_turn(line, place, free_bytes, now_ns);
}
#define vg_queue_turn turn_of

/* Enters at `now_ns` for an hour. */
static struct vg_queue_slot enter(uint64_t owner, uint64_t now_ns, uint16_t priority,
                                  bool holds_memory)
{
    struct vg_queue_slot place;
    const struct vg_wait_request request = { .owner = owner,
                                             .wanted_bytes = 10,
                                             .now_ns = now_ns,
                                             .deadline_ns = now_ns + SECONDS(3600),
                                             .priority = priority,
                                             .holds_memory = holds_memory };
    assert_int_equal(vg_queue_enter(&queue, &request, &place), 0);
    return place;
}

static void assert_turn(const struct vg_queue_slot *place, enum vg_turn turn, uint64_t now_ns)
{
    assert_int_equal(vg_queue_turn(&queue, place, VG_BYTES_UNKNOWN, now_ns), turn);
}

static void first_come_first_served(void **state)
{
    (void)state;
    struct vg_queue_slot places[5];
    for (uint64_t i = 0; i < 5; i++)
        places[i] = enter(1 + i, SECONDS(100) + i, 50, false);
    for (int i = 0; i < 5; i++) {
        for (int k = i; k < 5; k++)
            assert_turn(&places[k], k == i ? VG_TURN_HEAD : VG_TURN_NONE, SECONDS(101));
        vg_queue_leave(&queue, &places[i]);
    }
    for (int i = 0; i < VG_QUEUE_WAITERS; i++)
        assert_false(vg_queue_in_line(&queue.waiters[i], SECONDS(101)));
    assert_false(vg_queue_is_waited_for(&queue));
}

static void at_the_same_time_the_ticket_decides(void **state)
{
    (void)state;
    const struct vg_queue_slot first = enter(1, SECONDS(100), 50, false);
    const struct vg_queue_slot second = enter(2, SECONDS(100), 50, false);
    assert_turn(&first, VG_TURN_HEAD, SECONDS(101));
    assert_turn(&second, VG_TURN_NONE, SECONDS(101));
}

/* A point of priority is a second, holding memory is twenty. */
static void rank_is_time(void **state)
{
    (void)state;
    const struct vg_queue_slot low = enter(1, SECONDS(1000), 50, false);
    const struct vg_queue_slot later = enter(2, SECONDS(1000) + 1, 51, false);
    assert_turn(&later, VG_TURN_HEAD, SECONDS(1030));
    const struct vg_queue_slot much_later = enter(3, SECONDS(1020), 50, true);
    assert_turn(&later, VG_TURN_HEAD, SECONDS(1030)); /* by a nanosecond less than a second */
    const struct vg_queue_slot holder = enter(4, SECONDS(1018), 50, true);
    assert_turn(&holder, VG_TURN_HEAD, SECONDS(1030));
    vg_queue_leave(&queue, &holder);
    vg_queue_leave(&queue, &later);
    assert_turn(&low, VG_TURN_HEAD, SECONDS(1030)); /* with `much_later`: the ticket */
    vg_queue_leave(&queue, &low);
    assert_turn(&much_later, VG_TURN_HEAD, SECONDS(1030));
}

/* Somebody jumped out of the wait: it has no turn, and its old place should it come back. */
static void who_does_not_show_itself_has_no_turn(void **state)
{
    (void)state;
    const struct vg_queue_slot first = enter(1, SECONDS(100), 50, false);
    const struct vg_queue_slot second = enter(2, SECONDS(100), 50, false);
    is_quiet[1] = true;
    assert_turn(&second, VG_TURN_NONE, SECONDS(101));
    assert_true(vg_queue_is_waiting(&queue.waiters[first.index], SECONDS(101)));
    assert_turn(&second, VG_TURN_HEAD, SECONDS(101) + 1);
    assert_false(vg_queue_is_waiting(&queue.waiters[first.index], SECONDS(101) + 1));
    assert_true(vg_queue_is_waiting(&queue.waiters[second.index], SECONDS(101) + 1));
    assert_true(is_ours(&queue, &first));
    is_quiet[1] = false;
    assert_turn(&second, VG_TURN_NONE, SECONDS(102));
    assert_turn(&first, VG_TURN_HEAD, SECONDS(102));
}

static void who_is_stopped_still_waits(void **state)
{
    (void)state;
    const struct vg_queue_slot place = enter(1, SECONDS(100), 50, false);
    is_stopped[1] = true;
    assert_true(vg_queue_is_waiting(&queue.waiters[place.index], SECONDS(110)));
    is_stopped[1] = false;
    is_dead[1] = true;
    assert_false(vg_queue_is_waiting(&queue.waiters[place.index], SECONDS(110)));
}

/* A thread has ended, or its process is another program now. */
static void entries_of_gone_threads_are_removed(void **state)
{
    (void)state;
    const struct vg_queue_slot left = enter(1, SECONDS(100), 50, false);
    const struct vg_queue_slot slow = enter(2, SECONDS(100), 50, false);
    const struct vg_queue_slot own = enter(3, SECONDS(100), 50, false);
    is_quiet[1] = is_quiet[2] = is_thread_gone[1] = true;
    assert_turn(&own, VG_TURN_NONE, SECONDS(101));
    assert_true(is_ours(&queue, &left)); /* not silent: nobody asks */
    assert_turn(&own, VG_TURN_HEAD, SECONDS(102));
    assert_false(is_ours(&queue, &left));
    assert_int_equal(queue.waiters[left.index].owner, 0);
    assert_true(is_ours(&queue, &slow));
}

static void a_thread_leaves_all_its_places(void **state)
{
    (void)state;
    const struct vg_wait_request threads[] = {
        { .owner = 1, .thread = 7, .deadline_ns = SECONDS(1) },
        { .owner = 1, .thread = 8, .deadline_ns = SECONDS(1) },
        { .owner = 2, .thread = 7, .deadline_ns = SECONDS(1) },
        { .owner = 1, .thread = 7, .deadline_ns = SECONDS(1) },
    };
    struct vg_queue_slot places[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(vg_queue_enter(&queue, &threads[i], &places[i]), 0);
    vg_queue_leave_all(&queue, 1, 7);
    for (int i = 0; i < 4; i++)
        assert_int_equal(is_ours(&queue, &places[i]), i == 1 || i == 2);
}

/* It has failed before: its rank is that of then. */
static void a_rank_can_be_kept(void **state)
{
    (void)state;
    struct vg_queue_slot again;
    const struct vg_queue_slot first = enter(1, SECONDS(100), 50, false);
    const struct vg_wait_request request = { .owner = 2,
                                             .now_ns = SECONDS(110),
                                             .since_ns = SECONDS(99),
                                             .deadline_ns = SECONDS(200),
                                             .priority = 50 };
    assert_int_equal(vg_queue_enter(&queue, &request, &again), 0);
    assert_turn(&again, VG_TURN_HEAD, SECONDS(120));
    assert_turn(&first, VG_TURN_NONE, SECONDS(120));
}

/* Who holds memory is behind other failures only; who comes is behind all. */
static void holders_are_not_behind_those_who_come(void **state)
{
    (void)state;
    const enum vg_wait_kind kinds[] = { VG_WAIT_NEED, VG_WAIT_NEWCOMER };
    for (int i = 0; i < 2; i++) {
        struct vg_queue_slot coming;
        const struct vg_wait_request request = { .owner = 1,
                                                 .now_ns = SECONDS(100),
                                                 .deadline_ns = SECONDS(3600),
                                                 .kind = kinds[i],
                                                 .priority = 100 };
        assert_int_equal(vg_queue_enter(&queue, &request, &coming), 0);
        const struct vg_queue_slot holder = enter(2, SECONDS(1000), 0, true);
        const struct vg_queue_slot other = enter(3, SECONDS(1000), 0, false);
        assert_turn(&coming, VG_TURN_HEAD, SECONDS(1001));
        assert_turn(&holder, VG_TURN_HEAD, SECONDS(1001));
        assert_turn(&other, VG_TURN_NONE, SECONDS(1001));
        const struct vg_queue_slot earlier = enter(4, SECONDS(970), 0, false);
        assert_turn(&holder, VG_TURN_NONE, SECONDS(1001));
        vg_queue_leave(&queue, &earlier);
        vg_queue_leave(&queue, &other);
        vg_queue_leave(&queue, &holder);
        vg_queue_leave(&queue, &coming);
    }
}

/* The clock starts at boot; orders may then be below zero. */
static void ranks_work_right_after_boot(void **state)
{
    (void)state;
    const struct vg_queue_slot plain = enter(1, SECONDS(3), 0, false);
    const struct vg_queue_slot best = enter(2, SECONDS(4), 100, true);
    assert_turn(&best, VG_TURN_HEAD, SECONDS(5));
    assert_turn(&plain, VG_TURN_NONE, SECONDS(5));
}

static struct vg_queue_slot enter_wanting(uint64_t owner, uint64_t now_ns, uint64_t wanted_bytes)
{
    struct vg_queue_slot place;
    const struct vg_wait_request request = { .owner = owner,
                                             .wanted_bytes = wanted_bytes,
                                             .now_ns = now_ns,
                                             .deadline_ns = now_ns + SECONDS(3600),
                                             .priority = 50 };
    assert_int_equal(vg_queue_enter(&queue, &request, &place), 0);
    return place;
}

static void small_requests_pass_four_times(void **state)
{
    (void)state;
    const uint64_t now = SECONDS(100);
    const struct vg_queue_slot head = enter_wanting(1, now, 10), small = enter_wanting(2, now, 4);
    assert_int_equal(vg_queue_turn(&queue, &small, 3, now), VG_TURN_NONE);  /* does not fit */
    assert_int_equal(vg_queue_turn(&queue, &small, 10, now), VG_TURN_NONE); /* the head fits, too */
    assert_int_equal(vg_queue_turn(&queue, &small, VG_BYTES_UNKNOWN, now), VG_TURN_NONE);
    for (int i = 0; i < 4; i++)
        assert_int_equal(vg_queue_turn(&queue, &small, 9, now), VG_TURN_PASS);
    for (int i = 0; i < 4; i++)
        assert_int_equal(vg_queue_turn(&queue, &small, 9, now), VG_TURN_NONE);
    assert_int_equal(vg_queue_turn(&queue, &head, 9, now), VG_TURN_HEAD);
}

/* Who takes an entry over has been passed by nobody. */
static void passes_end_with_who_was_passed(void **state)
{
    (void)state;
    const uint64_t now = SECONDS(100);
    const struct vg_queue_slot first = enter_wanting(1, now, 10), small = enter_wanting(2, now, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(vg_queue_turn(&queue, &small, 9, now), VG_TURN_PASS);
    vg_queue_leave(&queue, &first);
    const struct vg_queue_slot second = enter_wanting(3, now - 1, 10);
    assert_int_equal(second.index, first.index);
    for (int i = 0; i < 4; i++)
        assert_int_equal(vg_queue_turn(&queue, &small, 9, now), VG_TURN_PASS);
    assert_int_equal(vg_queue_turn(&queue, &small, 9, now), VG_TURN_NONE);
}

static void nobody_passes_after_five_seconds(void **state)
{
    (void)state;
    const uint64_t now = SECONDS(100);
    enter_wanting(1, now, 10);
    const struct vg_queue_slot small = enter_wanting(2, now, 4), large = enter_wanting(3, now, 10);
    assert_int_equal(vg_queue_turn(&queue, &small, 9, now + SECONDS(5)), VG_TURN_PASS);
    assert_int_equal(vg_queue_turn(&queue, &small, 9, now + SECONDS(5) + 1), VG_TURN_NONE);
    assert_int_equal(vg_queue_turn(&queue, &large, 9, now), VG_TURN_NONE);
}

static void the_dead_are_removed_from_the_head(void **state)
{
    (void)state;
    enter(1, SECONDS(100), 50, false);
    enter(2, SECONDS(100), 50, false);
    const struct vg_queue_slot third = enter(3, SECONDS(100), 50, false);
    assert_turn(&third, VG_TURN_NONE, SECONDS(101));
    atomic_store(&is_dead[1], true);
    atomic_store(&is_dead[2], true);
    const uint32_t turns = atomic_load(&queue.turns);
    assert_turn(&third, VG_TURN_HEAD, SECONDS(101));
    assert_int_equal(atomic_load(&queue.turns) - turns, 2); /* others are attempt */
    vg_queue_leave(&queue, &third);
    assert_false(vg_queue_is_waited_for(&queue));
}

/* Also several, and in the middle; who is stopped keeps the place for later. */
static void the_stopped_are_passed_over_until_they_run(void **state)
{
    (void)state;
    const struct vg_queue_slot first = enter(1, SECONDS(100), 50, false);
    const struct vg_queue_slot second = enter(2, SECONDS(100), 50, false);
    const struct vg_queue_slot third = enter(3, SECONDS(100), 50, false);
    const struct vg_queue_slot fourth = enter(4, SECONDS(100), 50, false);
    atomic_store(&is_stopped[1], true);
    atomic_store(&is_stopped[3], true);
    assert_turn(&second, VG_TURN_HEAD, SECONDS(101));
    assert_turn(&fourth, VG_TURN_NONE, SECONDS(101));
    vg_queue_leave(&queue, &second);
    assert_turn(&fourth, VG_TURN_HEAD, SECONDS(101));
    assert_int_equal(vg_queue_sweep(&queue), 0);
    atomic_store(&is_stopped[1], false);
    assert_turn(&fourth, VG_TURN_NONE, SECONDS(101));
    assert_turn(&first, VG_TURN_HEAD, SECONDS(101));
    atomic_store(&is_stopped[1], true);
    atomic_store(&is_stopped[4], true);
    assert_turn(&third, VG_TURN_HEAD, SECONDS(101)); /* all are: who asks is not */
    vg_queue_leave(&queue, &first);
    vg_queue_leave(&queue, &third);
    vg_queue_leave(&queue, &fourth);
    assert_false(vg_queue_is_waited_for(&queue));
}

/* It is no longer in line, and its place stays its own. */
static void who_overstays_is_not_in_line(void **state)
{
    (void)state;
    const struct vg_queue_slot first = enter(1, SECONDS(100), 50, false);
    const struct vg_queue_slot second = enter(2, SECONDS(101), 50, false);
    const uint64_t deadline = SECONDS(100 + 3600);
    assert_turn(&second, VG_TURN_NONE, deadline + SECONDS(1) - 1);
    assert_turn(&second, VG_TURN_HEAD, deadline + SECONDS(1));
    assert_int_equal(vg_queue_sweep(&queue), 0);
    vg_queue_leave(&queue, &first);
    vg_queue_leave(&queue, &second);
    assert_false(vg_queue_is_waited_for(&queue));
}

static void a_full_line_is_refused_until_somebody_is_dead(void **state)
{
    (void)state;
    struct vg_queue_slot place;
    const struct vg_wait_request request = { .owner = 1, .now_ns = 1, .deadline_ns = 2 };
    for (uint64_t i = 0; i < VG_QUEUE_WAITERS; i++)
        enter(1 + i, SECONDS(100), 50, false);
    assert_int_equal(vg_queue_enter(&queue, &request, &place), -ENOSPC);
    atomic_store(&is_dead[77], true);
    assert_int_equal(vg_queue_enter(&queue, &request, &place), 0);
    assert_int_equal(place.index, 76);
    assert_int_equal(vg_queue_enter(&queue, &request, &place), -ENOSPC);
}

/* Killed between taking the entry and getting in line. */
static void an_entry_that_never_got_in_line_is_no_head(void **state)
{
    (void)state;
    atomic_store(&queue.waiters[0].owner, 5);
    const struct vg_queue_slot place = enter(6, SECONDS(100), 50, false);
    assert_turn(&place, VG_TURN_HEAD, SECONDS(101));
    atomic_store(&is_dead[5], true);
    assert_int_equal(vg_queue_sweep(&queue), 1);
    assert_int_equal(vg_queue_sweep(&queue), 0);
}

static void a_victim_is_told_and_its_successor_is_none(void **state)
{
    (void)state;
    const struct vg_queue_slot place = enter(1, SECONDS(100), 50, false);
    const uint32_t turns = atomic_load(&queue.turns), freed = atomic_load(&queue.freed);
    assert_false(vg_queue_is_victim(&queue, &place));
    vg_queue_choose_victim(&queue, place.index, place.ticket + 1);
    assert_false(vg_queue_is_victim(&queue, &place));
    vg_queue_choose_victim(&queue, place.index, place.ticket);
    assert_true(vg_queue_is_victim(&queue, &place));
    assert_int_not_equal(atomic_load(&queue.turns), turns);
    assert_int_not_equal(atomic_load(&queue.freed), freed);
    vg_queue_leave(&queue, &place);
    const struct vg_queue_slot next = enter(1, SECONDS(100), 50, false);
    assert_int_equal(next.index, place.index);
    assert_false(vg_queue_is_victim(&queue, &next));
}

/* All who waited were killed: whoever frees memory now and then finds out. */
static void frees_in_vain_end(void **state)
{
    (void)state;
    enter(1, SECONDS(100), 50, false);
    atomic_store(&is_dead[1], true);
    errno = 4711;
    for (int i = 0; i < 200 && vg_queue_is_waited_for(&queue); i++)
        vg_queue_tell_freed(&queue);
    assert_false(vg_queue_is_waited_for(&queue));
    assert_int_equal(errno, 4711); /* it is the program's, which called a free */
}

static void promises_are_forgotten_unless_one_was_made_meanwhile(void **state)
{
    (void)state;
    vg_queue_note_promise(&queue);
    assert_true(vg_queue_has_promises(&queue));
    const uint64_t before = vg_queue_promises(&queue);
    vg_queue_note_promise(&queue);
    vg_queue_forget_promises(&queue, before);
    assert_true(vg_queue_has_promises(&queue));
    vg_queue_forget_promises(&queue, vg_queue_promises(&queue));
    assert_false(vg_queue_has_promises(&queue));
}

/* Whose place is lost, taken for dead by mistake, waits as one without a place. */
static void a_lost_place_does_not_keep_its_owner_waiting(void **state)
{
    (void)state;
    const struct vg_queue_slot other = enter(1, SECONDS(100), 50, false);
    const struct vg_queue_slot lost = enter(2, SECONDS(101), 50, false);
    assert_turn(&lost, VG_TURN_NONE, SECONDS(102));
    atomic_store(&is_dead[2], true);
    assert_int_equal(vg_queue_sweep(&queue), 1);
    assert_turn(&lost, VG_TURN_HEAD, SECONDS(102));
    const struct vg_queue_slot successor = enter(3, SECONDS(100) - 1, 50, false);
    assert_int_equal(successor.index, lost.index);
    vg_queue_leave(&queue, &lost);
    assert_turn(&successor, VG_TURN_HEAD, SECONDS(102));
    assert_turn(&other, VG_TURN_NONE, SECONDS(102));
}

/* ---- threads as processes ---- */

#ifdef __SANITIZE_THREAD__
enum { THREADS = 12, LIVES = 60, GPU_BYTES = 10 };
#else
enum { THREADS = 12, LIVES = 300, GPU_BYTES = 10 };
#endif

static _Atomic int64_t gpu_free;
static _Atomic int lives_left;
static _Atomic unsigned served, gave_up, vanished;

static bool allocate(int64_t bytes)
{
    int64_t seen = atomic_load(&gpu_free);
    while (seen >= bytes)
        if (atomic_compare_exchange_weak(&gpu_free, &seen, seen - bytes))
            return true;
    return false;
}

static void give_back(int64_t bytes)
{
    atomic_fetch_add(&gpu_free, bytes);
    if (vg_queue_is_waited_for(&queue))
        vg_queue_tell_freed(&queue);
}

/* Waits as wait/queue_wait.c does, in short. Now and then the thread "dies" where it stands.
 * Returns whether it has the memory. */
static bool wait_for(int64_t bytes, unsigned *seed, bool *out_dead)
{
    struct vg_queue_slot place;
    const uint64_t start = vg_clock_monotonic_ns(), deadline = start + 50 * 1000000;
    const struct vg_wait_request request = { .owner = own_owner,
                                             .wanted_bytes = (uint64_t)bytes,
                                             .now_ns = start,
                                             .deadline_ns = deadline,
                                             .priority = (uint16_t)(rand_r(seed) % 3),
                                             .holds_memory = rand_r(seed) % 2 };
    bool got = false;
    assert_int_equal(vg_queue_enter(&queue, &request, &place), 0);
    for (uint64_t now; !got && (now = vg_clock_monotonic_ns()) < deadline;) {
        const uint32_t freed = atomic_load(&queue.freed), turns = atomic_load(&queue.turns);
        if (vg_queue_is_victim(&queue, &place))
            break;
        const uint64_t free_bytes = (uint64_t)atomic_load(&gpu_free);
        const enum vg_turn turn = vg_queue_turn(&queue, &place, free_bytes, now);
        if (rand_r(seed) % 64 == 0) {
            *out_dead = true;
            return false;
        }
        got = turn != VG_TURN_NONE && allocate(bytes);
        if (!got && turn == VG_TURN_HEAD)
            vg_queue_sleep(&queue.freed, freed, 5 * 1000000);
        else if (!got)
            vg_queue_sleep(&queue.turns, turns, 5 * 1000000);
    }
    vg_queue_leave(&queue, &place);
    return got;
}

/* One life after the other, each of another process. */
static void *live(void *argument)
{
    unsigned seed = (unsigned)(uintptr_t)argument;
    for (int life; (life = atomic_fetch_sub(&lives_left, 1)) > 0;) {
        bool dead = false;
        own_owner = (uint64_t)life;
        for (int round = 0; round < 4 && !dead; round++) {
            const int64_t bytes = 1 + rand_r(&seed) % GPU_BYTES;
            if (allocate(bytes) || wait_for(bytes, &seed, &dead)) {
                atomic_fetch_add(&served, 1);
                usleep((useconds_t)(rand_r(&seed) % 500));
                give_back(bytes);
            } else {
                atomic_fetch_add(dead ? &vanished : &gave_up, 1);
            }
            if (!dead && rand_r(&seed) % 16 == 0) { /* the others look for deadlocks */
                const uint32_t index = (uint32_t)rand_r(&seed) % THREADS;
                const uint64_t ticket = atomic_load(&queue.waiters[index].ticket);
                if (ticket != 0)
                    vg_queue_choose_victim(&queue, index, ticket);
            }
        }
        if (dead)
            atomic_store(&is_dead[life], true);
    }
    return NULL;
}

static void threads_as_processes(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    atomic_store(&gpu_free, GPU_BYTES);
    atomic_store(&lives_left, LIVES);
    served = gave_up = vanished = 0;
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, live, (void *)(i + 1)), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    print_message("%u served, %u gave up, %u died in line\n", served, gave_up, vanished);
    assert_int_equal(gpu_free, GPU_BYTES);
    assert_true(served > LIVES && vanished > LIVES / 20);
    vg_queue_sweep(&queue);
    for (int i = 0; i < VG_QUEUE_WAITERS; i++)
        assert_int_equal(queue.waiters[i].owner, 0);
    assert_int_equal(vg_queue_sweep(&queue), 0);
    for (int i = 0; i < 64; i++)
        vg_queue_tell_freed(&queue);
    assert_false(vg_queue_is_waited_for(&queue));
}

#define QUEUE_TEST(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        QUEUE_TEST(first_come_first_served),
        QUEUE_TEST(who_does_not_show_itself_has_no_turn),
        QUEUE_TEST(who_is_stopped_still_waits),
        QUEUE_TEST(entries_of_gone_threads_are_removed),
        QUEUE_TEST(a_thread_leaves_all_its_places),
        QUEUE_TEST(at_the_same_time_the_ticket_decides),
        QUEUE_TEST(rank_is_time),
        QUEUE_TEST(a_rank_can_be_kept),
        QUEUE_TEST(holders_are_not_behind_those_who_come),
        QUEUE_TEST(ranks_work_right_after_boot),
        QUEUE_TEST(small_requests_pass_four_times),
        QUEUE_TEST(passes_end_with_who_was_passed),
        QUEUE_TEST(nobody_passes_after_five_seconds),
        QUEUE_TEST(the_dead_are_removed_from_the_head),
        QUEUE_TEST(the_stopped_are_passed_over_until_they_run),
        QUEUE_TEST(who_overstays_is_not_in_line),
        QUEUE_TEST(a_full_line_is_refused_until_somebody_is_dead),
        QUEUE_TEST(an_entry_that_never_got_in_line_is_no_head),
        QUEUE_TEST(a_victim_is_told_and_its_successor_is_none),
        QUEUE_TEST(frees_in_vain_end),
        QUEUE_TEST(promises_are_forgotten_unless_one_was_made_meanwhile),
        QUEUE_TEST(a_lost_place_does_not_keep_its_owner_waiting),
        QUEUE_TEST(threads_as_processes),
    };
    vg_queue_owner_activity = activity_of;
    vg_queue_thread_activity = thread_activity_of;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
