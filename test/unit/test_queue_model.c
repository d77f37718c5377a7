/* The line of those who wait, under a random scheduler.
 *
 * The code under test is the real one, registry/queue.c and policy/line.c. Each simulated thread is
 * a coroutine; two of them may be one process. Every atomic access is a point at which the
 * scheduler may go on with somebody else, stop a process for a while or kill it. Clock, memory and
 * futex are simulated, so that a wait of minutes costs nothing and every run is repeatable: a
 * violation names its seed, and VG_TEST_SEED=N runs that one alone. VG_TEST_SEEDS=N runs so many.
 *
 * What must hold, checked at every step:
 *   1. Nobody acts as head if somebody before it, alive and not stopped, was in line for the whole
 *      of its decision;
 *      who was first for the whole of its decision does act as head. So two heads at a time are
 *      possible only for one decision each, made while the line changed.
 *   2. So those of equal rank who are served at the head are served in the order in which they
 * came, and nobody is overtaken for longer than ranks explain. A head is passed at most 4 times, in
 *      its first 5 seconds, by smaller requests that fit.
 *   3. The place of a live process stays its own until it leaves: an entry is reclaimed once, and
 *      only a dead one's.
 *   4. While a live process is in line `waiting` says so.
 *   5. Whoever has been chosen as victim does not fall asleep.
 *   6. A wait ends at its deadline at the latest, give or take one step.
 * And at the end: everybody has ended; nothing is left in line; `waiting` is clear, if somebody was
 * killed after one sweep.
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
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"

#define MODEL_MS UINT64_C(1000000)

/* Faults that the model can put into the code, at the atomic accesses. */
enum mutant {
    MUTANT_NONE,
    MUTANT_CLEAR_ALWAYS,   /* `waiting` is cleared although somebody has come meanwhile */
    MUTANT_RECLAIM_TWICE,  /* an entry is reclaimed without comparing whose it is */
    MUTANT_RECLAIM_NEVER,  /* the dead stay in line */
    MUTANT_SAMPLE_LATE,    /* `freed` is sampled after the memory was measured */
    MUTANT_SAMPLE_TURNS,   /* `turns` is sampled after the look at the order */
    MUTANT_VICTIM_UNTOLD,  /* a victim is not woken */
    MUTANT_LEAVE_UNTOLD,   /* who leaves does not wake the others */
    MUTANT_WAKE_ONLY,      /* a wake-up without a change of the word that is slept on */
    MUTANT_PASS_UNCOUNTED, /* the head is passed without end */
    MUTANT_TICKET_KEPT,    /* a released entry stays in line */
    MUTANT_STOPPED_BLOCKS, /* who is stopped keeps the others from their turn */
    MUTANT_NO_AGING,       /* priority alone decides: seen by the test about starvation */
};

static long model_futex(long number, _Atomic uint32_t *word, int operation, uint32_t value,
                        const struct timespec *timeout, void *unused, int unused_too);
static void model_step(void);
static uint64_t model_now_ns(void);
static uint64_t model_owner_self(void);
static bool model_mutates_add(const volatile void *word, uint64_t *out_instead);
static bool model_mutates_store(const volatile void *word, uint64_t value);
static bool model_mutates_exchange(volatile void *word, const uint64_t *expected, uint64_t desired,
                                   bool *out_result);

#undef atomic_load
#undef atomic_store
#undef atomic_fetch_add
#undef atomic_compare_exchange_strong
#undef atomic_compare_exchange_weak
#define atomic_load(word) (model_step(), atomic_load_explicit((word), memory_order_seq_cst))
#define atomic_store(word, value)                                                                  \
    __extension__({                                                                                \
        model_step();                                                                              \
        if (!model_mutates_store((word), (uint64_t)(value)))                                       \
            atomic_store_explicit((word), (value), memory_order_seq_cst);                          \
    })
#define atomic_fetch_add(word, value)                                                              \
    __extension__({                                                                                \
        uint64_t instead;                                                                          \
        model_step();                                                                              \
        model_mutates_add((word), &instead)                                                        \
            ? instead                                                                              \
            : (uint64_t)atomic_fetch_add_explicit((word), (value), memory_order_seq_cst);          \
    })
#define atomic_compare_exchange_strong(word, expected, desired)                                    \
    __extension__({                                                                                \
        bool result;                                                                               \
        model_step();                                                                              \
        model_mutates_exchange((word), (expected), (desired), &result)                             \
            ? result                                                                               \
            : atomic_compare_exchange_strong_explicit((word), (expected), (desired),               \
                                                      memory_order_seq_cst, memory_order_seq_cst); \
    })
