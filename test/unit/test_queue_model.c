/* The line of those who wait, under a random scheduler.
 *
 * The code under test is the real one, shared/queue.c and wait/queue_wait.c. Each simulated thread
 * is a coroutine; two of them may be one process. Every atomic access is a point at which the
 * scheduler may go on with somebody else, stop a process for a while or kill it. Clock, memory and
 * futex are simulated, so that a wait of minutes costs nothing and every run is repeatable: a
 * violation names its seed, and VG_TEST_SEED=N runs that one alone. VG_TEST_SEEDS=N runs so many.
 *
 * What must hold is checked at every step, see queue_model.h, and at the end: everybody has ended;
 * nothing is left in line; `waiting` is clear, if somebody was killed after one sweep.
 *
 * No lost wake-up: in half of the runs nothing ends a sleep but news. What the poll interval would
 * hide is a hang then: nobody runs, and somebody still waits. (A kill frees memory without news; in
 * these runs the scheduler gives it.)
 *
 * That the model sees faults is shown by faults, see enum mutant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "queue_model.h"

/* ---- what the threads do ---- */

static uint64_t measure(void *argument)
{
    (void)argument;
    model_step();
    return m.free_bytes;
}

static bool allocate(uint64_t bytes)
{
    model_step();
    if (m.free_bytes < bytes)
        return false;
    m.free_bytes -= bytes;
    self()->held_bytes += bytes;
    return true;
}

/* Not everybody tells; where only news ends a sleep, everybody must. */
static void release_memory(void)
{
    model_step();
    m.free_bytes += self()->held_bytes;
    self()->held_bytes = 0;
    if (!m.only_news && one_in(4))
        return;
    model_step();
    if (vg_queue_is_waited_for(&m.queue))
        vg_queue_tell_freed(&m.queue);
}

static void check_end_of_wait(const struct vg_queue_wait *line, enum vg_queue_wait_event step)
{
    m.counts.served += step == VG_QUEUE_WAIT_TRY;
    m.counts.timeouts += step == VG_QUEUE_WAIT_TIMEOUT;
    m.counts.victims += step == VG_QUEUE_WAIT_VICTIM;
    if (!self()->was_stopped && m.now_ns > line->deadline_ns + STEP_MS * MODEL_MS)
        violate("thread %d waited %d ms too long", m.current,
                (int)((m.now_ns - line->deadline_ns) / MODEL_MS));
    if (step == VG_QUEUE_WAIT_VICTIM && !line->last_try)
        violate("thread %d is a victim without a last try", m.current);
}

/* As oom/action_wait.c does it. */
static bool wait_in_line(uint64_t bytes, uint16_t priority, uint64_t wait_ms)
{
    struct thread *const me = self();
    struct vg_queue_wait line;
    enum vg_queue_wait_event step;
    struct vg_wait_request request = { .wanted_bytes = bytes,
                                       .priority = priority,
                                       .holds_memory = me->held_bytes > 0 };
    if (!request.holds_memory && one_in(3))
        request.kind = one_in(2) ? VG_WAIT_NEED : VG_WAIT_NEWCOMER;
    me->was_stopped = false;
    vg_queue_wait_enter(&line, &m.queue, &request, wait_ms);
    me->line = &line;
    m.counts.full += !line.in_line;
    do {
        begin_decision(me);
        step = vg_queue_wait_step(&line, measure, NULL);
        me->deciding = false;
    } while (step == VG_QUEUE_WAIT_SLEPT || (step == VG_QUEUE_WAIT_TRY && !allocate(bytes)));
    me->line = NULL;
    vg_queue_wait_leave(&line);
    check_end_of_wait(&line, step);
    return step == VG_QUEUE_WAIT_TRY;
}

static bool wait_for(uint64_t bytes)
{
    static const uint16_t priorities[] = { 50, 50, 50, 0, 100 };
    return wait_in_line(bytes, priorities[draw_below(5)],
                        m.only_news ? 3600000 : 20 + draw_below(3000));
}

