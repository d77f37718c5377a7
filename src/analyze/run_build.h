/* Builds the parts of a run (run.h) from its source, the live process or a run file, by the same
 * code. One thread at a time; memory comes from the region alone. What there was no memory for is
 * told as a sum or as unknown. */
#ifndef VRAMGUARD_ANALYZE_RUN_BUILD_H
#define VRAMGUARD_ANALYZE_RUN_BUILD_H

#include "analyze/stack_names.h"

/* Sites that are labelled unless more are asked for (vg_sites_label). */
enum { VG_RUN_LABELLED = 12 };

/* Who the process is and how it ended, from the header. */
void vg_run_describe_process(const struct vg_run_source *source, struct vg_region *region,
                             struct vg_run_process *out);

/* Was anything ever live on device `index` of the header, or is its size known? */
bool vg_run_uses_device(const struct vg_run_source *source, uint32_t index);

/* Fills `out` with what is live on device `index` of the header (VG_FILE_HOST: pinned host memory):
 * totals, kinds, sizes, and all sites, the first VG_RUN_LABELLED of each level labelled. What only
 * the driver or NVML knows is left unknown. `torch`, if not NULL: what PyTorch's allocator holds of
 * the device, as far as the source tells; `loaded` and `settings` are not touched. */
void vg_run_build_device(struct vg_stack_names *names, uint32_t index, struct vg_run_device *out,
                         struct vg_run_torch *torch);

/* How a process ended, from the header of its run file, which lies at `path`. */
enum vg_run_state vg_run_state_of(const struct vg_file_header *header, const char *path);

#endif