#define atomic_compare_exchange_weak(word, expected, desired)                                      \
    (model_step(), atomic_compare_exchange_strong_explicit(                                        \
                       (word), (expected), (desired), memory_order_seq_cst, memory_order_seq_cst))

enum { THREADS = 8, PLACES = 6 };
#define VG_QUEUE_PLACES 6

#define vg_clock_monotonic_ns model_now_ns
#define vg_process_owner_self model_owner_self
#define syscall               model_futex
#include "registry/queue.c"

static enum vg_turn model_turn(struct vg_queue *queue, const struct vg_place *place,
                               uint64_t free_bytes, uint64_t now_ns);
#define vg_queue_turn model_turn
static int no_signals(void)
{
    return -1;
}

/* Nobody sends signals here; the calls would take most of the time. */
#define pthread_sigmask(how, set, before) ((void)(how), (void)(set), (void)(before), no_signals())
#define sigpending(set)                   ((void)(set), no_signals())
#define sigaction(number, action, before) ((void)(number), (void)(before), no_signals())
#undef SECOND_NS
#undef MS_NS
#include "policy/line.c"
#undef vg_queue_turn
#undef pthread_sigmask
#undef sigpending
#undef sigaction
#undef vg_process_owner_self
#undef vg_clock_monotonic_ns
#undef syscall

/* ---- the simulated machine ---- */

enum { STACK_BYTES = 64 * 1024, GPU_BYTES = 10, TICKETS = 128, VIOLATION_CAP = 160 };

enum thread_state { READY, ASLEEP, ENDED };

struct thread {
    ucontext_t context;
    enum thread_state state;
    uint64_t owner;
    bool dead;
    uint64_t held_bytes;
    uint64_t stopped_until_ns;       /* 0: runs */
    uint64_t frozen_until_ns;        /* likewise, for all threads of the process, and all see it */
    const volatile void *sleeps_on;  /* a futex word, NULL for the clock alone */
    uint64_t wakes_ns;               /* UINT64_MAX: never by itself */
    bool woken;                      /* by news, not by time */
    const struct vg_line *line;      /* it is in line, from entering to leaving */
    bool deciding;                   /* within a step of the line */
    uint64_t looked_ns;              /* the time that it goes by */
    unsigned before_all;             /* places that were before its own all the time, as bits */
    uint64_t before_tickets[PLACES]; /* whose they were */
    uint64_t stopped_before[PLACES]; /* owners that were before it and stopped, 0: none */
    bool ever_preceded, was_stopped; /* in this decision; in this wait */
    bool choosing;                   /* it is choosing a victim */
    uint64_t passed_ticket;          /* the head that it counted itself past */
};

static struct model {
    struct vg_queue queue;
    struct thread threads[THREADS];
    int count;
    int current; /* -1: the scheduler */
    uint64_t random;
    uint64_t now_ns;
    uint64_t free_bytes;
    enum mutant mutant;
    unsigned preemption; /* a switch at one of so many steps */
    unsigned mishaps;    /* a kill or a stop at one of so many switches, while any are left */
    unsigned kills_left, stops_left, victims_left;
    bool only_news; /* nothing ends a sleep but news */
    bool endless;   /* the test about starvation: all but the first never stop asking */
    bool killed_some;
    unsigned steps;
    unsigned passes[TICKETS];  /* by ticket: how often it was passed */
    bool chosen_told[TICKETS]; /* by ticket: chosen as victim, and told */
    struct model_counts {
        unsigned served, passed, timeouts, victims, killed, stopped, full;
    } counts;
    char violation[VIOLATION_CAP];
    ucontext_t scheduler;
} m;

