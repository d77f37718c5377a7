/* The action "spill": memory that the device has no room for is put on the host, where the GPU
 * reaches it at the address that the program gets. And the end of such memory. */
#ifndef VRAMGUARD_OOM_ACTION_SPILL_H
#define VRAMGUARD_OOM_ACTION_SPILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "driver/cuda_abi.h"
#include "heap/spilled.h"

/* How much the host keeps for itself when memory is spilled, of `total_bytes`: 1 GiB, or 5 % where
 * that is more. */
uint64_t vg_spill_reserve_bytes(uint64_t total_bytes);

/* Checks VRAMGUARD_SPILL_CAP: "5GiB" or "25%". Returns 0, or -EINVAL with the reason in `why`. */
int vg_spill_check_cap(const char *text, char *why, size_t why_cap);

/* The cap in bytes that a checked `text` means on a host with `total_bytes` of memory. */
uint64_t vg_spill_cap_bytes(const char *text, uint64_t total_bytes);

/* The last line about spilling, if anything was. At the end of the process. */
void vg_spill_finish(const struct vg_spilled *spilled);

/* Frees the spilled allocation at `address`. Returns false when there is none, else the driver's
 * result in `*out_result`. No locks of ours; any thread. */
bool vg_spill_free(struct vg_spilled *spilled, CUdeviceptr address, CUresult *out_result);

/* The same in the order of `stream`: the memory is given back when what is queued there now is
 * done. `per_thread`: which default stream the program means by 0. */
bool vg_spill_free_async(struct vg_spilled *spilled, CUdeviceptr address, CUstream stream,
                         bool per_thread, CUresult *out_result);

/* Gives back what vg_spill_free_async left in use and is no longer. */
void vg_spill_reap(struct vg_spilled *spilled);

#endif
