/* The state that all processes on one simulation share: the devices and who holds how much of them.
 * It lives in a file under /dev/shm, mapped by every libcuda and libnvidia-ml of the simulation.
 *
 * What a process holds comes back when it dies, whenever and however: a holder is identified by its
 * process id and start time, and holders that no longer run are dropped whenever a figure is given
 * out or a request does not fit. A process that dies inside the critical section leaves a robust
 * mutex behind, which the kernel hands on; its successor recomputes the totals. */
#ifndef SIMGPU_SHARED_H
#define SIMGPU_SHARED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "options.h"

#define UUID_BYTES 16

struct shared_holder {
    pid_t pid;
    uint64_t used_bytes;
};

/* Maps the shared state of `id` (empty: this user's). With `wanted`, the devices become `wanted`
 * unless live processes use others: then `wanted` is adopted if it is only the default, and
 * otherwise one line on stderr says so and -EBUSY is returned. Without `wanted` the state is only
 * looked at: -ENOENT if there is none. With `join` this process becomes a holder in the same step,
 * so that nobody changes the devices in between: -ENOSPC when 8,192 others live.
 * Failures other than -ENOENT give one line on stderr. May be called again. Thread-safe. */
int shared_open(const char *id, const struct device_list *wanted, bool join);

/* The shared state's devices; index 0 up to the count. */
int shared_device_count(void);
uint64_t shared_total_bytes(int device);

/* The same on every run: derived from the simulation's id and the device index. */
void shared_device_uuid(int device, unsigned char uuid[UUID_BYTES]);

/* Takes `bytes` of the device for this process, atomically among all processes. Returns 0 or
 * -ENOMEM when they do not fit. Cost: one uncontended lock when they fit. */
int shared_take(int device, uint64_t bytes);

/* Gives back what shared_take took. */
void shared_give(int device, uint64_t bytes);

/* Tells that this process has a context on the device, or has one no more: holders with a context
 * are listed by shared_holders even if they hold nothing. */
void shared_count_context(int device, int change);

/* Bytes held on the device by all live processes. */
uint64_t shared_used_bytes(int device);

/* Lists the live processes that use the device: writes at most `capacity` entries and returns how
 * many there are. */
int shared_holders(int device, struct shared_holder *holders, int capacity);

/* In a forked child: forget that the parent was a holder. */
void shared_after_fork(void);

#endif