static char stacks[THREADS][STACK_BYTES] __attribute__((aligned(64)));

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t draw(void)
{
    uint64_t z = (m.random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static uint64_t draw_below(uint64_t limit)
{
    return draw() % limit;
}

static bool one_in(unsigned n)
{
    return draw_below(n) == 0;
}

static struct thread *self(void)
{
    return &m.threads[m.current];
}

static void to_scheduler(void)
{
    swapcontext(&self()->context, &m.scheduler);
}

static __attribute__((format(printf, 1, 2))) void violate(const char *format, ...)
{
    va_list arguments;
    if (m.violation[0])
        return;
    va_start(arguments, format);
    const int length = snprintf(m.violation, sizeof m.violation, "at step %u: ", m.steps);
    vsnprintf(m.violation + length, sizeof m.violation - (size_t)length, format, arguments);
    va_end(arguments);
    if (m.current >= 0)
        to_scheduler(); /* which ends the run */
}

static enum vg_process_activity activity_now(uint64_t owner)
{
    for (int i = 0; i < m.count; i++)
        if (m.threads[i].owner == owner && m.threads[i].dead)
            return VG_PROCESS_GONE;
        else if (m.threads[i].owner == owner)
            return m.threads[i].frozen_until_ns > m.now_ns ? VG_PROCESS_STOPPED : VG_PROCESS_RUNS;
    return owner == UINT64_C(99) ? VG_PROCESS_RUNS : VG_PROCESS_GONE; /* who sweeps at the end */
}

static uint64_t model_owner_self(void)
{
    return m.current < 0 ? UINT64_C(99) : self()->owner;
}

static uint64_t model_now_ns(void)
{
    if (m.current >= 0)
        self()->looked_ns = m.now_ns;
    return m.now_ns;
}

/* ---- what must hold ---- */

static uint64_t peek(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

/* Is there somebody, alive and in line at `now_ns`, at this place, who is before `mine`? */
static bool is_before(const struct vg_waiter *place, const struct vg_waiter *mine,
                      uint64_t my_ticket, uint64_t now_ns)
{
    const uint64_t ticket = peek(&place->ticket), owner = peek(&place->owner);
    if (place == mine || ticket == 0 || owner == 0 || activity_now(owner) == VG_PROCESS_GONE ||
        now_ns >= peek(&place->deadline_ns) + VG_QUEUE_OVERSTAY_MS * MODEL_MS)
        return false;
    if (atomic_load_explicit(&mine->holds_memory, memory_order_relaxed) &&
        atomic_load_explicit(&place->kind, memory_order_relaxed) != VG_WAIT_ALLOCATION)
        return false;
    const int64_t order = atomic_load_explicit(&place->order_ns, memory_order_relaxed);
    const int64_t my_order = atomic_load_explicit(&mine->order_ns, memory_order_relaxed);
    return order < my_order || (order == my_order && ticket < my_ticket);
}

static void watch_decision(struct thread *thread)
{
    const struct vg_place *const place = &thread->line->place;
    for (unsigned i = 0; i < PLACES; i++) {
        const struct vg_waiter *const other = &m.queue.waiters[i];
        const struct vg_waiter *const mine = &m.queue.waiters[place->index];
        /* It goes by the time when it looked at the clock. */
        const bool before = is_before(other, mine, place->ticket, thread->looked_ns);
        const bool stopped = activity_now(peek(&other->owner)) == VG_PROCESS_STOPPED;
        if (before && stopped)
            thread->stopped_before[i] = peek(&other->owner);
        /* It may be taken for the first, and leave at once, when it runs again. */
        if ((before && !stopped) || activity_now(thread->stopped_before[i]) == VG_PROCESS_RUNS)
            thread->ever_preceded = true;
        if (!is_before(other, mine, place->ticket, m.now_ns) || stopped ||
            peek(&other->ticket) != thread->before_tickets[i])
            thread->before_all &= ~(1U << i);
    }
}

static void begin_decision(struct thread *thread)
{
    thread->deciding = thread->line->in_line;
    thread->looked_ns = m.now_ns;
    thread->before_all = (1U << PLACES) - 1;
    thread->ever_preceded = false;
    memset(thread->stopped_before, 0, sizeof thread->stopped_before);
    for (unsigned i = 0; i < PLACES; i++)
        thread->before_tickets[i] = peek(&m.queue.waiters[i].ticket);
    if (thread->deciding)
        watch_decision(thread);
}

static void check_always(void)
{
    for (int i = 0; i < m.count && !m.violation[0]; i++) {
        struct thread *const thread = &m.threads[i];
        if (thread->dead || !thread->line || !thread->line->in_line)
            continue;
        const struct vg_place *const place = &thread->line->place;
        const struct vg_waiter *const mine = &m.queue.waiters[place->index];
        if (peek(&mine->ticket) != place->ticket || peek(&mine->owner) != thread->owner)
            violate("place %u of thread %d was taken away", place->index, i);
        else if (!(peek(&m.queue.waiting) & 1))
            violate("thread %d is in line and `waiting` is clear", i);
        else if (thread->deciding)
            watch_decision(thread);
    }
}

/* What a thread that decides is told counts for its decision, be it different a moment later. */
static enum vg_process_activity model_activity(uint64_t owner)
{
    check_always();
    const enum vg_process_activity activity = activity_now(owner);
    const bool is_hidden = m.mutant == MUTANT_STOPPED_BLOCKS && activity == VG_PROCESS_STOPPED;
    return is_hidden ? VG_PROCESS_RUNS : activity;
}

static enum vg_turn model_turn(struct vg_queue *queue, const struct vg_place *place,
                               uint64_t free_bytes, uint64_t now_ns)
{
    struct thread *const me = self();
    const enum vg_turn turn = vg_queue_turn(queue, place, free_bytes, now_ns);
    check_always();
    if (turn == VG_TURN_HEAD && me->before_all != 0)
        violate("thread %d acts as head behind place %d", m.current, __builtin_ctz(me->before_all));
    if (turn != VG_TURN_HEAD && !me->ever_preceded)
        violate("thread %d is first and does not act as head", m.current);
    if (turn == VG_TURN_PASS) {
        const uint64_t ticket = me->passed_ticket % TICKETS;
        m.counts.passed++;
        if (++m.passes[ticket] > VG_QUEUE_PASSES && ticket != 0)
            violate("ticket %d was passed %d times", (int)ticket, (int)m.passes[ticket]);
        if (free_bytes < peek(&queue->waiters[place->index].wanted_bytes))
            violate("thread %d passes with a request that does not fit", m.current);
    }
    me->deciding = false;
    return turn;
}

/* ---- scheduling points ---- */

static void model_step(void)
{
    if (m.current < 0)
        return;
    m.steps++;
    m.now_ns += draw_below(500);
    check_always();
    if (m.steps > 2000000)
        violate("no end");
    if (!one_in(m.preemption))
        return;
    if (one_in(32)) { /* the others get far meanwhile */
        self()->stopped_until_ns = m.now_ns + draw_below(one_in(2) ? MODEL_MS : 200 * MODEL_MS);
        self()->was_stopped = true;
    }
    to_scheduler();
}

static void sleep_until(const volatile void *word, uint64_t wakes_ns)
{
    struct thread *const me = self();
    me->state = ASLEEP;
    me->sleeps_on = word;
    me->wakes_ns = wakes_ns;
    me->woken = false;
    to_scheduler();
}

static long wake_all(const volatile void *word)
{
    long woken = 0;
    for (int i = 0; i < m.count; i++) {
        struct thread *const thread = &m.threads[i];
        if (thread->state != ASLEEP || thread->sleeps_on != word || thread->dead)
            continue;
        thread->state = READY;
        thread->woken = true;
        woken++;
    }
    return woken;
}

static bool is_chosen_and_told(const struct thread *thread)
{
    return thread->line && thread->line->in_line && !thread->line->last_try &&
           m.chosen_told[thread->line->place.ticket % TICKETS];
}

/* Faults: news that is not told. */
static bool is_untold(const volatile void *word)
{
    return m.current < 0 || (m.mutant == MUTANT_LEAVE_UNTOLD && word == &m.queue.turns) ||
           (m.mutant == MUTANT_VICTIM_UNTOLD && self()->choosing);
}

/* futex(2), as far as queue.c uses it. */
static long model_futex(long number, _Atomic uint32_t *word, int operation, uint32_t value,
                        const struct timespec *timeout, void *unused, int unused_too)
{
    (void)number, (void)unused, (void)unused_too;
    model_step();
    if (operation == FUTEX_WAKE)
        return is_untold(word) ? 0 : wake_all(word);
    const bool sampled_late = (m.mutant == MUTANT_SAMPLE_LATE && word == &m.queue.freed) ||
                              (m.mutant == MUTANT_SAMPLE_TURNS && word == &m.queue.turns);
    if (!sampled_late && atomic_load_explicit(word, memory_order_relaxed) != value) {
        errno = EAGAIN;
        return -1;
    }
    const uint64_t ns = (uint64_t)timeout->tv_sec * 1000 * MODEL_MS + (uint64_t)timeout->tv_nsec;
    if (is_chosen_and_told(self()))
        violate("thread %d, chosen as victim, goes to sleep", m.current);
    /* Less than a poll interval: it will look at news that it has seen. */
    sleep_until(word, m.only_news && ns > 2 * MODEL_MS ? UINT64_MAX : m.now_ns + ns);
    if (self()->woken)
        return 0;
    errno = ETIMEDOUT;
    return -1;
}

/* ---- faults ---- */

static bool model_mutates_add(const volatile void *word, uint64_t *out_instead)
{
    for (unsigned i = 0; i < PLACES; i++)
        if (word == &m.queue.waiters[i].passed_count) {
            if (m.current >= 0)
                self()->passed_ticket = peek(&m.queue.waiters[i].ticket);
            *out_instead = 0;
            return m.mutant == MUTANT_PASS_UNCOUNTED;
        }
    if (word == &m.queue.freed || word == &m.queue.turns) {
        *out_instead = 0;
        return m.mutant == MUTANT_WAKE_ONLY || is_untold(word);
    }
    if (word == &m.queue.last_ticket)
        return false;
    /* The count of frees that nobody waited for: sometimes it comes to its end. */
    *out_instead = one_in(8) ? 63 : 0;
    return true;
}

static bool model_mutates_store(const volatile void *word, uint64_t value)
{
    if (m.mutant == MUTANT_NO_AGING)
        for (unsigned i = 0; i < PLACES; i++)
            if (word == &m.queue.waiters[i].order_ns) {
                atomic_store_explicit(&m.queue.waiters[i].order_ns, (int64_t)(value - m.now_ns),
                                      memory_order_seq_cst);
                return true;
            }
    if (m.mutant == MUTANT_TICKET_KEPT && value == 0)
        for (unsigned i = 0; i < PLACES; i++)
            if (word == &m.queue.waiters[i].ticket)
                return true;
    return false;
}

static bool model_mutates_exchange(volatile void *word, const uint64_t *expected, uint64_t desired,
                                   bool *out_result)
{
    _Atomic uint64_t *const at = (_Atomic uint64_t *)(uintptr_t)word;
    const bool is_clearing = word == &m.queue.waiting && !(desired & 1);
    const bool is_reclaiming =
        !is_clearing && word != &m.queue.waiting && *expected != 0 && desired == model_owner_self();
    if (m.mutant == MUTANT_CLEAR_ALWAYS && is_clearing) {
        atomic_fetch_and_explicit(at, ~UINT64_C(1), memory_order_seq_cst);
        *out_result = true;
        return true;
    }
    if (m.mutant == MUTANT_RECLAIM_TWICE && is_reclaiming) {
        atomic_store_explicit(at, desired, memory_order_seq_cst);
        *out_result = true;
        return true;
    }
    if (m.mutant == MUTANT_RECLAIM_NEVER && is_reclaiming) {
        *out_result = false;
        return true;
    }
    return false;
}

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

static void check_end_of_wait(const struct vg_line *line, enum vg_line_step step)
{
    m.counts.served += step == VG_LINE_TRY;
    m.counts.timeouts += step == VG_LINE_TIMEOUT;
    m.counts.victims += step == VG_LINE_VICTIM;
    if (!self()->was_stopped && m.now_ns > line->deadline_ns + STEP_MS * MODEL_MS)
        violate("thread %d waited %d ms too long", m.current,
                (int)((m.now_ns - line->deadline_ns) / MODEL_MS));
    if (step == VG_LINE_VICTIM && !line->last_try)
        violate("thread %d is a victim without a last try", m.current);
}

/* As policy/wait.c does it. */
static bool wait_in_line(uint64_t bytes, uint16_t priority, uint64_t wait_ms)
{
    struct thread *const me = self();
    struct vg_line line;
    enum vg_line_step step;
    struct vg_wait_request request = { .wanted_bytes = bytes,
                                       .priority = priority,
                                       .holds_memory = me->held_bytes > 0 };
    if (!request.holds_memory && one_in(3))
        request.kind = one_in(2) ? VG_WAIT_NEED : VG_WAIT_NEWCOMER;
    me->was_stopped = false;
    vg_line_enter(&line, &m.queue, &request, wait_ms);
    me->line = &line;
    m.counts.full += !line.in_line;
    do {
        begin_decision(me);
        step = vg_line_step(&line, measure, NULL);
        me->deciding = false;
    } while (step == VG_LINE_SLEPT || (step == VG_LINE_TRY && !allocate(bytes)));
    me->line = NULL;
    vg_line_leave(&line);
    check_end_of_wait(&line, step);
    return step == VG_LINE_TRY;
}

static bool wait_for(uint64_t bytes)
{
    static const uint16_t priorities[] = { 50, 50, 50, 0, 100 };
    return wait_in_line(bytes, priorities[draw_below(5)],
                        m.only_news ? 3600000 : 20 + draw_below(3000));
}

/* As policy/deadlock.c does it, one process at a time; here for no reason. */
static void choose_some_victim(void)
{
    struct thread *const other = &m.threads[draw_below((uint64_t)m.count)];
    for (int i = 0; i < m.count; i++)
        if (m.threads[i].choosing && !m.threads[i].dead)
            return;
    if (m.victims_left == 0 || !other->line || !other->line->in_line || other->dead)
        return;
    const struct vg_place place = other->line->place;
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
    return cmocka_run_group_tests(tests, NULL, NULL);
}
