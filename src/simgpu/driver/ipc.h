/* Device memory shared between processes (cuIpcGetMemHandle). Blocks of an allocation that is
 * exported move into a file, which the importer finds through /proc.
 *
 * All functions: called with sim_lock held. */
#ifndef SIMGPU_IPC_H
#define SIMGPU_IPC_H

#include <stdint.h>

struct range;

/* The blocks are about to be given back: if any was exported, its pages become private again. */
void ipc_forget(uint64_t base, uint64_t bytes);

/* The device that an imported range's memory is of, as this process counts; the importing context's
 * if this process does not see that device. */
int ipc_ordinal(const struct range *range);

/* Ends an imported range (RANGE_IMPORTED), however often it was opened. */
void ipc_end_range(struct range *range);

#endif