/* As wait/deadlock.c does it, one process at a time; here for no reason. */
static void choose_some_victim(void)
{
    struct thread *const other = &m.threads[draw_below((uint64_t)m.count)];
    for (int i = 0; i < m.count; i++)
        if (m.threads[i].choosing && !m.threads[i].dead)
            return;
    if (m.victims_left == 0 || !other->line || !other->line->in_line || other->dead)
        return;
    const struct vg_queue_slot place = other->line->place;
    m.victims_left--;
    self()->choosing = true;
    vg_queue_choose_victim(&m.queue, place.index, place.ticket);
    self()->choosing = false;
    m.chosen_told[place.ticket % TICKETS] =
        peek(&m.queue.waiters[place.index].victim_ticket) == place.ticket;
}

static void end_thread(void)
{
    self()->state = ENDED;
    to_scheduler();
}

static void live(void)
{
    for (uint64_t rounds = 1 + draw_below(4); rounds > 0; rounds--) {
        const uint64_t bytes = 1 + draw_below(GPU_BYTES);
        sleep_until(NULL, m.now_ns + draw_below(100 * MODEL_MS));
        if (!allocate(bytes))
            wait_for(bytes);
        choose_some_victim();
        if (!m.only_news && one_in(3)) { /* some want more while they hold some */
            const uint64_t more = 1 + draw_below(GPU_BYTES - self()->held_bytes + 1);
            if (!allocate(more))
                wait_for(more);
        }
        sleep_until(NULL, m.now_ns + draw_below(one_in(2) ? 1000 : 200 * MODEL_MS));
        if (self()->held_bytes > 0)
            release_memory();
    }
    end_thread();
}

/* One of the lowest priority waits once; the others, of the highest, come again and again. */
static void live_endlessly(void)
{
    const bool is_meek = m.current == 0;
    const uint64_t start_ns = m.now_ns;
    while (m.endless) {
        sleep_until(NULL, m.now_ns + draw_below(20 * MODEL_MS));
        if (wait_in_line(GPU_BYTES, is_meek ? 0 : 100, 600000)) {
            sleep_until(NULL, m.now_ns + draw_below(300 * MODEL_MS));
            release_memory();
        }
        if (is_meek)
            m.endless = false;
    }
    if (is_meek && m.now_ns - start_ns > 105 * 1000 * MODEL_MS)
        violate("it took %d s", (int)((m.now_ns - start_ns) / (1000 * MODEL_MS)));
    end_thread();
}

/* ---- the scheduler ---- */

static bool is_over(const struct thread *thread)
{
    return thread->dead || thread->state == ENDED;
}

/* SIGKILL: memory comes free at once, nothing else happens. */
static void kill_process(uint64_t owner)
{
    for (int i = 0; i < m.count; i++)
        if (m.threads[i].owner == owner) {
            m.threads[i].dead = true;
            m.free_bytes += m.threads[i].held_bytes;
            m.threads[i].held_bytes = 0;
        }
    m.killed_some = true;
    m.kills_left--;
    m.counts.killed++;
    if (!m.only_news)
        return;
    atomic_fetch_add_explicit(&m.queue.freed, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&m.queue.turns, 1, memory_order_relaxed);
    wake_all(&m.queue.freed);
    wake_all(&m.queue.turns);
}

static void stop_process(uint64_t owner)
{
    const uint64_t until_ns = m.now_ns + draw_below(5000 * MODEL_MS);
    for (int i = 0; i < m.count; i++)
        if (m.threads[i].owner == owner) {
            m.threads[i].stopped_until_ns = m.threads[i].frozen_until_ns = until_ns;
            m.threads[i].was_stopped = true;
        }
    m.stops_left--;
    m.counts.stopped++;
}

static void mishap(void)
{
    const struct thread *const thread = &m.threads[draw_below((uint64_t)m.count)];
    if (m.kills_left + m.stops_left == 0 || !one_in(m.mishaps) || is_over(thread))
        return;
    if (!thread->line && !one_in(4)) /* in line it matters more */
        return;
    if (draw_below(m.kills_left + m.stops_left) < m.kills_left)
        kill_process(thread->owner);
    else
        stop_process(thread->owner);
}

