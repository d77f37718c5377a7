#include "shared/queue.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/size.h"
#include "shared/alive.h"

#define SECOND_NS INT64_C(1000000000)
#define MS_NS     INT64_C(1000000)

enum vg_process_activity (*vg_queue_owner_activity)(uint64_t owner) = vg_alive_activity;
enum vg_process_activity (*vg_queue_thread_activity)(uint64_t owner, uint32_t thread,
                                                     uint64_t image) = vg_alive_thread_activity;

long vg_queue_wake(_Atomic uint32_t *word)
{
    atomic_fetch_add(word, 1);
    return syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

int vg_queue_sleep(_Atomic uint32_t *word, uint32_t seen, uint64_t timeout_ns)
{
    const struct timespec timeout = { .tv_sec = (time_t)(timeout_ns / (uint64_t)SECOND_NS),
                                      .tv_nsec = (long)(timeout_ns % (uint64_t)SECOND_NS) };
    if (syscall(SYS_futex, word, FUTEX_WAIT, seen, &timeout, NULL, 0) == 0 || errno == EAGAIN)
        return 0;
    return -errno;
}

/* `waiting` and `promises` count entries taken and promises made, in steps of two; the lowest bit
 * says that there may be some. Who finds none clears the bit only if none has come since before the
 * look. */
static void count_and_flag(_Atomic uint64_t *word)
{
    uint64_t seen = atomic_load(word);
    while (!atomic_compare_exchange_weak(word, &seen, (seen + 2) | 1))
        ;
}

static void clear_flag(_Atomic uint64_t *word, uint64_t seen)
{
    atomic_compare_exchange_strong(word, &seen, seen & ~UINT64_C(1));
}

void vg_queue_note_promise(struct vg_queue *queue)
{
    count_and_flag(&queue->promises);
}

void vg_queue_forget_promises(struct vg_queue *queue, uint64_t seen)
{
    clear_flag(&queue->promises, seen);
}

static void clear_waiting(struct vg_queue *queue)
{
    const uint64_t seen = atomic_load(&queue->waiting);
    for (uint32_t i = 0; i < VG_QUEUE_WAITERS; i++) {
        if (atomic_load(&queue->waiters[i].owner) != 0)
            return;
    }
    clear_flag(&queue->waiting, seen);
}

/* Frees an entry that is ours: out of line first. */
static void release_entry(struct vg_queue *queue, struct vg_waiter *waiter)
{
    atomic_store(&waiter->ticket, 0);
    atomic_store(&waiter->owner, 0);
    clear_waiting(queue);
    vg_queue_wake(&queue->turns);
}

/* Frees the entry of a dead process. Of several who find it only one may, or the second would free
 * what has been given to somebody else meanwhile: so it is made ours first. Should we die at that,
 * it is a dead process's entry again. */
static bool reclaim_entry(struct vg_queue *queue, struct vg_waiter *waiter, uint64_t dead)
{
    if (!atomic_compare_exchange_strong(&waiter->owner, &dead, vg_process_owner_self()))
        return false;
    release_entry(queue, waiter);
    return true;
}

/* What do those do whose entry it is: the process, and the thread where `seen_ns` is long ago? An
 * entry that is just being filled in may show the thread of the one before: then it is not silent.
 */
static enum vg_process_activity entry_activity(const struct vg_waiter *waiter, uint64_t owner,
                                               bool silent)
{
    return silent ? vg_queue_thread_activity(owner, atomic_load(&waiter->thread),
                                             atomic_load(&waiter->image))
                  : vg_queue_owner_activity(owner);
}

static bool is_silent(const struct vg_waiter *waiter, uint64_t now_ns)
{
    const uint64_t seen_ns = atomic_load(&waiter->seen_ns);
    return now_ns > seen_ns && now_ns - seen_ns > VG_QUEUE_SILENT_MS * MS_NS;
}

bool vg_queue_is_waiting(const struct vg_waiter *waiter, uint64_t now_ns)
{
    const uint64_t owner = atomic_load(&waiter->owner);
    if (owner == 0 || !vg_queue_in_line(waiter, now_ns))
        return false;
    const bool silent = is_silent(waiter, now_ns);
    const enum vg_process_activity activity = entry_activity(waiter, owner, silent);
    return activity == VG_PROCESS_STOPPED || (activity == VG_PROCESS_RUNS && !silent);
}

/* Frees an entry that its thread has left behind in a process that runs. The ticket decides who of
 * several does: nobody else takes the entry as long as it has an owner. */
static bool reclaim_left(struct vg_queue *queue, struct vg_waiter *waiter, uint64_t ticket)
{
    if (!atomic_compare_exchange_strong(&waiter->ticket, &ticket, 0))
        return false;
    release_entry(queue, waiter);
    return true;
}

/* Frees the entry if those whose it is are gone. Returns whether it did. */
static bool sweep_entry(struct vg_queue *queue, struct vg_waiter *waiter, uint64_t now_ns)
{
    const uint64_t owner = atomic_load(&waiter->owner), ticket = atomic_load(&waiter->ticket);
    if (owner == 0)
        return false;
    if (vg_queue_owner_activity(owner) == VG_PROCESS_GONE)
        return reclaim_entry(queue, waiter, owner);
    return ticket != 0 && is_silent(waiter, now_ns) &&
           entry_activity(waiter, owner, true) == VG_PROCESS_GONE &&
           reclaim_left(queue, waiter, ticket);
}

unsigned vg_queue_sweep(struct vg_queue *queue)
{
    unsigned swept = 0;
    const uint64_t now_ns = vg_clock_monotonic_ns();
    for (uint32_t i = 0; i < VG_QUEUE_WAITERS; i++)
        swept += sweep_entry(queue, &queue->waiters[i], now_ns);
    return swept;
}

void vg_queue_leave_all(struct vg_queue *queue, uint64_t owner, uint32_t thread)
{
    for (uint32_t i = 0; i < VG_QUEUE_WAITERS; i++)
        if (atomic_load(&queue->waiters[i].owner) == owner &&
            atomic_load(&queue->waiters[i].thread) == thread &&
            atomic_load(&queue->waiters[i].ticket) != 0)
            release_entry(queue, &queue->waiters[i]);
}

static struct vg_waiter *take_free(struct vg_queue *queue, uint64_t owner)
{
    for (uint32_t i = 0; i < VG_QUEUE_WAITERS; i++) {
        uint64_t nobody = 0;
        if (atomic_load(&queue->waiters[i].owner) == 0 &&
            atomic_compare_exchange_strong(&queue->waiters[i].owner, &nobody, owner))
            return &queue->waiters[i];
    }
    return NULL;
}

static int64_t order_of(const struct vg_wait_request *request)
{
    const uint64_t since_ns = request->since_ns ? request->since_ns : request->now_ns;
    int64_t order_ns = (int64_t)since_ns - (int64_t)request->priority * SECOND_NS;
    if (request->holds_memory)
        order_ns -= VG_QUEUE_HOLDER_BONUS_MS * MS_NS;
    return order_ns;
}

int vg_queue_enter(struct vg_queue *queue, const struct vg_wait_request *request,
                   struct vg_queue_slot *out)
{
    struct vg_waiter *waiter = take_free(queue, request->owner);
    if (!waiter && vg_queue_sweep(queue) > 0)
        waiter = take_free(queue, request->owner);
    if (!waiter)
        return -ENOSPC;
    atomic_store(&waiter->order_ns, order_of(request));
    atomic_store(&waiter->wanted_bytes, request->wanted_bytes);
    atomic_store(&waiter->since_ns, request->now_ns);
    atomic_store(&waiter->deadline_ns, request->deadline_ns);
    atomic_store(&waiter->victim_ticket, 0);
    atomic_store(&waiter->passed_count, 0);
    atomic_store(&waiter->holds_memory, request->holds_memory);
    atomic_store(&waiter->kind, (uint16_t)request->kind);
    atomic_store(&waiter->priority, request->priority);
    atomic_store(&waiter->image, request->image);
    atomic_store(&waiter->thread, request->thread);
    atomic_store(&waiter->seen_ns, request->now_ns);
    count_and_flag(&queue->waiting);
    out->index = (uint32_t)(waiter - queue->waiters);
    out->ticket = atomic_fetch_add(&queue->last_ticket, 1) + 1;
    atomic_store(&waiter->ticket, out->ticket);
    return 0;
}

/* Has the place not been taken away by somebody who takes us for dead, as one in a container with
 * other process ids does? */
static bool is_ours(const struct vg_queue *queue, const struct vg_queue_slot *place)
{
    return atomic_load(&queue->waiters[place->index].ticket) == place->ticket;
}

void vg_queue_leave(struct vg_queue *queue, const struct vg_queue_slot *place)
{
    if (is_ours(queue, place))
        release_entry(queue, &queue->waiters[place->index]);
}

bool vg_queue_in_line(const struct vg_waiter *waiter, uint64_t now_ns)
{
    return atomic_load(&waiter->ticket) != 0 &&
           now_ns < atomic_load(&waiter->deadline_ns) + VG_QUEUE_OVERSTAY_MS * MS_NS;
}

/* Has it come without having failed? */
static bool is_coming(const struct vg_waiter *waiter)
{
    return atomic_load(&waiter->kind) != VG_WAIT_ALLOCATION;
}

/* Whose turn it may be. */
struct candidates {
    bool without_coming;
    bool stopped[VG_QUEUE_WAITERS]; /* those are passed over until they run again */
    uint64_t now_ns;
};

/* First in line as the entries tell, be their owners alive or not. */
static int first_in_line(const struct vg_queue *queue, const struct candidates *candidates)
{
    int first = -1;
    int64_t first_order = 0;
    uint64_t first_ticket = 0;
    for (int i = 0; i < VG_QUEUE_WAITERS; i++) {
        const struct vg_waiter *const waiter = &queue->waiters[i];
        if (candidates->stopped[i] || !vg_queue_in_line(waiter, candidates->now_ns) ||
            is_silent(waiter, candidates->now_ns))
            continue;
        const uint64_t ticket = atomic_load(&waiter->ticket);
        const int64_t order = atomic_load(&waiter->order_ns);
        const bool counts = !candidates->without_coming || !is_coming(waiter);
        /* Left meanwhile: the order may be that of somebody who is only about to enter. */
        if (ticket == 0 || atomic_load(&waiter->ticket) != ticket || !counts)
            continue;
        if (first < 0 || order < first_order || (order == first_order && ticket < first_ticket)) {
            first = i;
            first_order = order;
            first_ticket = ticket;
        }
    }
    return first;
}

/* Those who have not shown themselves for a while have no turn; are they gone for good? */
static void sweep_silent(struct vg_queue *queue, uint64_t now_ns)
{
    for (uint32_t i = 0; i < VG_QUEUE_WAITERS; i++)
        if (atomic_load(&queue->waiters[i].ticket) != 0 && is_silent(&queue->waiters[i], now_ns))
            sweep_entry(queue, &queue->waiters[i], now_ns);
}

/* Index of the first in line that is neither stopped nor silent, -1 for none. Removes the dead
 * before it. */
static int find_head(struct vg_queue *queue, bool without_coming, uint64_t now_ns)
{
    sweep_silent(queue, now_ns);
    struct candidates candidates = { .without_coming = without_coming, .now_ns = now_ns };
    for (unsigned tries = 0; tries <= VG_QUEUE_WAITERS; tries++) {
        const int first = first_in_line(queue, &candidates);
        if (first < 0)
            return -1;
        const uint64_t owner = atomic_load(&queue->waiters[first].owner);
        if (owner == vg_process_owner_self())
            return first;
        if (owner == 0)
            continue;
        switch (vg_queue_owner_activity(owner)) {
        case VG_PROCESS_RUNS: return first;
        case VG_PROCESS_STOPPED: candidates.stopped[first] = true; break;
        case VG_PROCESS_GONE: reclaim_entry(queue, &queue->waiters[first], owner); break;
        }
    }
    return -1;
}

enum vg_turn vg_queue_turn(struct vg_queue *queue, const struct vg_queue_slot *place,
                           uint64_t free_bytes, uint64_t now_ns)
{
    if (!is_ours(queue, place))
        return VG_TURN_HEAD;
    struct vg_waiter *const own = &queue->waiters[place->index];
    atomic_store(&own->seen_ns, now_ns);
    const int head = find_head(queue, atomic_load(&own->holds_memory), now_ns);
    if (head < 0 || (uint32_t)head == place->index)
        return VG_TURN_HEAD;
    struct vg_waiter *const first = &queue->waiters[head];
    const uint64_t wanted_bytes = atomic_load(&own->wanted_bytes);
    if (free_bytes == VG_BYTES_UNKNOWN || wanted_bytes > free_bytes ||
        atomic_load(&first->wanted_bytes) <= wanted_bytes ||
        atomic_load(&first->wanted_bytes) <= free_bytes ||
        now_ns - atomic_load(&first->since_ns) > VG_QUEUE_PASS_MS * MS_NS)
        return VG_TURN_NONE;
    return atomic_fetch_add(&first->passed_count, 1) < VG_QUEUE_PASSES ? VG_TURN_PASS
                                                                       : VG_TURN_NONE;
}

void vg_queue_choose_victim(struct vg_queue *queue, uint32_t index, uint64_t ticket)
{
    struct vg_waiter *const waiter = &queue->waiters[index];
    if (atomic_load(&waiter->ticket) != ticket)
        return;
    /* A later ticket of the same entry does not equal this one: nothing comes of it then. */
    atomic_store(&waiter->victim_ticket, ticket);
    vg_queue_wake(&queue->turns);
    vg_queue_wake(&queue->freed);
}

bool vg_queue_is_victim(const struct vg_queue *queue, const struct vg_queue_slot *place)
{
    return atomic_load(&queue->waiters[place->index].victim_ticket) == place->ticket;
}

void vg_queue_tell_freed(struct vg_queue *queue)
{
    enum { IN_VAIN = 64 };
    static _Atomic uint32_t in_vain;
    if (vg_queue_wake(&queue->freed) > 0) {
        atomic_store(&in_vain, 0);
    } else if (atomic_fetch_add(&in_vain, 1) + 1 >= IN_VAIN) {
        /* Perhaps all who waited were killed: then nobody else says that nobody waits. */
        const int saved_errno = errno; /* who frees memory is not to notice */
        atomic_store(&in_vain, 0);
        vg_queue_sweep(queue);
        clear_waiting(queue);
        errno = saved_errno;
    }
}
