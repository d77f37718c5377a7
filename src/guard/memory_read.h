/* Remembers what the program was told of a device's memory. One that finds too little and gives up
 * by itself makes no call that fails, so this is all that can be known afterwards. */
#ifndef VRAMGUARD_GUARD_MEMORY_READ_H
#define VRAMGUARD_GUARD_MEMORY_READ_H

#include <stdint.h>

/* The program has asked cuMemGetInfo for the current context's device, and was told these two.
 * Makes the process's state if need be; nearly free afterwards, but for one time on each device:
 * when less than half is free, and not because of this process, NVML is asked who holds the rest
 * (milliseconds; VG_MACHINE_NVML_MS at the most). Any thread; no lock of ours may be held. errno is
 * preserved. */
void vg_memory_read_note(uint64_t free_bytes, uint64_t total_bytes);

#endif
