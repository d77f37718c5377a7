#include "wait/queue_wait.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cancellation.h"
#include "base/clock.h"
#include "base/size.h"
#include "os/thread.h"

enum {
    STEP_MS = 200,
    SLICE_MS = 10, /* for which handlers of other signals may have to wait */
    LOOK_MS = 20,  /* after which a thread that is alone looks for signals */
    POLL_FIRST_MS = 50,
    POLL_LAST_MS = 800,
    TRY_SPACING_MS = 50, /* between tries that nothing gives new hope for */
    NEWS_SPACING_MS = 1, /* between tries that news made */
};

static bool has_handler(int signal_number)
{
    struct sigaction action;
    return sigaction(signal_number, NULL, &action) == 0 && action.sa_handler != SIG_DFL &&
           action.sa_handler != SIG_IGN;
}

/* A fault is answered in the thread that made it: those handlers interrupt nobody's sleep. */
static bool is_fault(int signal_number)
{
    return signal_number == SIGSEGV || signal_number == SIGBUS || signal_number == SIGILL ||
           signal_number == SIGFPE || signal_number == SIGABRT || signal_number == SIGTRAP ||
           signal_number == SIGSYS;
}

/* Those that may interrupt a sleep without meaning its end, added to `to`. Returns whether there
 * are any. */
static bool add_other_handled_signals(sigset_t *to)
{
    bool any = false;
    for (int i = 1; i <= SIGRTMAX; i++)
        if (i != SIGINT && i != SIGTERM && !is_fault(i) && has_handler(i)) {
            sigaddset(to, i);
            any = true;
        }
    return any;
}

/* ---- SIGINT and SIGTERM ---- */

enum { OURS = 2 };
static const int ours[OURS] = { SIGINT, SIGTERM };

/* vg_queue_wait.held of this thread's wait: what is still to be undone when it is left by a jump.
 */
static _Thread_local unsigned held_by_thread;

/* `which` and vg_queue_wait.held have one bit for each of `ours`. */
static unsigned bit_of(int i)
{
    return 1U << i;
}

static void mask_ours(unsigned which, int how)
{
    sigset_t signals;
    sigemptyset(&signals);
    for (int i = 0; i < OURS; i++)
        if (which & bit_of(i))
            sigaddset(&signals, ours[i]);
    pthread_sigmask(how, &signals, NULL);
}