/* Fills `out` with those who can run now. */
static int find_ready(int *out)
{
    int count = 0;
    for (int i = 0; i < m.count; i++) {
        struct thread *const thread = &m.threads[i];
        if (is_over(thread))
            continue;
        if (thread->state == ASLEEP && thread->wakes_ns <= m.now_ns)
            thread->state = READY;
        if (thread->state == READY && thread->stopped_until_ns <= m.now_ns)
            out[count++] = i;
    }
    return count;
}

/* Nobody can run: time passes. Returns false when that changes nothing. */
static bool pass_time(void)
{
    uint64_t next_ns = UINT64_MAX;
    for (int i = 0; i < m.count; i++) {
        const struct thread *const thread = &m.threads[i];
        if (is_over(thread))
            continue;
        const uint64_t event_ns =
            thread->state == ASLEEP ? thread->wakes_ns : thread->stopped_until_ns;
        if (event_ns < next_ns)
            next_ns = event_ns;
    }
    if (next_ns == UINT64_MAX)
        return false;
    m.now_ns = next_ns;
    return true;
}

static void run_threads(void)
{
    int ready[THREADS];
    while (!m.violation[0]) {
        mishap();
        const int count = find_ready(ready);
        if (count == 0 && !pass_time())
            return;
        if (count == 0)
            continue;
        m.current = ready[draw_below((uint64_t)count)];
        swapcontext(&m.scheduler, &self()->context);
        m.current = -1;
    }
}

static void make_thread(int index, void (*body)(void))
{
    struct thread *const thread = &m.threads[index];
    getcontext(&thread->context);
    thread->context.uc_stack.ss_sp = stacks[index];
    thread->context.uc_stack.ss_size = STACK_BYTES;
    makecontext(&thread->context, body, 0);
    thread->owner = UINT64_C(1000) + (uint64_t)index;
}

static void check_at_the_end(void)
{
    for (int i = 0; i < m.count; i++)
        if (!is_over(&m.threads[i]))
            violate("nobody runs and thread %d waits for ever", i);
    if (m.violation[0])
        return;
    if (m.killed_some) {
        vg_queue_sweep(&m.queue);
        clear_waiting(&m.queue);
    }
    for (unsigned i = 0; i < PLACES; i++)
        if (peek(&m.queue.waiters[i].owner) != 0 || peek(&m.queue.waiters[i].ticket) != 0)
            violate("an entry is left at place %u: owner %d, ticket %d", i,
                    (int)peek(&m.queue.waiters[i].owner), (int)peek(&m.queue.waiters[i].ticket));
    if (peek(&m.queue.waiting) & 1)
        violate("nobody waits and `waiting` is set");
    if (m.free_bytes != GPU_BYTES)
        violate("the model itself is wrong");
}

static void begin_run(uint64_t seed, enum mutant mutant)
{
    const struct model_counts counts = m.counts;
    m = (struct model){ .counts = counts,
                        .random = seed,
                        .mutant = mutant,
                        .free_bytes = GPU_BYTES,
                        .now_ns = 3600 * 1000 * MODEL_MS,
                        .current = -1 };
}

/* Returns whether a violation was found; then m.violation tells it. */
static bool run_seed(uint64_t seed, enum mutant mutant)
{
    static const unsigned preemptions[] = { 1, 2, 4, 16, 64 };
    static const unsigned mishaps[] = { 4, 16, 64, 256 };
    begin_run(seed, mutant);
    m.only_news = one_in(2);
    model_silent_ms = m.only_news ? UINT32_MAX : 1000;
    m.count = 2 + (int)draw_below(m.only_news ? PLACES - 1 : THREADS - 1);
    m.preemption = preemptions[draw_below(5)];
    m.mishaps = mishaps[draw_below(4)];
    m.kills_left = (unsigned)draw_below(4);
    m.stops_left = (unsigned)draw_below(4);
    m.victims_left = (unsigned)draw_below(3);
    for (int i = 0; i < m.count; i++)
        make_thread(i, live);
    if (one_in(4)) /* two threads of one process */
        m.threads[1].owner = m.threads[0].owner;
    run_threads();
    check_at_the_end();
    return m.violation[0] != '\0';
}

