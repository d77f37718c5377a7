/* The line of those who wait for memory of one GPU, in memory that all guarded processes share.
 *
 * Each waiting thread has an entry. The order is fixed when it enters: by the time of entering,
 * where each point of priority counts as a second earlier and holding memory as 20 seconds earlier,
 * since a holder may need more memory to come to an end and free what it has. Whoever enters later
 * has a later place sooner or later, so nobody waits for ever. Only the head asks the driver; it
 * passes the turn on by leaving. Who holds memory is never behind those who hold none yet and have
 * not failed, or a model that waits an hour for its room would keep the room from coming free: it
 * is head when it is the first of the others. A smaller request that would fit now may pass the
 * head, at most 4 times and in the first 5 seconds of its wait.
 *
 * Everything is atomic words; there is no lock that a killed process could hold. An entry belongs
 * to pid and start time, and one whose owner is gone, or has overstayed its own deadline, is not in
 * line; one whose owner is stopped has no turn, and its old place when it runs again. What a step
 * has not finished when its process is killed, the next who looks finishes or undoes.
 *
 * A wait can also end without a word: its thread jumps out of it in a signal handler (siglongjmp,
 * an exception), or another thread of the process executes a new program. So who waits shows itself
 * five times a second. One that has not for VG_QUEUE_SILENT_MS has no turn until it does again, as
 * it may only be slow; and when its thread is gone, or its process is another program, it is
 * removed.
 *
 * Two words tell of news (futex(2)): `freed` counts what came free, `turns` changes of the order.
 * They are sampled before the look at the memory or the order whose outcome makes one sleep, so
 * that news in between is not lost. */
#ifndef VRAMGUARD_SHARED_QUEUE_H
#define VRAMGUARD_SHARED_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "os/process.h"

#ifndef VG_QUEUE_PLACES
#define VG_QUEUE_PLACES 255 /* the model test (test/unit/queue_model.h) needs few */
#endif

#ifndef VG_QUEUE_SILENT_MS
#define VG_QUEUE_SILENT_MS 1000 /* likewise */
#endif

enum {
    VG_QUEUE_WAITERS = VG_QUEUE_PLACES,
    VG_QUEUE_PASSES = 4,
    VG_QUEUE_PASS_MS = 5000,
    VG_QUEUE_HOLDER_BONUS_MS = 20000,
    VG_QUEUE_OVERSTAY_MS = 1000, /* behind its deadline an entry counts so long */
};

enum vg_wait_kind {
    VG_WAIT_ALLOCATION, /* an allocation that failed */
    VG_WAIT_NEED,       /* VRAMGUARD_NEED, before the first context */
    VG_WAIT_NEWCOMER,   /* held back before its first allocation */
};

/* Two cache lines. `ticket` is 0 while the entry is not in line; it is written last. */
struct vg_waiter {
    _Atomic uint64_t owner; /* vg_process_owner of the process, 0: free */
    _Atomic uint64_t ticket;
    _Atomic int64_t order_ns; /* smaller is earlier */
    _Atomic uint64_t wanted_bytes;
    _Atomic uint64_t since_ns, deadline_ns; /* CLOCK_MONOTONIC */
    _Atomic uint64_t victim_ticket;         /* equal to `ticket`: it is to give up */
    _Atomic uint16_t passed_count;          /* how often it has been passed as head */
    _Atomic uint16_t holds_memory;          /* 0 or 1 */
    _Atomic uint16_t kind;                  /* enum vg_wait_kind */
    _Atomic uint16_t priority;
    _Atomic uint64_t seen_ns; /* CLOCK_MONOTONIC: when it last showed itself */
    _Atomic uint64_t image;   /* vg_process_image of the process, 0 unknown */
    _Atomic uint32_t thread;  /* that waits */
    uint32_t reserved[11];
};

struct vg_queue {
    _Atomic uint32_t freed, turns;
    _Atomic uint64_t waiting; /* lowest bit: somebody may be in line */
    _Atomic uint64_t last_ticket;
    _Atomic uint64_t promises; /* likewise: memory may have been promised to somebody */
    uint64_t reserved[4];
    struct vg_waiter waiters[VG_QUEUE_WAITERS];
};

_Static_assert(sizeof(struct vg_waiter) == 128, "two cache lines");

