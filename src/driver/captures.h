/* The streams of this process that are being captured into graphs: while one is, nothing may be
 * tried for a failed allocation that synchronises or frees (CUDA Programming Guide, "Prohibited and
 * Unhandled Operations" of stream capture); and what is allocated for one stays with its graph. */
#ifndef VRAMGUARD_DRIVER_CAPTURES_H
#define VRAMGUARD_DRIVER_CAPTURES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "driver/cuda_abi.h"

extern _Atomic int vg_captures_count; /* captures under way; written by captures.c */

/* The driver has answered a begin or an end of a capture with `result`. Any thread, no locks. */
void vg_captures_begun(CUresult result);
void vg_captures_ended(CUresult result);

/* The calling thread has told the driver what it may do beside the captures under way
 * (cuThreadExchangeStreamCaptureMode). */
void vg_captures_mode_set(CUstreamCaptureMode mode);

static inline bool vg_captures_live(void)
{
    return atomic_load_explicit(&vg_captures_count, memory_order_relaxed) > 0;
}

/* What vg_captures_allocating answers while one is live. */
uint32_t vg_captures_of_thread(void);

/* For which capture, counted from 1, does the calling thread allocate? 0: for none. It is the
 * capture that the thread has begun itself or, where it has said that it allocates beside captures
 * (CU_STREAM_CAPTURE_MODE_RELAXED), the last one that was begun: PyTorch's allocator says so around
 * each cudaMalloc for a stream that is captured, and else never
 * (c10/cuda/CUDACachingAllocator.cpp, cudaMallocMaybeCapturing). */
static inline uint32_t vg_captures_allocating(void)
{
    return __builtin_expect(vg_captures_live(), 0) ? vg_captures_of_thread() : 0;
}

#endif
