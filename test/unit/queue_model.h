/* The queue and the waiting in it, shared/queue.c and wait/queue_wait.c, on a simulated machine:
 * they are compiled here once more, with every atomic access as a point at which the scheduler may
 * go on with another thread. Threads are coroutines. What they do, and who schedules them, stop and
 * kill included, is the test's.
 *
 * What must hold, checked at every step:
 *   1. Nobody acts as head if somebody before it, alive and not stopped, was in line for the whole
 *      of its decision; who was first for the whole of its decision does act as head. So two heads
 *      at a time are possible only for one decision each, made while the line changed.
 *   2. So those of equal rank who are served at the head are served in the order in which they
 *      came, and nobody is overtaken for longer than ranks explain. A head is passed at most 4
 *      times, in its first 5 seconds, by smaller requests that fit.
 *   3. The place of a live process stays its own until it leaves: an entry is reclaimed once, and
 *      only a dead one's.
 *   4. While a live process is in line `waiting` says so.
 *   5. Whoever has been chosen as victim does not fall asleep.
 *   6. A wait ends at its deadline at the latest, give or take one step. */
#ifndef VRAMGUARD_TEST_QUEUE_MODEL_H
#define VRAMGUARD_TEST_QUEUE_MODEL_H

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
#include "os/process.h"
#include "os/thread.h"

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
static uint64_t model_silent_ms; /* where nothing ends a sleep but news, nobody shows itself */
#define VG_QUEUE_SILENT_MS model_silent_ms

#define vg_clock_monotonic_ns model_now_ns
#define vg_process_owner_self model_owner_self
#define syscall               model_futex
#include "shared/queue.c"

static enum vg_turn model_turn(struct vg_queue *queue, const struct vg_queue_slot *place,
                               uint64_t free_bytes, uint64_t now_ns);
#define vg_queue_turn model_turn
static int m_thread_number(void);
static int no_signals(void)
{
    return -1;
}

#define vg_process_image(pid) UINT64_C(1)
#define vg_thread_id()        (m_thread_number())
/* Nobody sends signals here; the calls would take most of the time. */
#define pthread_sigmask(how, set, before) ((void)(how), (void)(set), (void)(before), no_signals())
#define sigpending(set)                   ((void)(set), no_signals())
#define sigaction(number, action, before) ((void)(number), (void)(before), no_signals())
#undef SECOND_NS
#undef MS_NS
#include "wait/queue_wait.c"
#undef vg_queue_turn
#undef pthread_sigmask
#undef sigpending
#undef sigaction
#undef vg_process_image
#undef vg_thread_id
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
    uint64_t stopped_until_ns;        /* 0: runs */
    uint64_t frozen_until_ns;         /* likewise, for all threads of the process, and all see it */
    const volatile void *sleeps_on;   /* a futex word, NULL for the clock alone */
    uint64_t wakes_ns;                /* UINT64_MAX: never by itself */
    bool woken;                       /* by news, not by time */
    const struct vg_queue_wait *line; /* it is in line, from entering to leaving */
    bool deciding;                    /* within a step of the line */
    uint64_t looked_ns;               /* the time that it goes by */
    unsigned before_all;              /* places that were before its own all the time, as bits */
    uint64_t before_tickets[PLACES];  /* whose they were */
    uint64_t stopped_before[PLACES];  /* owners that were before it and stopped, 0: none */
    bool ever_preceded, was_stopped;  /* in this decision; in this wait */
    bool choosing;                    /* it is choosing a victim */
    uint64_t passed_ticket;           /* the head that it counted itself past */
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
    bool chosen_told[TICKETS]; /* by ticket: chosen as victim, and attempt */
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

static int m_thread_number(void)
{
    return m.current;
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

static enum vg_process_activity model_thread_activity(uint64_t owner, uint32_t thread,
                                                      uint64_t image)
{
    (void)thread, (void)image;
    return activity_now(owner);
}

/* Is there somebody, alive, in line and not silent at `now_ns`, at this place, who is before
 * `mine`? */
static bool is_before(const struct vg_waiter *place, const struct vg_waiter *mine,
                      uint64_t my_ticket, uint64_t now_ns)
{
    const uint64_t ticket = peek(&place->ticket), owner = peek(&place->owner);
    if (place == mine || ticket == 0 || owner == 0 || activity_now(owner) == VG_PROCESS_GONE ||
        now_ns >= peek(&place->deadline_ns) + VG_QUEUE_OVERSTAY_MS * MODEL_MS ||
        (now_ns > peek(&place->seen_ns) &&
         now_ns - peek(&place->seen_ns) > model_silent_ms * MODEL_MS))
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
    const struct vg_queue_slot *const place = &thread->line->place;
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
        const struct vg_queue_slot *const place = &thread->line->place;
        const struct vg_waiter *const mine = &m.queue.waiters[place->index];
        if (peek(&mine->ticket) != place->ticket || peek(&mine->owner) != thread->owner)
            violate("place %u of thread %d was taken away", place->index, i);
        else if (!(peek(&m.queue.waiting) & 1))
            violate("thread %d is in line and `waiting` is clear", i);
        else if (thread->deciding)
            watch_decision(thread);
    }
}

/* What a thread that decides is attempt counts for its decision, be it different a moment later. */
static enum vg_process_activity model_activity(uint64_t owner)
{
    check_always();
    const enum vg_process_activity activity = activity_now(owner);
    const bool is_hidden = m.mutant == MUTANT_STOPPED_BLOCKS && activity == VG_PROCESS_STOPPED;
    return is_hidden ? VG_PROCESS_RUNS : activity;
}

static enum vg_turn model_turn(struct vg_queue *queue, const struct vg_queue_slot *place,
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

/* Faults: news that is not attempt. */
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

#endif