/* While it is blocked even an ignored signal becomes pending (kernel/signal.c, sig_ignored). */
static bool is_ignored(int signal_number)
{
    struct sigaction action;
    return sigaction(signal_number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* From now on a signal stays pending, where it can be seen: a handler that ran while the thread did
 * not sleep would go unnoticed. */
static void hold_signals(struct vg_queue_wait *line)
{
    sigset_t before;
    if (line->held == bit_of(OURS) - 1 || pthread_sigmask(SIG_SETMASK, NULL, &before) != 0)
        return;
    for (int i = 0; i < OURS; i++)
        if (sigismember(&before, ours[i]) == 0 && !is_ignored(ours[i]))
            line->held |= bit_of(i);
    held_by_thread = line->held;
    mask_ours(line->held, SIG_BLOCK);
}

static void let_through(struct vg_queue_wait *line, unsigned which)
{
    mask_ours(which, SIG_UNBLOCK);
    line->held &= ~which;
    held_by_thread = line->held;
}

static void let_all_through(struct vg_queue_wait *line)
{
    let_through(line, line->held);
}

void vg_queue_wait_reset_thread(void)
{
    sigset_t now;
    sigemptyset(&now);
    bool all_blocked = pthread_sigmask(SIG_SETMASK, NULL, &now) == 0;
    for (int i = 0; i < OURS; i++)
        if ((held_by_thread & bit_of(i)) && sigismember(&now, ours[i]) != 1)
            all_blocked = false;
    if (all_blocked && held_by_thread)
        mask_ours(held_by_thread, SIG_UNBLOCK);
    held_by_thread = 0;
}

/* For a try, which may take long: a signal without a handler ends the program in it as ever. */
static void let_through_what_ends_the_program(struct vg_queue_wait *line)
{
    unsigned those = 0;
    for (int i = 0; i < OURS; i++)
        if ((line->held & bit_of(i)) && !has_handler(ours[i]))
            those |= bit_of(i);
    let_through(line, those);
}

static bool has_signal(const struct vg_queue_wait *line)
{
    sigset_t pending;
    if (sigpending(&pending) != 0)
        return false;
    for (int i = 0; i < OURS; i++)
        if ((line->held & bit_of(i)) && sigismember(&pending, ours[i]) == 1)
            return true;
    return false;
}

/* ---- the wait ---- */

void vg_queue_wait_enter(struct vg_queue_wait *line, struct vg_queue *queue,
                         struct vg_wait_request *request, uint64_t wait_ms)
{
    request->owner = vg_process_owner_self();
    request->image = vg_process_image(0);
    request->thread = (uint32_t)vg_thread_id();
    request->now_ns = vg_clock_monotonic_ns();
    request->deadline_ns = request->now_ns + wait_ms * VG_MS_NS;
    *line = (struct vg_queue_wait){
        .queue = queue,
        .poll_ms = POLL_FIRST_MS,
        .start_ns = request->now_ns,
        .deadline_ns = request->deadline_ns,
        .wanted_bytes = request->wanted_bytes,
    };
    hold_signals(line);
    line->in_line = vg_queue_enter(queue, request, &line->place) == 0;
}

uint64_t vg_queue_wait_waited_ms(const struct vg_queue_wait *line)
{
    return (vg_clock_monotonic_ns() - line->start_ns) / VG_MS_NS;
}

void vg_queue_wait_leave(struct vg_queue_wait *line)
{
    if (line->in_line)
        vg_queue_leave(line->queue, &line->place);
    line->in_line = false;
    let_all_through(line);
}

void vg_queue_wait_keep_ticket(struct vg_queue_wait *line, struct vg_held_ticket *out)
{
    out->queue = line->in_line ? line->queue : NULL;
    out->place = line->place;
    out->since_ns = line->start_ns;
    line->in_line = false;
    let_all_through(line);
}

void vg_held_ticket_release(struct vg_held_ticket *place)
{
    if (place->queue)
        vg_queue_leave(place->queue, &place->place);
    place->queue = NULL;
}

/* Up to a quarter more, so that those who poll do not all come at once. */
static uint64_t with_jitter(uint64_t ns, uint64_t now_ns)
{
    return ns + now_ns % (ns / 4 + 1);
}

/* Notes a try, which comes right after. */
static void note_try(struct vg_queue_wait *line, uint32_t freed, uint64_t now_ns)
{
    line->poll_ms = freed != line->freed_seen ? POLL_FIRST_MS : line->poll_ms * 3 / 2;
    if (line->poll_ms > POLL_LAST_MS)
        line->poll_ms = POLL_LAST_MS;
    line->freed_seen = freed;
    line->last_try_ns = now_ns;
    line->next_poll_ns = now_ns + with_jitter(line->poll_ms * VG_MS_NS, now_ns);
}

static bool is_time_to_try(const struct vg_queue_wait *line, uint32_t freed, uint64_t free_bytes,
                           uint64_t now_ns)
{
    if (now_ns >= line->next_poll_ns)
        return true;
    const uint64_t since_ns = now_ns - line->last_try_ns;
    if (freed != line->freed_seen && since_ns >= NEWS_SPACING_MS * VG_MS_NS)
        return free_bytes == VG_BYTES_UNKNOWN || free_bytes >= line->wanted_bytes;
    return free_bytes != VG_BYTES_UNKNOWN && free_bytes >= line->wanted_bytes &&
           since_ns >= TRY_SPACING_MS * VG_MS_NS;
}

/* The thread's mask while it sleeps: SIGINT and SIGTERM come in, other handlers do not. Returns
 * whether there are others. */
static bool mask_of_sleep(const struct vg_queue_wait *line, sigset_t *out)
{
    pthread_sigmask(SIG_SETMASK, NULL, out);
    for (int i = 0; i < OURS; i++)
        if (line->held & bit_of(i))
            sigdelset(out, ours[i]);
    return add_other_handled_signals(out);
}

/* Sleeps until `word` changes. Returns whether the wait is to end because of a signal. */
typedef bool sleep_function(const struct vg_queue_wait *line, _Atomic uint32_t *word, uint32_t seen,
                            uint64_t until_ns);

/* Where there is only this thread, a signal can but stay pending: none is missed. Other handlers
 * run as ever. */
static bool sleep_alone(const struct vg_queue_wait *line, _Atomic uint32_t *word, uint32_t seen,
                        uint64_t until_ns)
{
    while (!has_signal(line)) {
        const uint64_t now_ns = vg_clock_monotonic_ns();
        const uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
        const uint64_t ns = left_ns < LOOK_MS * VG_MS_NS ? left_ns : LOOK_MS * VG_MS_NS;
        if (left_ns == 0 || vg_queue_sleep(word, seen, ns) == 0)
            return has_signal(line);
    }
    return true;
}

/* Among other threads the two must not stay blocked: sent to the process, they would go to another
 * thread, as PyTorch has many, and the handler that ran there would not end this wait. Which
 * handler has ended a sleep the kernel does not tell; so others have to wait, for SLICE_MS at the
 * most. */
static bool sleep_among_threads(const struct vg_queue_wait *line, _Atomic uint32_t *word,
                                uint32_t seen, uint64_t until_ns)
{
    sigset_t during, held;
    const bool others = mask_of_sleep(line, &during);
    while (!has_signal(line)) {
        const uint64_t now_ns = vg_clock_monotonic_ns();
        const uint64_t left_ns = until_ns > now_ns ? until_ns - now_ns : 0;
        const uint64_t ns = others && left_ns > SLICE_MS * VG_MS_NS ? SLICE_MS * VG_MS_NS : left_ns;
        if (left_ns == 0)
            return false;
        pthread_sigmask(SIG_SETMASK, &during, &held);
        const int error = vg_queue_sleep(word, seen, ns);
        pthread_sigmask(SIG_SETMASK, &held, NULL);
        if (error != -ETIMEDOUT)
            return error == -EINTR || has_signal(line);
    }
    return true;
}

/* Is this the process's only thread? The kernel counts them in the links of this folder
 * (fs/proc/base.c, proc_task_getattr). */
static bool is_alone(void)
{
    enum { LINKS_OF_ONE = 3 };
    struct stat status;
    return stat("/proc/self/task", &status) == 0 && status.st_nlink == LINKS_OF_ONE;
}

static enum vg_queue_wait_event sleep_a_while(struct vg_queue_wait *line, bool is_head,
                                              uint32_t freed, uint32_t turns, uint64_t now_ns)
{
    uint64_t until_ns = now_ns + STEP_MS * VG_MS_NS;
    if (is_head && line->next_poll_ns < until_ns)
        until_ns = line->next_poll_ns;
    if (line->deadline_ns < until_ns)
        until_ns = line->deadline_ns;
    /* News that came too soon after the last try is looked at a little later. */
    if (is_head && freed != line->freed_seen && now_ns + NEWS_SPACING_MS * VG_MS_NS < until_ns &&
        now_ns - line->last_try_ns < NEWS_SPACING_MS * VG_MS_NS)
        until_ns = now_ns + NEWS_SPACING_MS * VG_MS_NS;
    sleep_function *const sleep = is_alone() ? sleep_alone : sleep_among_threads;
    /* Handlers of the program run here for the most part: should one not come back, the thread is
     * as it was. */
    vg_cancellation_lend();
    const bool ends = is_head ? sleep(line, &line->queue->freed, freed, until_ns)
                              : sleep(line, &line->queue->turns, turns, until_ns);
    vg_cancellation_resume();
    return ends ? VG_QUEUE_WAIT_SIGNAL : VG_QUEUE_WAIT_SLEPT;
}

static enum vg_queue_wait_event next_step(struct vg_queue_wait *line,
                                          uint64_t (*measure)(void *argument), void *argument)
{
    const uint64_t now_ns = vg_clock_monotonic_ns();
    struct vg_queue *const queue = line->queue;
    if (line->last_try)
        return VG_QUEUE_WAIT_VICTIM;
    /* Sampled before the look at the victim, the memory and the order: what comes after wakes us.
     */
    const uint32_t freed = atomic_load(&queue->freed), turns = atomic_load(&queue->turns);
    if (line->in_line && vg_queue_is_victim(queue, &line->place)) {
        line->last_try = true;
        return VG_QUEUE_WAIT_TRY;
    }
    if (now_ns >= line->deadline_ns)
        return VG_QUEUE_WAIT_TIMEOUT;
    const uint64_t free_bytes = measure(argument);
    const enum vg_turn turn =
        line->in_line ? vg_queue_turn(queue, &line->place, free_bytes, now_ns) : VG_TURN_HEAD;
    if (turn == VG_TURN_PASS ||
        (turn == VG_TURN_HEAD && is_time_to_try(line, freed, free_bytes, now_ns))) {
        note_try(line, freed, now_ns);
        return VG_QUEUE_WAIT_TRY;
    }
    return sleep_a_while(line, turn == VG_TURN_HEAD, freed, turns, now_ns);
}

enum vg_queue_wait_event vg_queue_wait_step(struct vg_queue_wait *line,
                                            uint64_t (*measure)(void *argument), void *argument)
{
    hold_signals(line);
    enum vg_queue_wait_event step = next_step(line, measure, argument);
    if (step == VG_QUEUE_WAIT_TRY && has_signal(line))
        step = VG_QUEUE_WAIT_SIGNAL;
    if (step == VG_QUEUE_WAIT_TRY)
        let_through_what_ends_the_program(line);
    else if (step != VG_QUEUE_WAIT_SLEPT)
        let_all_through(line);
    return step;
}
