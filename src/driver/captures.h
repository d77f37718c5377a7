/* How many streams of this process are being captured into graphs: while one is, nothing may be
 * tried for a failed allocation that synchronises or frees (CUDA Programming Guide, "Prohibited and
 * Unhandled Operations" of stream capture). */
#ifndef VRAMGUARD_DRIVER_CAPTURES_H
#define VRAMGUARD_DRIVER_CAPTURES_H

#include <stdbool.h>

#include "driver/cuda_abi.h"

/* The driver has answered a begin or an end of a capture with `result`. Any thread, no locks. */
void vg_captures_begun(CUresult result);
void vg_captures_ended(CUresult result);

bool vg_captures_live(void);

#endif
