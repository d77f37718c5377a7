/* Spilled memory in the program's later calls: frees are routed to where it lies, questions about
 * it answered as for the device's. Every function begins with vg_spilled_any, so that a program
 * that spills nothing pays one load. They also work in calls made from inside the guard: a trim
 * hook may free what was spilled. */
#ifndef VRAMGUARD_GUARD_SPILLED_FREE_H
#define VRAMGUARD_GUARD_SPILLED_FREE_H

#include <stdbool.h>

#include "driver/cuda_abi.h"
#include "heap/spilled.h"

/* Is `address` in spilled memory: an allocation, or a mapping of physical memory? */
bool vg_guard_find_spilled(CUdeviceptr address, struct vg_spilled_range *out);

/* Does `handle` name spilled physical memory? */
bool vg_guard_find_spilled_handle(CUmemGenericAllocationHandle handle,
                                  struct vg_spilled_range *out);

/* Frees the spilled allocation at `address`. Returns false when there is none: the call goes to the
 * driver. Else `*out_result` is for the program. */
bool vg_guard_free_spilled(CUdeviceptr address, CUresult *out_result);

/* The same in the order of `stream`; `per_thread`: the program means its thread's default stream by
 * 0.
 */
bool vg_guard_free_spilled_async(CUdeviceptr address, CUstream stream, bool per_thread,
                                 CUresult *out_result);

/* The program has given memory a name for other processes. */
static inline void vg_guard_note_export(CUresult result)
{
    if (result == CUDA_SUCCESS)
        atomic_store_explicit(&vg_spilled_exported, true, memory_order_relaxed);
}

#endif