/* Likewise. */
static bool run_endless(uint64_t seed, enum mutant mutant)
{
    begin_run(seed, mutant);
    model_silent_ms = 1000;
    m.count = PLACES;
    m.preemption = 64;
    m.endless = true;
    for (int i = 0; i < m.count; i++)
        make_thread(i, live_endlessly);
    run_threads();
    check_at_the_end();
    return m.violation[0] != '\0';
}

/* ---- tests ---- */

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *const text = getenv(name);
    return text ? strtoull(text, NULL, 10) : otherwise;
}

static void holds_under_any_schedule(void **state)
{
    (void)state;
    const uint64_t seeds = from_environment("VG_TEST_SEEDS", 20000);
    const uint64_t only = from_environment("VG_TEST_SEED", 0);
    m.counts = (struct model_counts){ .served = 0 };
    for (uint64_t seed = only ? only : 1; seed <= (only ? only : seeds); seed++)
        if (run_seed(seed, MUTANT_NONE))
            fail_msg("VG_TEST_SEED=%llu: %s", (unsigned long long)seed, m.violation);
    const struct model_counts *const c = &m.counts;
    print_message(
        "%u served in line, %u passed others, %u timeouts, %u victims, %u found no place; "
        "%u killed, %u stopped\n",
        c->served, c->passed, c->timeouts, c->victims, c->full, c->killed, c->stopped);
    if (only)
        return;
    assert_true(c->served > seeds && c->timeouts > seeds / 10 && c->passed > seeds / 10);
    assert_true(c->victims > seeds / 10 && c->full > seeds / 100);
    assert_true(c->killed > seeds / 2 && c->stopped > seeds / 2);
}

/* What each fault is found by, that the model does not only find one thing. */
static void finds_every_fault(void **state)
{
    (void)state;
    enum { SEEDS = 100000 };
    static const char *const names[MUTANT_NO_AGING] = {
        [MUTANT_CLEAR_ALWAYS] = "clear always",        [MUTANT_RECLAIM_TWICE] = "reclaim twice",
        [MUTANT_RECLAIM_NEVER] = "reclaim never",      [MUTANT_SAMPLE_LATE] = "sample `freed` late",
        [MUTANT_SAMPLE_TURNS] = "sample `turns` late", [MUTANT_VICTIM_UNTOLD] = "victim untold",
        [MUTANT_LEAVE_UNTOLD] = "leave untold",        [MUTANT_WAKE_ONLY] = "wake only",
        [MUTANT_PASS_UNCOUNTED] = "pass uncounted",    [MUTANT_TICKET_KEPT] = "ticket kept",
        [MUTANT_STOPPED_BLOCKS] = "stopped blocks",
    };
    for (enum mutant mutant = MUTANT_NONE + 1; mutant < MUTANT_NO_AGING; mutant++) {
        uint64_t seed = 1;
        while (seed <= SEEDS && !run_seed(seed, mutant))
            seed++;
        if (seed > SEEDS)
            fail_msg("%s: not found", names[mutant]);
        print_message("%-20s seed %4d %s\n", names[mutant], (int)seed, m.violation);
    }
}

/* A priority of 100 is 100 seconds; who waits longer is before all that come later. */
static void the_meek_are_served(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++)
        if (run_endless(seed, MUTANT_NONE))
            fail_msg("seed %d: %s", (int)seed, m.violation);
    assert_true(run_endless(1, MUTANT_NO_AGING));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holds_under_any_schedule),
        cmocka_unit_test(finds_every_fault),
        cmocka_unit_test(the_meek_are_served),
    };
    vg_queue_owner_activity = model_activity;
    vg_queue_thread_activity = model_thread_activity;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