/* What somebody waits for. */
struct vg_wait_request {
    uint64_t owner, image; /* of the process: vg_process_owner, vg_process_image */
    uint32_t thread;
    uint64_t wanted_bytes;
    uint64_t now_ns, deadline_ns; /* CLOCK_MONOTONIC */
    uint64_t since_ns;            /* it has waited in line since then, before; 0: it is new */
    enum vg_wait_kind kind;
    uint16_t priority; /* 0 to 100 */
    bool holds_memory;
};

/* A place in line. */
struct vg_queue_slot {
    uint32_t index;
    uint64_t ticket;
};

enum vg_turn {
    VG_TURN_NONE,
    VG_TURN_HEAD, /* it may ask the driver */
    VG_TURN_PASS, /* it may ask the driver although it is not the head; counted */
};

/* What does the process with this owner word do, and what that thread of it? Tests put their own
 * in.
 */
extern enum vg_process_activity (*vg_queue_owner_activity)(uint64_t owner);
extern enum vg_process_activity (*vg_queue_thread_activity)(uint64_t owner, uint32_t thread,
                                                            uint64_t image);

/* Takes a place. Returns 0 or -ENOSPC. Any thread; never blocks. */
int vg_queue_enter(struct vg_queue *queue, const struct vg_wait_request *request,
                   struct vg_queue_slot *out);

/* Gives it up and tells the others. */
void vg_queue_leave(struct vg_queue *queue, const struct vg_queue_slot *place);

/* Gives up what places a thread of this process still has, having left a wait otherwise than by its
 * end. */
void vg_queue_leave_all(struct vg_queue *queue, uint64_t owner, uint32_t thread);

/* Whose turn is it? Shows that this place is still waited at. `free_bytes` as measured now,
 * VG_BYTES_UNKNOWN if not. Removes the dead from the head of the line, and passes over who is
 * stopped. A place that has been lost waits for nobody. */
enum vg_turn vg_queue_turn(struct vg_queue *queue, const struct vg_queue_slot *place,
                           uint64_t free_bytes, uint64_t now_ns);

/* Is the entry in line at `now_ns`, as far as it tells itself? */
bool vg_queue_in_line(const struct vg_waiter *waiter, uint64_t now_ns);

/* The same, and somebody waits there indeed: neither dead nor silent, unless it is stopped. Looks
 * into /proc. */
bool vg_queue_is_waiting(const struct vg_waiter *waiter, uint64_t now_ns);

/* Frees all entries of dead processes, and of threads that have left their wait by their end.
 * Returns how many. */
unsigned vg_queue_sweep(struct vg_queue *queue);

/* Makes the waiter that holds `ticket` give up; nothing if it has left meanwhile. */
void vg_queue_choose_victim(struct vg_queue *queue, uint32_t index, uint64_t ticket);

/* Has the place been chosen as the victim? */
bool vg_queue_is_victim(const struct vg_queue *queue, const struct vg_queue_slot *place);

/* Counts `word` up and wakes all who sleep on it (futex(2)). Returns how many those were. */
long vg_queue_wake(_Atomic uint32_t *word);

/* Sleeps until `word`, which vg_queue_wake counts up, is no longer `seen`, at most `timeout_ns`.
 * Returns 0 when it has changed, -ETIMEDOUT, or -EINTR when a signal handler ran in this thread
 * (whether or not it was installed with SA_RESTART: futex(2) with a timeout is not restarted then).
 */
int vg_queue_sleep(_Atomic uint32_t *word, uint32_t seen, uint64_t timeout_ns);

/* Memory of the GPU has come free: to be called when `waiting` says that somebody may be in line.
 * errno is kept. */
void vg_queue_tell_freed(struct vg_queue *queue);

/* Memory of the GPU is promised to a process. */
void vg_queue_note_promise(struct vg_queue *queue);

/* What `promises` is before one looks whether any is open, and, when none was found, the way to say
 * so: nothing happens if one has been made meanwhile. */
static inline uint64_t vg_queue_promises(const struct vg_queue *queue)
{
    return atomic_load(&queue->promises);
}

void vg_queue_forget_promises(struct vg_queue *queue, uint64_t seen);

static inline bool vg_queue_has_promises(const struct vg_queue *queue)
{
    return atomic_load_explicit(&queue->promises, memory_order_relaxed) & 1;
}

static inline bool vg_queue_is_waited_for(const struct vg_queue *queue)
{
    return atomic_load_explicit(&queue->waiting, memory_order_relaxed) & 1;
}

#endif
