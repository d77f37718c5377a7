/* What a report tells of Python and of PyTorch's allocator, beyond its plain numbers. Pure, no
 * malloc. */
#ifndef VRAMGUARD_ANALYZE_TORCH_FACTS_H
#define VRAMGUARD_ANALYZE_TORCH_FACTS_H

#include <stdbool.h>
#include <stdint.h>

#include "analyze/run.h"

/* Is it a Python program, as far as its command line, its stack and its libraries tell? */
bool vg_torch_runs_python(const struct vg_run_failure *report);

/* Is PyTorch's allocator in use in this process: does it hold memory, or has it made the failing
 * call, its first maybe? Advice about PyTorch is for such programs only. */
bool vg_torch_is_used(const struct vg_run_failure *report);

/* What PyTorch's allocator holds of the device, by whatever calls. 0 when that is nothing or
 * unknown. */
uint64_t vg_torch_reserved_bytes(const struct vg_run_failure *report);

/* Did PyTorch empty its cache between two failing calls? Then stores how much more was free at the
 * second one, VG_BYTES_UNKNOWN when that was not measured. */
bool vg_torch_flushed(const struct vg_run_failure *report, uint64_t *out_bytes);

/* Are expandable segments in use, or asked for in the settings? */
bool vg_torch_is_expandable(const struct vg_run_failure *report);

/* The library that was plugged into PyTorch in place of its allocator and has made the failing call
 * (torch.cuda.memory.CUDAPluggableAllocator, RMM's too); NULL when none has, or no native stack was
 * recorded. Points into the report. */
const char *vg_torch_plug_in(const struct vg_run_failure *report);

/* The variable to set, as far as the settings tell which one this PyTorch reads. */
const char *vg_torch_variable(const struct vg_run_failure *report);

#endif
