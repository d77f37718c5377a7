/* The clocks, as numbers. */
#ifndef VRAMGUARD_BASE_CLOCK_H
#define VRAMGUARD_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define VG_MS_NS UINT64_C(1000000) /* nanoseconds in a millisecond */

static inline uint64_t vg_clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* CLOCK_MONOTONIC: the same for all processes of the machine (clock_gettime(2)). */
static inline uint64_t vg_clock_monotonic_ns(void)
{
    return vg_clock_ns(CLOCK_MONOTONIC);
}

#endif
