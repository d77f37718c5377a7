/* Reading on until there is no more: read(2) may return less than was asked for, or be interrupted
 * by a signal. */
#ifndef VRAMGUARD_BASE_READ_FULLY_H
#define VRAMGUARD_BASE_READ_FULLY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Read up to `cap_bytes` from where `fd` is, or from `offset_bytes` of its file. Return how many
 * bytes there were before the end, or -errno. Cancellation points; no locks, no malloc. */
ssize_t vg_read_fully(int fd, void *out, size_t cap_bytes);
ssize_t vg_read_fully_at(int fd, void *out, size_t cap_bytes, uint64_t offset_bytes);

#endif
