/* Managed memory (cuMemAllocManaged) is in the index like any other, though the driver moves it
 * between the host and the device as it is used: it may be larger than the device, and other memory
 * may push it out. So what decides about a device's memory must not count it. */
#ifndef VRAMGUARD_HEAP_MANAGED_H
#define VRAMGUARD_HEAP_MANAGED_H

#include <stdint.h>

#include "heap/live_index.h"

/* The process has managed memory. Any thread. */
void vg_managed_note(void);

/* Bytes of the live managed allocations of device `device` in `track`. Walks through the index,
 * some milliseconds with a million allocations; at once where there was never any managed memory.
 * Any thread, no lock. */
uint64_t vg_managed_live_bytes(const struct vg_live_index *track, int device);

#endif
