/* The limit of memory that an MPS server sets for each client process
 * (CUDA_MPS_PINNED_DEVICE_MEM_LIMIT). Pure.
 * Source: NVIDIA "Multi-Process Service", "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT": a list of
 * DEVICE=LIMIT, separated by commas, DEVICE being a number or a UUID, LIMIT with a unit:
 * "0=1G,1=512MB". */
#ifndef VRAMGUARD_ANALYZE_MPS_LIMIT_H
#define VRAMGUARD_ANALYZE_MPS_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* What `text` (the variable's value, or NULL) allows of the device with the number `ordinal` as the
 * program counts and the UUID `uuid` ("" unknown). Returns 0, -ENOENT when it says nothing of that
 * device, or -EINVAL when what it says is no amount with a unit. `out` is untouched on error. */
int vg_mps_limit_parse(const char *text, int ordinal, const char *uuid, uint64_t *out_bytes);

/* Is a limit of `limit_bytes` what refused `asked_bytes`? `own_bytes`: all that the process holds
 * of the device, as NVML tells, or what was tracked. */
bool vg_mps_limit_explains(uint64_t limit_bytes, uint64_t own_bytes, uint64_t asked_bytes);

#endif
