/* Taking a census when memory has run out: PyTorch's own observer of that, and the census on
 * request for everything else.
 *
 * PyTorch calls its observers in the failing thread after the last retry, with the lock of its
 * allocator released and the GIL taken, before it makes the exception. Ours is a function in C; it
 * raises nothing. */
#ifndef VRAMGUARD_OOM_CENSUS_OBSERVER_H
#define VRAMGUARD_OOM_CENSUS_OBSERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "analyze/collect.h"
#include "oom/census.h"

enum { VG_CENSUS_BUDGET_MS = 1000, VG_CENSUS_GIL_MS = 500 };

/* What PyTorch says when it gives up. */
struct vg_census_failure {
    int64_t device;       /* PyTorch's index; -1: this Python's numbers cannot be read */
    uint64_t asked_bytes; /* what its allocator asked the driver for */
    uint64_t total_bytes; /* of the device, or PyTorch's own limit where one is set */
    uint64_t free_bytes;
};

/* Who is interested: static memory, the functions too. */
struct vg_census_client {
    /* With the GIL, in the failing thread: where the facts about the blocks of `device` come from.
     * Returns false when no census is to be taken. What it writes to `out` must stay valid until
     * `tell` has been called. */
    bool (*prepare)(int64_t device, struct vg_census_source *out);
    /* In the failing thread with the GIL, which it must not give up, once for each failure, with a
     * census or without one (state VG_CENSUS_REFUSED). `census` is valid during the call. */
    void (*tell)(const struct vg_census_failure *failure, const struct vg_census *census);
};

enum vg_census_attachment {
    VG_CENSUS_DETACHED,
    VG_CENSUS_ATTACHING, /* a thread of ours waits for the GIL */
    VG_CENSUS_ATTACHED,
    VG_CENSUS_NOT_POSSIBLE, /* this PyTorch, or its allocator, has no observers, or none that can be
                               used with several GPUs */
};

/* Sees to it that PyTorch's failures are observed for `client`: soon, by a thread of ours that
 * takes the GIL and holds nothing else. To be called once the first block of PyTorch's allocator
 * was seen, since attaching initialises CUDA in a program that has not; calls after that cost a
 * load of a word. Any thread, also under the allocator's lock and with the GIL: it does not wait.
 */
void vg_census_request_attach(const struct vg_census_client *client);

enum vg_census_attachment vg_census_attachment(void);

/* While the observer is being attached, which takes the thread of callbacks: waits for its end,
 * half a second at the most. Not where the calling thread holds the GIL, which that thread waits
 * for. No lock of ours may be held. */
void vg_census_await_attachment(void);

/* Takes a census now, for a failure that PyTorch has not observed or without one: in the calling
 * thread when it holds the GIL, else in a thread of ours, for which it waits: for the GIL up to
 * VG_CENSUS_GIL_MS, then for the census, which ends after VG_CENSUS_BUDGET_MS. Returns 0 with the
 * result in `out`; -ETIMEDOUT: the GIL did not come in time; -EBUSY: the thread is in use, or still
 * waits for the GIL for somebody who has given up; -ENOENT: there is no Python that can be asked.
 * `main_line`: where the main thread is, as vg_census_main_line tells. `source` is copied; what it
 * points to must stay valid for ever: the thread may come later. No lock of ours may be held. */
int vg_census_request(const struct vg_census_source *source, struct vg_census *out,
                      struct vg_program_line *main_line);

/* The calling thread has left a request of its own otherwise than by its end: it is over. Nothing
 * when there is none. */
void vg_census_request_abandon(void);

#endif
